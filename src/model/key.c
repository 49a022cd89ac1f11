/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys: their names, and sets of them. */
#include <pthread.h>

#include "model/event.h"
#include "util/cleanup.h"

static const char *const keys[] = {
	[KEY_TYPE] = "type",
	[KEY_SEQ] = "seq",
	[KEY_TIME] = "time",
	[KEY_SNAPSHOT] = "snapshot",
	[KEY_SOURCE] = "source",
	[KEY_ID] = "id",
	[KEY_PARENT_ID] = "parent_id",
	[KEY_START_TIME] = "start_time",
	[KEY_PPID] = "ppid",
	[KEY_PARENT_COMM] = "parent_comm",
	[KEY_PID] = "pid",
	[KEY_UID] = "uid",
	[KEY_GID] = "gid",
	[KEY_COMM] = "comm",
	[KEY_EXE] = "exe",
	[KEY_FILENAME] = "filename",
	[KEY_ARGS] = "args",
	[KEY_ARGS_TRUNCATED] = "args_truncated",
	[KEY_ARGC] = "argc",
	[KEY_ARGS_SIZE] = "args_size",
	[KEY_ENV] = "env",
	[KEY_INCOMPLETE] = "incomplete",
	[KEY_KERNEL_THREAD] = "kernel_thread",
	[KEY_EXE_DELETED] = "exe_deleted",
	[KEY_EXE_MEMFD] = "exe_memfd",
	[KEY_EXE_UPPER] = "exe_upper",
	[KEY_EXE_CTIME] = "exe_ctime",
	[KEY_SECUREEXEC] = "secureexec",
	[KEY_EUID] = "euid",
	[KEY_EGID] = "egid",
	[KEY_CAPS] = "caps",
	[KEY_LOGINUID] = "loginuid",
	[KEY_SESSION_ID] = "session_id",
	[KEY_SID] = "sid",
	[KEY_PGID] = "pgid",
	[KEY_TTY] = "tty",
	[KEY_CWD] = "cwd",
	[KEY_CGROUP] = "cgroup",
	[KEY_UNIT] = "unit",
	[KEY_CONTAINER_ID] = "container_id",
	[KEY_POD_UID] = "pod_uid",
	[KEY_PID_NS] = "pid_ns",
	[KEY_NS_PID] = "ns_pid",
	[KEY_MNT_NS] = "mnt_ns",
	[KEY_NET_NS] = "net_ns",
	[KEY_USER_NS] = "user_ns",
	[KEY_UTS_NS] = "uts_ns",
	[KEY_IPC_NS] = "ipc_ns",
	[KEY_CGROUP_NS] = "cgroup_ns",
	[KEY_TIME_NS] = "time_ns",
	[KEY_EXE_INODE] = "exe_inode",
	[KEY_EXE_DEV] = "exe_dev",
	[KEY_SESSION_LEADER_ID] = "session_leader_id",
	[KEY_ANCESTORS] = "ancestors",
	[KEY_END_TIME] = "end_time",
	[KEY_RUNNING_TIME_NS] = "running_time_ns",
	[KEY_RESULT] = "result",
	[KEY_EXIT_CODE] = "exit_code",
	[KEY_EXIT_SIGNAL] = "exit_signal",
	[KEY_CORE_DUMPED] = "core_dumped",
	[KEY_CPU_USER_NS] = "cpu_user_ns",
	[KEY_CPU_SYSTEM_NS] = "cpu_system_ns",
	[KEY_MAX_RSS_BYTES] = "max_rss_bytes",
	[KEY_READ_BYTES] = "read_bytes",
	[KEY_WRITE_BYTES] = "write_bytes",
	[KEY_ERROR_CODE] = "error_code",
	[KEY_ERROR] = "error",
	[KEY_PATH_TRIES] = "path_tries",
	[KEY_HOST] = "host",
	[KEY_USER] = "user",
	[KEY_GROUP] = "group",
	[KEY_LOGIN_USER] = "login_user",
	[KEY_PARENT_EXE] = "parent_exe",
	[KEY_PARENT_ARGS] = "parent_args",
	[KEY_PARENT_ARGS_TRUNCATED] = "parent_args_truncated",
	[KEY_STARTER_ID] = "starter_id",
	[KEY_STARTER_EXEC_TIME] = "starter_exec_time",
	[KEY_COUNT] = "count",
	[KEY_WHERE] = "where",
	[KEY_FIRST_SEQ] = "first_seq",
	[KEY_LAST_SEQ] = "last_seq",
};
_Static_assert(sizeof(keys) / sizeof(keys[0]) == KEY_MAX, "every key has a name");
_Static_assert(KEY_MAX < 8 * sizeof(key_set), "a key_set holds them all");

const key_set KEYS_BASIC = KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_START_TIME) | KEY_BIT(KEY_PPID) | KEY_BIT(KEY_PARENT_COMM) |
			   KEY_BIT(KEY_PID) | KEY_BIT(KEY_UID) | KEY_BIT(KEY_GID) | KEY_BIT(KEY_COMM) |
			   KEY_BIT(KEY_EXE) | KEY_BIT(KEY_ARGS) | KEY_BIT(KEY_END_TIME) | KEY_BIT(KEY_RUNNING_TIME_NS) |
			   KEY_BIT(KEY_ERROR_CODE);

/* What follows from others is left out (end_time is start_time and running_time_ns; the cgroup is in unit, container
 * and pod; ancestors are found by parent_id), and so is what most processes have in common, or differ in by chance. */
const key_set KEYS_HISTORY =
	(KEYS_ALL | KEYS_TIME_BUT_OF_END) &
	~(KEY_BIT(KEY_TIME) | KEY_BIT(KEY_END_TIME) | KEY_BIT(KEY_ANCESTORS) | KEY_BIT(KEY_CGROUP) | KEY_BIT(KEY_EGID) |
	  KEY_BIT(KEY_CAPS) | KEY_BIT(KEY_SID) | KEY_BIT(KEY_PGID) | KEY_BIT(KEY_PID_NS) | KEY_BIT(KEY_NS_PID) |
	  KEY_BIT(KEY_MNT_NS) | KEY_BIT(KEY_NET_NS) | KEY_BIT(KEY_USER_NS) | KEY_BIT(KEY_UTS_NS) | KEY_BIT(KEY_IPC_NS) |
	  KEY_BIT(KEY_CGROUP_NS) | KEY_BIT(KEY_TIME_NS) | KEY_BIT(KEY_EXE_CTIME) | KEY_BIT(KEY_EXE_INODE) |
	  KEY_BIT(KEY_EXE_DEV) | KEY_BIT(KEY_SESSION_LEADER_ID));

const char *key_name(enum key key)
{
	ASSERT((unsigned)key < KEY_MAX);
	return keys[key];
}

bool key_has_raw(enum key key)
{
	const key_set raw = KEY_BIT(KEY_PARENT_COMM) | KEY_BIT(KEY_COMM) | KEY_BIT(KEY_EXE) | KEY_BIT(KEY_FILENAME) |
			    KEY_BIT(KEY_ARGS) | KEY_BIT(KEY_CWD) | KEY_BIT(KEY_PARENT_EXE) | KEY_BIT(KEY_PARENT_ARGS);

	return raw & KEY_BIT(key);
}

/* The keys by their names: a hash table with linear probing, since readers of events look up each of their names. */
#define SLOTS 256
static struct {
	unsigned char key, size; /* size 0: free */
} slots[SLOTS];
_Static_assert(KEY_MAX <= SLOTS / 2, "a slot is free");
static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static unsigned slot_of(struct bytes name)
{
	const unsigned char *c = (const unsigned char *)name.data;

	return (unsigned)(name.size * 37 + c[0] + c[name.size / 2] * 5U + c[name.size - 1] * 13U) % SLOTS;
}

static void fill_slots(void)
{
	for (unsigned key = 0; key < KEY_MAX; key++) {
		struct bytes name = bytes_of(keys[key]);
		unsigned i = slot_of(name);

		while (slots[i].size > 0)
			i = (i + 1) % SLOTS;
		slots[i].key = (unsigned char)key;
		slots[i].size = (unsigned char)name.size;
	}
}

bool key_by_name(struct bytes name, enum key *ret)
{
	if (name.size == 0)
		return false;
	pthread_once(&slots_once, fill_slots);
	for (unsigned i = slot_of(name); slots[i].size > 0; i = (i + 1) % SLOTS) {
		if (slots[i].size == name.size && memcmp(keys[slots[i].key], name.data, name.size) == 0) {
			*ret = (enum key)slots[i].key;
			return true;
		}
	}
	return false;
}

bool keys_by_name(struct bytes name, key_set *ret)
{
	enum key key;

	if (bytes_equal(name, BYTES("all")))
		*ret = KEYS_ALL;
	else if (bytes_equal(name, BYTES("basic")))
		*ret = KEYS_BASIC;
	else if (bytes_equal(name, BYTES("history")))
		*ret = KEYS_HISTORY;
	else if (!key_by_name(name, &key))
		return false;
	else
		*ret = KEY_BIT(key) | (key == KEY_PARENT_ARGS ? KEY_BIT(KEY_PARENT_ARGS_TRUNCATED) : 0);
	return true;
}
