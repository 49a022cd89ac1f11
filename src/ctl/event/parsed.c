/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/event/parsed.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "util/nulstr.h"

#define NS_PER_S 1000000000ULL
#define DAYS_BEFORE_1970 719468 /* from March 1st of the year 0 on */

/* Where a key's value goes, for those that are stored as they are; the others have a function below. */
struct slot {
	size_t offset;
	unsigned char kind; /* enum parsed_kind */
	unsigned char size; /* of a number or a flag; 0: it is not stored as it is */
};

#define AT(kind, member)                                                                       \
	{                                                                                      \
		offsetof(struct parsed, member), kind, sizeof(((struct parsed *)NULL)->member) \
	}
#define NUMBER(member) AT(PARSED_NUMBER, member)
#define FLAG(member) AT(PARSED_FLAG, member)
#define TEXT(member) AT(PARSED_TEXT, member)
#define TIME(member) AT(PARSED_TIME, member)
#define LIST(member) AT(PARSED_LIST, member)
#define SPECIAL(kind)      \
	{                  \
		0, kind, 0 \
	}

static const struct slot slots[KEY_MAX] = {
	[KEY_TYPE] = TEXT(type),
	[KEY_SEQ] = NUMBER(event.seq),
	[KEY_TIME] = TIME(event.time),
	[KEY_SNAPSHOT] = FLAG(event.snapshot),
	[KEY_SOURCE] = TEXT(source),
	[KEY_ID] = TEXT(id),
	[KEY_PARENT_ID] = TEXT(parent_id),
	[KEY_START_TIME] = TIME(process.start_time),
	[KEY_PPID] = NUMBER(process.ppid),
	[KEY_PARENT_COMM] = TEXT(process.parent_comm),
	[KEY_PID] = NUMBER(process.tgid),
	[KEY_UID] = NUMBER(process.uid),
	[KEY_GID] = NUMBER(process.gid),
	[KEY_COMM] = TEXT(process.comm),
	[KEY_EXE] = TEXT(process.image.exe),
	[KEY_FILENAME] = TEXT(process.image.filename),
	[KEY_ARGS] = LIST(process.image.args),
	[KEY_ARGS_TRUNCATED] = FLAG(process.image.args_truncated),
	[KEY_ARGC] = NUMBER(process.image.argc),
	[KEY_ARGS_SIZE] = NUMBER(process.image.args_size),
	[KEY_ENV] = AT(PARSED_OBJECT, process.image.env),
	[KEY_INCOMPLETE] = SPECIAL(PARSED_LIST),
	[KEY_KERNEL_THREAD] = FLAG(process.kernel_thread),
	[KEY_EXE_DELETED] = FLAG(process.image.exe_deleted),
	[KEY_EXE_MEMFD] = FLAG(process.image.exe_memfd),
	[KEY_EXE_UPPER] = FLAG(process.image.exe_upper),
	[KEY_EXE_CTIME] = TIME(process.image.exe_ctime),
	[KEY_SECUREEXEC] = FLAG(process.image.secureexec),
	[KEY_EUID] = NUMBER(process.euid),
	[KEY_EGID] = NUMBER(process.egid),
	[KEY_CAPS] = SPECIAL(PARSED_TEXT),
	[KEY_LOGINUID] = NUMBER(process.loginuid),
	[KEY_SESSION_ID] = NUMBER(process.session_id),
	[KEY_SID] = NUMBER(process.sid),
	[KEY_PGID] = NUMBER(process.pgid),
	[KEY_TTY] = TEXT(tty),
	[KEY_CWD] = TEXT(process.image.cwd),
	[KEY_CGROUP] = TEXT(process.image.cgroup),
	[KEY_UNIT] = TEXT(process.image.unit),
	[KEY_CONTAINER_ID] = TEXT(process.image.container_id),
	[KEY_POD_UID] = TEXT(process.image.pod_uid),
	[KEY_PID_NS] = NUMBER(process.pid_ns),
	[KEY_NS_PID] = NUMBER(process.ns_pid),
	[KEY_MNT_NS] = NUMBER(process.mnt_ns),
	[KEY_NET_NS] = NUMBER(process.net_ns),
	[KEY_USER_NS] = NUMBER(process.user_ns),
	[KEY_UTS_NS] = NUMBER(process.uts_ns),
	[KEY_IPC_NS] = NUMBER(process.ipc_ns),
	[KEY_CGROUP_NS] = NUMBER(process.cgroup_ns),
	[KEY_TIME_NS] = NUMBER(process.time_ns),
	[KEY_EXE_INODE] = NUMBER(process.image.exe_inode),
	[KEY_EXE_DEV] = SPECIAL(PARSED_TEXT),
	[KEY_SESSION_LEADER_ID] = SPECIAL(PARSED_TEXT),
	[KEY_ANCESTORS] = LIST(process.ancestors),
	[KEY_END_TIME] = SPECIAL(PARSED_TIME),
	[KEY_RUNNING_TIME_NS] = NUMBER(event.end.running_ns),
	[KEY_RESULT] = SPECIAL(PARSED_TEXT),
	[KEY_EXIT_CODE] = SPECIAL(PARSED_NUMBER),
	[KEY_EXIT_SIGNAL] = SPECIAL(PARSED_TEXT),
	[KEY_CORE_DUMPED] = SPECIAL(PARSED_FLAG),
	[KEY_CPU_USER_NS] = NUMBER(event.end.cpu_user_ns),
	[KEY_CPU_SYSTEM_NS] = NUMBER(event.end.cpu_system_ns),
	[KEY_MAX_RSS_BYTES] = NUMBER(event.end.max_rss_bytes),
	[KEY_READ_BYTES] = NUMBER(event.end.read_bytes),
	[KEY_WRITE_BYTES] = NUMBER(event.end.write_bytes),
	[KEY_ERROR_CODE] = SPECIAL(PARSED_NUMBER),
	[KEY_ERROR] = TEXT(error_name),
	[KEY_PATH_TRIES] = NUMBER(event.path_tries),
	[KEY_HOST] = TEXT(extras.host),
	[KEY_USER] = TEXT(extras.user),
	[KEY_GROUP] = TEXT(extras.group),
	[KEY_LOGIN_USER] = TEXT(extras.login_user),
	[KEY_PARENT_EXE] = TEXT(extras.parent_exe),
	[KEY_PARENT_ARGS] = LIST(extras.parent_args),
	[KEY_PARENT_ARGS_TRUNCATED] = FLAG(extras.parent_args_truncated),
	[KEY_STARTER_ID] = TEXT(starter_id),
	[KEY_STARTER_EXEC_TIME] = TIME(process.starter_exec_time),
	[KEY_COUNT] = NUMBER(event.lost.count),
	[KEY_WHERE] = SPECIAL(PARSED_TEXT),
	[KEY_FIRST_SEQ] = NUMBER(event.lost.first_seq),
	[KEY_LAST_SEQ] = NUMBER(event.lost.last_seq),
};

enum parsed_kind parsed_kind(enum key key)
{
	return slots[key].kind;
}

static void *member(struct parsed *parsed, enum key key)
{
	return (char *)parsed + slots[key].offset;
}

static void have(struct parsed *parsed, enum key key)
{
	parsed->keys |= KEY_BIT(key);
}

bool parsed_as_it_came(const struct parsed *parsed, enum key key, struct bytes *ret)
{
	if (slots[key].kind != PARSED_TEXT || slots[key].size == 0)
		return false;
	*ret = key == KEY_HOST ? parsed->host : *(const struct bytes *)((const char *)parsed + slots[key].offset);
	return true;
}

void parsed_begin(struct parsed *parsed)
{
	memset(parsed, 0, sizeof(*parsed));
	parsed->event.type = EVENT_TYPE_MAX;
	parsed->process.loginuid = parsed->process.session_id = PROCESS_UNSET;
}

void parsed_number(struct parsed *parsed, enum key key, int64_t value)
{
	uint32_t narrow = (uint32_t)value;

	switch (key) {
	case KEY_EXIT_CODE:
		if (value < 0 || value > 255)
			return;
		parsed->event.end.status = (uint32_t)value << 8;
		break;
	case KEY_ERROR_CODE:
		if (value >= 0 || value < -4095)
			return;
		parsed->event.error = (int)-value;
		break;
	default:
		if (slots[key].kind != PARSED_NUMBER)
			return;
		if (slots[key].size == sizeof(narrow)) {
			if ((uint64_t)value > UINT32_MAX)
				return;
			memcpy(member(parsed, key), &narrow, sizeof(narrow));
		} else {
			memcpy(member(parsed, key), &value, sizeof(value));
		}
	}
	have(parsed, key);
}

void parsed_flag(struct parsed *parsed, enum key key)
{
	if (slots[key].kind != PARSED_FLAG)
		return;
	if (slots[key].size > 0)
		*(bool *)member(parsed, key) = true;
	have(parsed, key);
}

/* The number that signal_name() gives this name. */
static int signal_number(struct bytes name)
{
	char candidate[32];

	for (int i = 1; i < _NSIG; i++) {
		signal_name(candidate, sizeof(candidate), i);
		if (bytes_equal(name, bytes_of(candidate)))
			return i;
	}
	return 0;
}

/* A table, since no CPU predicts branches on hexadecimal digits. */
static unsigned digit_of(char c)
{
	/* One more than the value. */
	static const unsigned char values[256] = {
		['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
		['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	};

	return values[(unsigned char)c] - 1u;
}

static bool digits(struct bytes text, unsigned base, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = digit_of(text.data[i]);

		if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret = value;
	return text.size > 0;
}

static bool device(struct bytes text, uint32_t *ret_major, uint32_t *ret_minor)
{
	const char *colon = text.size ? memchr(text.data, ':', text.size) : NULL;
	uint64_t first, second;

	if (!colon || !digits((struct bytes){ text.data, (size_t)(colon - text.data) }, 10, &first) ||
	    !digits((struct bytes){ colon + 1, text.size - (size_t)(colon + 1 - text.data) }, 10, &second) ||
	    first > UINT32_MAX || second > UINT32_MAX)
		return false;
	*ret_major = (uint32_t)first;
	*ret_minor = (uint32_t)second;
	return true;
}

/* As process_id_format() writes it. Ids are opaque, but the daemon's encoder makes them of these. */
static bool id_parts(struct bytes id, uint64_t *ret_boot, uint64_t *ret_start)
{
	const char *first = id.size ? memchr(id.data, '-', id.size) : NULL,
		   *last = id.size ? memrchr(id.data, '-', id.size) : NULL;

	return first && first != last && digits((struct bytes){ id.data, (size_t)(first - id.data) }, 16, ret_boot) &&
	       digits((struct bytes){ last + 1, id.size - (size_t)(last + 1 - id.data) }, 16, ret_start);
}

static bool id_pid(struct bytes id, uint32_t *ret)
{
	const char *first = id.size ? memchr(id.data, '-', id.size) : NULL,
		   *last = id.size ? memrchr(id.data, '-', id.size) : NULL;
	uint64_t pid;

	if (!first || first == last || !digits((struct bytes){ first + 1, (size_t)(last - first - 1) }, 10, &pid) ||
	    pid > UINT32_MAX)
		return false;
	*ret = (uint32_t)pid;
	return true;
}

static bool place(struct bytes text, enum lost_where *ret)
{
	static const char *const names[] = { "kernel", "subscriber", "journal" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (bytes_equal(text, bytes_of(names[i]))) {
			*ret = (enum lost_where)i;
			return true;
		}
	}
	return false;
}

static bool special_text(struct parsed *parsed, enum key key, struct bytes value)
{
	struct image *image = &parsed->process.image;
	int number;

	switch (key) {
	case KEY_CAPS:
		return digits(value, 16, &parsed->process.caps);
	case KEY_EXE_DEV:
		return device(value, &image->exe_dev_major, &image->exe_dev_minor);
	case KEY_SESSION_LEADER_ID:
		return id_parts(value, &parsed->event.boot, &parsed->process.session_start);
	case KEY_EXIT_SIGNAL:
		number = signal_number(value);
		parsed->event.end.status = (uint32_t)number;
		return number > 0;
	case KEY_RESULT:
		return result_by_name(value, &parsed->event.end.result);
	case KEY_WHERE:
		return place(value, &parsed->event.lost.where);
	default:
		return false;
	}
}

void parsed_text(struct parsed *parsed, enum key key, struct bytes value)
{
	uint64_t ns;

	if (slots[key].kind == PARSED_TIME) {
		if (!parsed_time(value, &ns))
			return;
		if (slots[key].size > 0)
			memcpy(member(parsed, key), &ns, sizeof(ns));
	} else if (slots[key].kind != PARSED_TEXT) {
		return;
	} else if (slots[key].size > 0) {
		memcpy(member(parsed, key), &value, sizeof(value));
	} else if (!special_text(parsed, key, value)) {
		return;
	}
	have(parsed, key);
}

static unsigned incomplete_of(struct bytes names)
{
	static const struct {
		enum key key;
		enum incomplete part;
	} parts[] = {
		{ KEY_EXE, INCOMPLETE_EXE },	     { KEY_FILENAME, INCOMPLETE_FILENAME },
		{ KEY_ENV, INCOMPLETE_ENV },	     { KEY_CWD, INCOMPLETE_CWD },
		{ KEY_CGROUP, INCOMPLETE_CGROUP },   { KEY_ANCESTORS, INCOMPLETE_ANCESTORS },
		{ KEY_EXE_DEV, INCOMPLETE_EXE_DEV }, { KEY_ARGS, INCOMPLETE_ARGS },
	};
	struct bytes name;
	unsigned bits = 0;

	for (size_t at = 0; nulstr_next(names, &at, &name);)
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			if (bytes_equal(name, bytes_of(key_name(parts[i].key))))
				bits |= INCOMPLETE_BIT(parts[i].part);
	return bits;
}

void parsed_list(struct parsed *parsed, enum key key, struct bytes items)
{
	if (key == KEY_INCOMPLETE)
		parsed->process.image.incomplete = incomplete_of(items);
	if (slots[key].kind != PARSED_LIST && slots[key].kind != PARSED_OBJECT)
		return;
	if (slots[key].size > 0)
		memcpy(member(parsed, key), &items, sizeof(items));
	have(parsed, key);
}

void parsed_value(struct parsed *parsed, enum key key, struct bytes value)
{
	bool negative = value.size > 0 && value.data[0] == '-';
	uint64_t number;

	switch (parsed_kind(key)) {
	case PARSED_NUMBER:
		if (negative && key != KEY_ERROR_CODE)
			break;
		if (digits((struct bytes){ value.data + negative, value.size - negative }, 10, &number))
			parsed_number(parsed, key, negative ? -(int64_t)number : (int64_t)number);
		break;
	case PARSED_FLAG:
		if (bytes_equal(value, BYTES("true")))
			parsed_flag(parsed, key);
		break;
	default:
		parsed_text(parsed, key, value);
	}
}

static void end_tty(struct parsed *parsed)
{
	char name[32];

	if (parsed->tty.size == 0 || parsed->tty.size >= sizeof(name))
		return;
	memcpy(name, parsed->tty.data, parsed->tty.size);
	name[parsed->tty.size] = '\0';
	tty_number(name, &parsed->process.tty_major, &parsed->process.tty_minor);
}

void parsed_end(struct parsed *parsed)
{
	struct event *event = &parsed->event;
	struct process *process = &parsed->process;

	if (!event_type_by_name(parsed->type, &event->type))
		event->type = EVENT_TYPE_MAX;
	event->process = event->type < EVENT_LOST ? process : NULL;
	event->extras = &parsed->extras;
	parsed->extras.made = KEYS_EVERY;
	if (parsed_has(parsed, KEY_HOST))
		parsed->host = parsed->extras.host;
	if (bytes_equal(parsed->source, BYTES("proc")))
		event->source = SOURCE_PROC;
	else if (bytes_equal(parsed->source, BYTES("resync")))
		event->source = SOURCE_RESYNC;
	process->source = event->source;
	id_parts(parsed->id, &event->boot, &process->start);
	id_parts(parsed->parent_id, &event->boot, &process->parent_start);
	if (id_pid(parsed->starter_id, &process->starter))
		id_parts(parsed->starter_id, &event->boot, &process->starter_start);
	end_tty(parsed);
	process->ids_known = parsed_has(parsed, KEY_EUID);
	process->image.exe_ctime_known = parsed_has(parsed, KEY_EXE_CTIME);
	event->end.status_known = parsed_has(parsed, KEY_EXIT_CODE) || parsed_has(parsed, KEY_EXIT_SIGNAL);
	if (parsed_has(parsed, KEY_EXIT_SIGNAL) && parsed_has(parsed, KEY_CORE_DUMPED))
		event->end.status |= 0x80; /* WCOREDUMP, wait(2) */
	/* fields = history leaves out what follows from these. */
	if (event->type == EVENT_EXITED && !parsed_has(parsed, KEY_TIME) && parsed_has(parsed, KEY_START_TIME) &&
	    parsed_has(parsed, KEY_RUNNING_TIME_NS)) {
		event->time = process->start_time + event->end.running_ns;
		have(parsed, KEY_TIME);
	}
	event->end.cpu_known = parsed_has(parsed, KEY_CPU_USER_NS);
	event->end.rss_known = parsed_has(parsed, KEY_MAX_RSS_BYTES);
	event->end.io_known = parsed_has(parsed, KEY_READ_BYTES);
}

/* Digits at a fixed place. */
static bool number_at(const char *text, size_t size, int *ret)
{
	*ret = 0;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*ret = *ret * 10 + text[i] - '0';
	}
	return true;
}

/* As timegm(3), which takes many times as long. tm_year and tm_mon as people write them. Years begin in March here, so
 * that the day that not all of them have is the last one. */
static uint64_t seconds_of(const struct tm *tm)
{
	unsigned year = (unsigned)tm->tm_year - (tm->tm_mon <= 2), month = ((unsigned)tm->tm_mon + 9) % 12;
	uint64_t days = year * UINT64_C(365) + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 +
			(unsigned)tm->tm_mday - 1 - DAYS_BEFORE_1970;

	return ((days * 24 + (unsigned)tm->tm_hour) * 60 + (unsigned)tm->tm_min) * 60 + (unsigned)tm->tm_sec;
}

bool parsed_time(struct bytes text, uint64_t *ret_ns)
{
	const char *s = text.data;
	struct tm tm = { 0 };
	uint64_t fraction = 0, unit = NS_PER_S;

	if (text.size < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' ||
	    s[text.size - 1] != 'Z' || !number_at(s, 4, &tm.tm_year) || !number_at(s + 5, 2, &tm.tm_mon) ||
	    !number_at(s + 8, 2, &tm.tm_mday) || !number_at(s + 11, 2, &tm.tm_hour) ||
	    !number_at(s + 14, 2, &tm.tm_min) || !number_at(s + 17, 2, &tm.tm_sec))
		return false;
	if (text.size > 20 && s[19] != '.')
		return false;
	for (size_t i = 20; i + 1 < text.size; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		unit /= 10;
		fraction += (uint64_t)(s[i] - '0') * unit;
	}
	if (tm.tm_year < 1970 || tm.tm_year > 2500 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	*ret_ns = seconds_of(&tm) * NS_PER_S + fraction;
	return true;
}

void parsed_status(const struct parsed *parsed, char *ret, size_t size)
{
	const struct event *event = &parsed->event;
	int status = (int)event->end.status;
	const char *name;

	ret[0] = '\0';
	if (event->type == EVENT_ERROR) {
		name = errno_name(event->error);
		if (name)
			snprintf(ret, size, "%s", name);
		else
			snprintf(ret, size, "error %d", event->error);
	} else if (event->type == EVENT_EXITED && event->end.status_known) {
		if (WIFSIGNALED(status))
			signal_name(ret, size, WTERMSIG(status));
		else if (WEXITSTATUS(status) == 0)
			snprintf(ret, size, "0");
		else
			snprintf(ret, size, "exit %d", WEXITSTATUS(status));
	} else if (event->type == EVENT_EXITED) {
		snprintf(ret, size, "?");
	}
}

bool parsed_failed(const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	return event->type == EVENT_ERROR || event_result(event) > RESULT_SUCCESS;
}
