/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys, in one table and one walk. The walk follows execsnoopd-events(7) line by line: a key
 * without a value is omitted, and the order is that of the table.
 *
 * A walk remembers the visitor's result. After the first that is not 0 it does nothing more, so
 * there is nothing to check between two keys. Nothing is owned or allocated; strings made here are
 * valid for their callback.
 *
 * What every event has is formatted by hand: snprintf(3) and gmtime_r(3) would take longer than all
 * the rest.
 */
#include "model/event.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "util/cleanup.h"

#define SIGNAL_RT_FIRST 34 /* of the kernel's 32 to 64, glibc keeps two for itself */
#define SIGNAL_RT_LAST 64

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
	[KEY_PID_NS] = "pid_ns",
	[KEY_NS_PID] = "ns_pid",
	[KEY_MNT_NS] = "mnt_ns",
	[KEY_EXE_INODE] = "exe_inode",
	[KEY_EXE_DEV] = "exe_dev",
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

static const char *const types[EVENT_TYPE_MAX] = {
	[EVENT_STARTED] = "started", [EVENT_EXITED] = "exited", [EVENT_ERROR] = "error",
	[EVENT_FORKED] = "forked",   [EVENT_LOST] = "lost",	[EVENT_LIVE] = "live",
};

static const char *const sources[] = { [SOURCE_PROC] = "proc", [SOURCE_RESYNC] = "resync" };

static const char *const results[RESULT_MAX] = {
	[RESULT_SUCCESS] = "success",
	[RESULT_EXIT_CODE] = "exit-code",
	[RESULT_SIGNAL] = "signal",
	[RESULT_CORE_DUMP] = "core-dump",
};

static const char *const places[] = {
	[LOST_KERNEL] = "kernel",
	[LOST_SUBSCRIBER] = "subscriber",
	[LOST_JOURNAL] = "journal",
};

const char *key_name(enum key key)
{
	ASSERT((unsigned)key < KEY_MAX);
	return keys[key];
}

bool event_was_announced(const struct event *event, const struct joined *joined)
{
	const struct process *process = event->process;

	if (event->announced > joined->clock)
		return true;
	if (event->born > joined->clock)
		return false;
	/* In a rebuilt table nothing is announced yet. What had begun before the stream joined was
	 * in its snapshot; what began after is announced by its exec. */
	return joined->resumed && process->start > joined->boot_ns ? process->execed : joined->had_snapshot;
}

void joined_archive(struct joined *joined, struct archive *a)
{
	ARCHIVE(a, joined->clock);
	archive_flag(a, &joined->had_snapshot);
	archive_flag(a, &joined->resumed);
	ARCHIVE(a, joined->boot_ns);
}

bool key_has_raw(enum key key)
{
	const key_set raw = KEY_BIT(KEY_PARENT_COMM) | KEY_BIT(KEY_COMM) | KEY_BIT(KEY_EXE) | KEY_BIT(KEY_FILENAME) |
			    KEY_BIT(KEY_ARGS) | KEY_BIT(KEY_CWD);

	return raw & KEY_BIT(key);
}

bool key_by_name(struct bytes name, enum key *ret)
{
	for (enum key key = 0; key < KEY_MAX; key++) {
		if (bytes_equal(name, bytes_of(keys[key]))) {
			*ret = key;
			return true;
		}
	}
	return false;
}

const char *event_type_name(enum event_type type)
{
	ASSERT((unsigned)type < EVENT_TYPE_MAX);
	return types[type];
}

bool event_type_by_name(struct bytes name, enum event_type *ret)
{
	for (enum event_type type = 0; type < EVENT_TYPE_MAX; type++) {
		if (bytes_equal(name, bytes_of(types[type]))) {
			*ret = type;
			return true;
		}
	}
	return false;
}

const char *result_name(enum result result)
{
	ASSERT(result > RESULT_UNKNOWN && result < RESULT_MAX);
	return results[result];
}

bool result_by_name(struct bytes name, enum result *ret)
{
	for (enum result result = RESULT_SUCCESS; result < RESULT_MAX; result++) {
		if (bytes_equal(name, bytes_of(results[result]))) {
			*ret = result;
			return true;
		}
	}
	return false;
}

enum result event_result(const struct event *event)
{
	int status = (int)event->end.status;

	if (event->type != EVENT_EXITED)
		return RESULT_UNKNOWN;
	if (!event->end.status_known)
		return event->end.result;
	if (WIFSIGNALED(status))
		return WCOREDUMP(status) ? RESULT_CORE_DUMP : RESULT_SIGNAL;
	return WEXITSTATUS(status) == 0 ? RESULT_SUCCESS : RESULT_EXIT_CODE;
}

/* The two last decimal digits of value, ending before `end`. */
static void two_digits(char *end, unsigned value)
{
	static const char pairs[] = "0001020304050607080910111213141516171819"
				    "2021222324252627282930313233343536373839"
				    "4041424344454647484950515253545556575859"
				    "6061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";

	memcpy(end - 2, pairs + 2 * (size_t)(value % 100), 2);
}

size_t event_number_format(char ret[static EVENT_NUMBER_SIZE], enum key key, int64_t value)
{
	bool negative = key == KEY_ERROR_CODE && value < 0;
	uint64_t rest = negative ? -(uint64_t)value : (uint64_t)value;
	/* The digits end in the middle, at the NUL, so that a copy of constant size has all of
	 * them. */
	char digits[2 * EVENT_NUMBER_SIZE] = { 0 }, *end = digits + EVENT_NUMBER_SIZE, *begin = end;

	for (; rest >= 10; rest /= 100, begin -= 2)
		two_digits(begin, (unsigned)(rest % 100));
	/* The last digit of an odd number of them; 0 has one. */
	if (rest > 0 || begin == end)
		*--begin = (char)('0' + rest);
	if (negative)
		*--begin = '-';
	memcpy(ret, begin, EVENT_NUMBER_SIZE);
	return (size_t)(end - begin);
}

struct walk {
	const struct event_visitor *visitor;
	void *userdata;
	key_set keys;
	int result;
};

static bool wants(const struct walk *w, enum key key)
{
	return w->result == 0 && w->keys & KEY_BIT(key);
}

static void number(struct walk *w, enum key key, int64_t value)
{
	if (wants(w, key))
		w->result = w->visitor->number(w->userdata, key, value);
}

static void number_if(struct walk *w, bool known, enum key key, int64_t value)
{
	if (known)
		number(w, key, value);
}

static void flag(struct walk *w, enum key key, bool value)
{
	if (value && wants(w, key))
		w->result = w->visitor->flag(w->userdata, key);
}

static void text(struct walk *w, enum key key, const char *value)
{
	if (value && wants(w, key))
		w->result = w->visitor->text(w->userdata, key, value);
}

static void date(struct walk *w, enum key key, uint64_t ns)
{
	if (wants(w, key))
		w->result = w->visitor->time(w->userdata, key, ns);
}

static void run(struct walk *w, enum key key, struct bytes value)
{
	if (value.data && wants(w, key))
		w->result = w->visitor->bytes(w->userdata, key, value);
}

static void id(struct walk *w, enum key key, uint64_t boot, uint32_t tgid, uint64_t start)
{
	char buffer[PROCESS_ID_SIZE];

	if (!wants(w, key))
		return;
	process_id_format(buffer, boot, tgid, start);
	text(w, key, buffer);
}

/* Names of keys, each with its NUL. */
static void incomplete(struct walk *w, unsigned parts)
{
	static const enum key of[] = {
		[INCOMPLETE_EXE] = KEY_EXE,	    [INCOMPLETE_FILENAME] = KEY_FILENAME,
		[INCOMPLETE_ENV] = KEY_ENV,	    [INCOMPLETE_CWD] = KEY_CWD,
		[INCOMPLETE_CGROUP] = KEY_CGROUP,   [INCOMPLETE_ANCESTORS] = KEY_ANCESTORS,
		[INCOMPLETE_EXE_DEV] = KEY_EXE_DEV, [INCOMPLETE_ARGS] = KEY_ARGS,
	};
	char names[128];
	size_t at = 0;

	if (!parts || !wants(w, KEY_INCOMPLETE))
		return;
	for (size_t i = 0; i < INCOMPLETE_MAX; i++)
		if (parts & INCOMPLETE_BIT(i))
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s", keys[of[i]]) + 1;
	w->result = w->visitor->list(w->userdata, KEY_INCOMPLETE, (struct bytes){ names, at });
}

static void visit_image(struct walk *w, const struct process *p)
{
	const struct image *image = &p->image;

	run(w, KEY_EXE, image->exe);
	run(w, KEY_FILENAME, image->filename);
	if (image->args.data && wants(w, KEY_ARGS))
		w->result = w->visitor->list(w->userdata, KEY_ARGS, image->args);
	flag(w, KEY_ARGS_TRUNCATED, image->args_truncated);
	/* A size of 0: they could not be counted. */
	number_if(w, image->args_truncated && image->args_size > 0, KEY_ARGC, image->argc);
	number_if(w, image->args_truncated && image->args_size > 0, KEY_ARGS_SIZE, (int64_t)image->args_size);
	if (image->env.size > 0 && wants(w, KEY_ENV))
		w->result = w->visitor->object(w->userdata, KEY_ENV, image->env);
	incomplete(w, image->incomplete);
	flag(w, KEY_KERNEL_THREAD, p->kernel_thread);
	flag(w, KEY_EXE_DELETED, image->exe_deleted);
	flag(w, KEY_EXE_MEMFD, image->exe_memfd);
	flag(w, KEY_SECUREEXEC, image->secureexec);
}

/* As in /proc/PID/status. */
static void caps(struct walk *w, uint64_t value)
{
	char buffer[17] = { 0 };

	for (int i = 16; i-- > 0; value >>= 4)
		buffer[i] = "0123456789abcdef"[value & 15];
	text(w, KEY_CAPS, buffer);
}

static void exe_dev(struct walk *w, const struct image *image)
{
	char buffer[2 * EVENT_NUMBER_SIZE];
	size_t size = event_number_format(buffer, KEY_EXE_DEV, image->exe_dev_major);

	buffer[size++] = ':';
	event_number_format(buffer + size, KEY_EXE_DEV, image->exe_dev_minor);
	text(w, KEY_EXE_DEV, buffer);
}

static void visit_ids(struct walk *w, const struct process *p)
{
	char buffer[32];

	if (p->ids_known) {
		number(w, KEY_EUID, p->euid);
		number(w, KEY_EGID, p->egid);
		caps(w, p->caps);
	}
	number_if(w, p->loginuid != PROCESS_UNSET, KEY_LOGINUID, p->loginuid);
	number_if(w, p->session_id != PROCESS_UNSET, KEY_SESSION_ID, p->session_id);
	if (p->ids_known) {
		/* 0 is valid: of what the kernel itself started, until setsid(2). */
		number(w, KEY_SID, p->sid);
		number(w, KEY_PGID, p->pgid);
	}
	if (wants(w, KEY_TTY) && tty_name(buffer, sizeof(buffer), p->tty_major, p->tty_minor))
		text(w, KEY_TTY, buffer);
}

static void visit_place(struct walk *w, const struct process *p)
{
	const struct image *image = &p->image;

	run(w, KEY_CWD, image->cwd);
	/* Of one that is too long there are the ends, for filters. */
	if (!(image->incomplete & INCOMPLETE_BIT(INCOMPLETE_CGROUP)))
		run(w, KEY_CGROUP, image->cgroup);
	run(w, KEY_UNIT, image->unit);
	run(w, KEY_CONTAINER_ID, image->container_id);
	number_if(w, p->pid_ns != 0, KEY_PID_NS, p->pid_ns);
	number_if(w, p->ns_pid != 0, KEY_NS_PID, p->ns_pid);
	number_if(w, p->mnt_ns != 0, KEY_MNT_NS, p->mnt_ns);
	if (image->exe_inode != 0) {
		number(w, KEY_EXE_INODE, (int64_t)image->exe_inode);
		exe_dev(w, image);
	}
	if (p->ancestors.size > 0 && wants(w, KEY_ANCESTORS))
		w->result = w->visitor->list(w->userdata, KEY_ANCESTORS, p->ancestors);
}

static void visit_process(struct walk *w, const struct event *event)
{
	const struct process *p = event->process;

	id(w, KEY_ID, event->boot, p->tgid, p->start);
	if (p->ppid != 0 && p->parent_start != 0)
		id(w, KEY_PARENT_ID, event->boot, p->ppid, p->parent_start);
	date(w, KEY_START_TIME, p->start_time);
	number(w, KEY_PPID, p->ppid);
	run(w, KEY_PARENT_COMM, p->parent_comm);
	number(w, KEY_PID, p->tgid);
	number(w, KEY_UID, p->uid);
	number(w, KEY_GID, p->gid);
	run(w, KEY_COMM, p->comm);
	visit_image(w, p);
	visit_ids(w, p);
	visit_place(w, p);
}

static void visit_status(struct walk *w, int status)
{
	char buffer[24];

	if (WIFSIGNALED(status)) {
		signal_name(buffer, sizeof(buffer), WTERMSIG(status));
		text(w, KEY_EXIT_SIGNAL, buffer);
		flag(w, KEY_CORE_DUMPED, WCOREDUMP(status));
	} else {
		number(w, KEY_EXIT_CODE, WEXITSTATUS(status));
	}
}

/* end_time is start_time plus the time between, not the clock at the end: it may have been set
 * since, and this way the three agree to the nanosecond. */
static void visit_end(struct walk *w, const struct event *event)
{
	date(w, KEY_END_TIME, event->process->start_time + event->end.running_ns);
	number(w, KEY_RUNNING_TIME_NS, (int64_t)event->end.running_ns);
	text(w, KEY_RESULT, results[event_result(event)]);
	if (event->end.status_known)
		visit_status(w, (int)event->end.status);
	number_if(w, event->end.cpu_known, KEY_CPU_USER_NS, (int64_t)event->end.cpu_user_ns);
	number_if(w, event->end.cpu_known, KEY_CPU_SYSTEM_NS, (int64_t)event->end.cpu_system_ns);
	number_if(w, event->end.rss_known, KEY_MAX_RSS_BYTES, (int64_t)event->end.max_rss_bytes);
	number_if(w, event->end.io_known, KEY_READ_BYTES, (int64_t)event->end.read_bytes);
	number_if(w, event->end.io_known, KEY_WRITE_BYTES, (int64_t)event->end.write_bytes);
}

static void visit_lost(struct walk *w, const struct event *event)
{
	number(w, KEY_COUNT, (int64_t)event->lost.count);
	text(w, KEY_WHERE, places[event->lost.where]);
	if (event->lost.where != LOST_KERNEL) {
		number_if(w, event->lost.first_seq != 0, KEY_FIRST_SEQ, (int64_t)event->lost.first_seq);
		number_if(w, event->lost.last_seq != 0, KEY_LAST_SEQ, (int64_t)event->lost.last_seq);
	}
}

static void visit_process_event(struct walk *w, const struct event *event)
{
	ASSERT(event->process);
	flag(w, KEY_SNAPSHOT, event->snapshot);
	if (event->source != SOURCE_PROBE)
		text(w, KEY_SOURCE, sources[event->source]);
	visit_process(w, event);
	if (event->type == EVENT_EXITED)
		visit_end(w, event);
	if (event->type == EVENT_ERROR) {
		number(w, KEY_ERROR_CODE, -(int64_t)event->error);
		text(w, KEY_ERROR, errno_name(event->error));
	}
}

int event_visit(const struct event *event, key_set wanted, const struct event_visitor *visitor, void *userdata)
{
	struct walk w = {
		.visitor = visitor,
		.userdata = userdata,
		/* The report of a loss always has all its keys. */
		.keys = event->type == EVENT_LOST ? KEYS_ALL : wanted | KEY_BIT(KEY_TYPE),
	};

	text(&w, KEY_TYPE, event_type_name(event->type));
	number_if(&w, event->seq != 0 && !event->snapshot && event->type != EVENT_LIVE, KEY_SEQ, (int64_t)event->seq);
	date(&w, KEY_TIME, event->time);
	if (event->type == EVENT_LOST)
		visit_lost(&w, event);
	else if (event->type != EVENT_LIVE)
		visit_process_event(&w, event);
	return w.result;
}

/*
 * A day of the Gregorian calendar, counted from 1970-01-01. Years are taken to begin in March: then
 * the leap day is the last of its year, and the months begin on the days (153 * month + 2) / 5. 400
 * years always have 146097 days.
 */
static void civil(uint32_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint32_t since = days + 719468; /* 0000-03-01 */
	uint32_t of_era = since % 146097;
	uint32_t of_years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * of_years + of_years / 4 - of_years / 100);
	uint32_t from_march = (5 * of_year + 2) / 153;

	*day = of_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = since / 146097 * 400 + of_years + (*month <= 2);
}

/* 64 bits of nanoseconds end in the year 2554: four digits are enough. */
void event_time_format(char ret[static EVENT_TIME_SIZE], uint64_t ns)
{
	uint64_t seconds = ns / 1000000000;
	uint32_t of_day = (uint32_t)(seconds % 86400), of_second = (uint32_t)(ns % 1000000000);
	unsigned year, month, day;

	civil((uint32_t)(seconds / 86400), &year, &month, &day);
	memcpy(ret, "0000-00-00T00:00:00.000000000Z", EVENT_TIME_SIZE);
	two_digits(ret + 2, year / 100);
	two_digits(ret + 4, year);
	two_digits(ret + 7, month);
	two_digits(ret + 10, day);
	two_digits(ret + 13, of_day / 3600);
	two_digits(ret + 16, of_day / 60 % 60);
	two_digits(ret + 19, of_day % 60);
	ret[20] = (char)('0' + of_second / 100000000);
	two_digits(ret + 23, of_second / 1000000);
	two_digits(ret + 25, of_second / 10000);
	two_digits(ret + 27, of_second / 100);
	two_digits(ret + 29, of_second);
}

/* 0 has the name "0" for glibc. */
const char *errno_name(int error)
{
	return error > 0 ? strerrorname_np(error) : NULL;
}

/* As signal(7) has them: glibc calls SIGIO by its synonym, SIGPOLL. */
void signal_name(char *ret, size_t size, int number)
{
	const char *name = number == SIGIO ? "IO" : sigabbrev_np(number);

	if (name)
		snprintf(ret, size, "SIG%s", name);
	else if (number == SIGNAL_RT_FIRST)
		snprintf(ret, size, "SIGRTMIN");
	else if (number > SIGNAL_RT_FIRST && number <= SIGNAL_RT_LAST)
		snprintf(ret, size, "SIGRTMIN+%d", number - SIGNAL_RT_FIRST);
	else
		snprintf(ret, size, "SIG%d", number);
}
