/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over the keys of an event. It follows execsnoopd-events(7) line by line: a key without a
 * value is omitted, and the order is that of the table in key.c.
 *
 * After the first result of the visitor that is not 0 no key is wanted any more, so there is nothing
 * to check between two keys. Nothing is owned or allocated; strings made here are valid for their
 * callback.
 */
#include "model/event.h"

#include <stdio.h>
#include <sys/wait.h>

#include "model/extras.h"
#include "util/cleanup.h"

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

struct walk {
	const struct event_visitor *visitor;
	void *userdata;
	key_set keys;
	int result;
};

static bool wants(const struct walk *w, enum key key)
{
	return w->keys & KEY_BIT(key);
}

static void set_result(struct walk *w, int result)
{
	w->result = result;
	if (result != 0)
		w->keys = 0;
}

static void run(struct walk *w, enum key key, struct bytes value)
{
	if (value.data && wants(w, key))
		set_result(w, w->visitor->bytes(w->userdata, key, value));
}

static void list(struct walk *w, enum key key, struct bytes items)
{
	if (items.data && wants(w, key))
		set_result(w, w->visitor->list(w->userdata, key, items));
}

static void number(struct walk *w, enum key key, int64_t value)
{
	char digits[EVENT_NUMBER_SIZE];

	if (!wants(w, key))
		return;
	if (w->visitor->number)
		set_result(w, w->visitor->number(w->userdata, key, value));
	else
		run(w, key, (struct bytes){ digits, event_number_format(digits, key, value) });
}

static void number_if(struct walk *w, bool known, enum key key, int64_t value)
{
	if (known)
		number(w, key, value);
}

static void flag(struct walk *w, enum key key, bool value)
{
	if (!value || !wants(w, key))
		return;
	if (w->visitor->flag)
		set_result(w, w->visitor->flag(w->userdata, key));
	else
		run(w, key, BYTES("true"));
}

static void text(struct walk *w, enum key key, const char *value)
{
	if (!value || !wants(w, key))
		return;
	if (w->visitor->text)
		set_result(w, w->visitor->text(w->userdata, key, value));
	else
		run(w, key, bytes_of(value));
}

static void date(struct walk *w, enum key key, uint64_t ns)
{
	char time[EVENT_TIME_SIZE];

	if (!wants(w, key))
		return;
	if (w->visitor->time) {
		set_result(w, w->visitor->time(w->userdata, key, ns));
		return;
	}
	event_time_format(time, ns);
	run(w, key, bytes_of(time));
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
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s", key_name(of[i])) + 1;
	list(w, KEY_INCOMPLETE, (struct bytes){ names, at });
}

static void visit_image(struct walk *w, const struct process *p)
{
	const struct image *image = &p->image;

	run(w, KEY_EXE, image->exe);
	run(w, KEY_FILENAME, image->filename);
	list(w, KEY_ARGS, image->args);
	flag(w, KEY_ARGS_TRUNCATED, image->args_truncated);
	/* A size of 0: they could not be counted. */
	number_if(w, image->args_truncated && image->args_size > 0, KEY_ARGC, image->argc);
	number_if(w, image->args_truncated && image->args_size > 0, KEY_ARGS_SIZE, (int64_t)image->args_size);
	if (image->env.size > 0 && wants(w, KEY_ENV))
		set_result(w, w->visitor->object(w->userdata, KEY_ENV, image->env));
	incomplete(w, image->incomplete);
	flag(w, KEY_KERNEL_THREAD, p->kernel_thread);
	flag(w, KEY_EXE_DELETED, image->exe_deleted);
	flag(w, KEY_EXE_MEMFD, image->exe_memfd);
	flag(w, KEY_EXE_UPPER, image->exe_upper);
	if (image->exe_ctime_known)
		date(w, KEY_EXE_CTIME, image->exe_ctime);
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

static void visit_namespaces(struct walk *w, const struct process *p)
{
	number_if(w, p->pid_ns != 0, KEY_PID_NS, p->pid_ns);
	number_if(w, p->ns_pid != 0, KEY_NS_PID, p->ns_pid);
	number_if(w, p->mnt_ns != 0, KEY_MNT_NS, p->mnt_ns);
	number_if(w, p->net_ns != 0, KEY_NET_NS, p->net_ns);
	number_if(w, p->user_ns != 0, KEY_USER_NS, p->user_ns);
	number_if(w, p->uts_ns != 0, KEY_UTS_NS, p->uts_ns);
	number_if(w, p->ipc_ns != 0, KEY_IPC_NS, p->ipc_ns);
	number_if(w, p->cgroup_ns != 0, KEY_CGROUP_NS, p->cgroup_ns);
	number_if(w, p->time_ns != 0, KEY_TIME_NS, p->time_ns);
}

static void visit_place(struct walk *w, const struct event *event)
{
	const struct process *p = event->process;
	const struct image *image = &p->image;

	run(w, KEY_CWD, image->cwd);
	/* Of one that is too long there are the ends, for filters. */
	if (!(image->incomplete & INCOMPLETE_BIT(INCOMPLETE_CGROUP)))
		run(w, KEY_CGROUP, image->cgroup);
	run(w, KEY_UNIT, image->unit);
	run(w, KEY_CONTAINER_ID, image->container_id);
	run(w, KEY_POD_UID, image->pod_uid);
	visit_namespaces(w, p);
	if (image->exe_inode != 0) {
		number(w, KEY_EXE_INODE, (int64_t)image->exe_inode);
		exe_dev(w, image);
	}
	if (p->session_start != 0)
		id(w, KEY_SESSION_LEADER_ID, event->boot, p->sid, p->session_start);
	if (p->ancestors.size > 0)
		list(w, KEY_ANCESTORS, p->ancestors);
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
	visit_place(w, event);
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

static void visit_extras(struct walk *w, const struct event *event)
{
	struct extras *extras = event->extras;

	if (!extras || !(w->keys & KEYS_ON_REQUEST))
		return;
	extras_make(extras, event->process, w->keys);
	run(w, KEY_HOST, extras->host);
	if (!event->process)
		return;
	run(w, KEY_USER, extras->user);
	run(w, KEY_GROUP, extras->group);
	run(w, KEY_LOGIN_USER, extras->login_user);
	run(w, KEY_PARENT_EXE, extras->parent_exe);
	list(w, KEY_PARENT_ARGS, extras->parent_args);
	flag(w, KEY_PARENT_ARGS_TRUNCATED, extras->parent_args_truncated);
}

static void visit_starter(struct walk *w, const struct event *event)
{
	const struct process *p = event->process;

	if (!p || p->starter == 0)
		return;
	id(w, KEY_STARTER_ID, event->boot, p->starter, p->starter_start);
	if (p->starter_exec_time != 0)
		date(w, KEY_STARTER_EXEC_TIME, p->starter_exec_time);
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
	number_if(w, event->path_tries > 1, KEY_PATH_TRIES, event->path_tries);
}

int event_visit(const struct event *event, key_set wanted, const struct event_visitor *visitor, void *userdata)
{
	struct walk w = {
		.visitor = visitor,
		.userdata = userdata,
		.keys = event_keys(event, wanted),
	};

	text(&w, KEY_TYPE, event_type_name(event->type));
	number_if(&w, event->seq != 0 && !event->snapshot && event->type != EVENT_LIVE, KEY_SEQ, (int64_t)event->seq);
	date(&w, KEY_TIME, event->time);
	if (event->type == EVENT_LIVE)
		return w.result;
	if (event->type != EVENT_LOST)
		visit_process_event(&w, event);
	visit_extras(&w, event);
	visit_starter(&w, event);
	if (event->type == EVENT_LOST)
		visit_lost(&w, event);
	return w.result;
}
