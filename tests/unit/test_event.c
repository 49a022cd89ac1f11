/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/event.h"
#include "model/event_cut.h"
#include "model/extras.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "tap.h"
#include "whole_process.h"

/* A visitor that writes down what it gets, a line for each call: KIND KEY=VALUE. */
struct seen {
	char text[16384];
	size_t size;
	unsigned calls, stop_after; /* answers 7 to that call; 0: never */
};

static int note(struct seen *s, const char *kind, enum key key, struct bytes value)
{
	CHECK(s->stop_after == 0 || s->calls < s->stop_after);
	s->size += (size_t)snprintf(s->text + s->size, sizeof(s->text) - s->size, "%s %s=", kind, key_name(key));
	CHECK(s->size + value.size + 2 < sizeof(s->text));
	for (size_t i = 0; i < value.size; i++)
		s->text[s->size++] = value.data[i] ? value.data[i] : '|';
	s->text[s->size++] = '\n';
	s->text[s->size] = '\0';
	return ++s->calls == s->stop_after ? 7 : 0;
}

static int on_number(void *userdata, enum key key, int64_t value)
{
	char digits[EVENT_NUMBER_SIZE];
	size_t size = event_number_format(digits, key, value);

	CHECK_INT(size, strlen(digits));
	return note(userdata, "number", key, (struct bytes){ digits, size });
}

static int on_flag(void *userdata, enum key key)
{
	return note(userdata, "flag", key, BYTES(""));
}

static int on_text(void *userdata, enum key key, const char *value)
{
	return note(userdata, "text", key, bytes_of(value));
}

static int on_time(void *userdata, enum key key, uint64_t ns)
{
	char time[EVENT_TIME_SIZE];

	event_time_format(time, ns);
	return note(userdata, "time", key, bytes_of(time));
}

static int on_bytes(void *userdata, enum key key, struct bytes value)
{
	CHECK(value.data);
	return note(userdata, "bytes", key, value);
}

static int on_list(void *userdata, enum key key, struct bytes items)
{
	CHECK(items.data);
	return note(userdata, "list", key, items);
}

static int on_object(void *userdata, enum key key, struct bytes items)
{
	CHECK(items.data);
	return note(userdata, "object", key, items);
}

static const struct event_visitor visitor = {
	.number = on_number,
	.flag = on_flag,
	.text = on_text,
	.time = on_time,
	.bytes = on_bytes,
	.list = on_list,
	.object = on_object,
};

static struct seen seen;
static struct process p;
static struct event event;

static const char *visit(key_set keys)
{
	seen = (struct seen){ 0 };
	CHECK_INT(event_visit(&event, keys, &visitor, &seen), 0);
	return seen.text;
}

/* The line of a key in a visit; "" if there is none. */
static const char *line_in(key_set keys, enum key key)
{
	static char line[1024];
	char *save = NULL, copy[sizeof(seen.text)];
	size_t size = strlen(key_name(key));

	visit(keys);
	memcpy(copy, seen.text, sizeof(copy));
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		const char *name = strchr(l, ' ') + 1;

		if (strncmp(name, key_name(key), size) == 0 && name[size] == '=') {
			snprintf(line, sizeof(line), "%s", l);
			return line;
		}
	}
	return "";
}

static const char *line_of(enum key key)
{
	return line_in(KEYS_ALL, key);
}

#define NS UINT64_C(1000000000)

static void begin(void)
{
	p = whole_process();
	event = (struct event){ .type = EVENT_STARTED, .process = &p };
}
SETUP(begin)

#define WHO                                                                                               \
	"text id=00000000000000b0-22022-abc\n"                                                            \
	"text parent_id=00000000000000b0-15785-123\n"                                                     \
	"time start_time=2017-11-03T15:16:56.890551865Z\n"                                                \
	"number ppid=15785\nbytes parent_comm=bash\nnumber pid=22022\nnumber uid=1000\nnumber gid=1001\n" \
	"bytes comm=curl\n"
#define WHAT                                                                                                                        \
	"bytes exe=/usr/bin/curl\nbytes filename=curl\nlist args=curl|-O|\nflag args_truncated=\nnumber argc=17\n"                  \
	"number args_size=4711\nobject env=LANG=C|\nflag kernel_thread=\nflag exe_deleted=\nflag exe_memfd=\n"                      \
	"flag exe_upper=\ntime exe_ctime=1970-01-01T00:00:00.000000007Z\n"                                                          \
	"flag secureexec=\nnumber euid=0\nnumber egid=1002\ntext caps=000001ffffffffff\nnumber loginuid=1003\n"                     \
	"number session_id=3\nnumber sid=15785\nnumber pgid=22021\ntext tty=pts/3\nbytes cwd=/root\n"                               \
	"bytes cgroup=/a/b.service\nbytes unit=b.service\nbytes container_id=c0ffee\nbytes pod_uid=7ea\nnumber pid_ns=4026531836\n" \
	"number ns_pid=12\nnumber mnt_ns=4026531841\nnumber net_ns=1\nnumber user_ns=2\nnumber uts_ns=3\nnumber ipc_ns=4\n"         \
	"number cgroup_ns=5\nnumber time_ns=4294967295\nnumber exe_inode=18446744073709551615\n"                                    \
	"text exe_dev=259:4294967295\ntext session_leader_id=00000000000000b0-15785-77\nlist ancestors=bash|systemd|\n"

TEST(cut_ends_between_two_arguments)
{
	const char args[] = "ls\0-l\0\0file";
	const size_t sizes[] = { 0, 0, 0, 3, 3, 3, 6, 7, 7, 7, 7, 7 }; /* by limit */
	struct event_cut cut;

	p = (struct process){
		.tgid = 7,
		.image = { .args = { args, sizeof(args) }, .argc = 4, .args_size = sizeof(args) },
	};
	event.seq = 3;
	CHECK(event_cut_args(&event, KEYS_ALL, 0, &cut) == &event);
	CHECK(event_cut_args(&event, KEYS_ALL, sizeof(args), &cut) == &event);
	for (size_t limit = 1; limit < sizeof(sizes) / sizeof(sizes[0]); limit++) {
		const struct event *view = event_cut_args(&event, KEYS_ALL, limit, &cut);
		const struct image *image = &view->process->image;

		CHECK(view != &event && view->seq == 3 && view->process->tgid == 7);
		CHECK_INT(image->args.size, sizes[limit]);
		CHECK(image->args.data == args && image->args_truncated);
		CHECK_INT(image->argc, 4);
		CHECK_INT(image->args_size, sizeof(args));
	}
	CHECK_INT(p.image.args.size, sizeof(args));
	CHECK(!p.image.args_truncated);
}

TEST(started_has_its_keys_in_the_order_of_the_manual)
{
	event = (struct event){
		.type = EVENT_STARTED,
		.seq = UINT64_MAX,
		.time = NS + 1,
		.boot = 0xb0,
		.process = &p,
		.error = 13,
	};
	CHECK_STR(visit(KEYS_ALL), "text type=started\nnumber seq=18446744073709551615\n"
				   "time time=1970-01-01T00:00:01.000000001Z\n" WHO WHAT);
}

TEST(exited_has_all_its_keys)
{
	event = (struct event){
		.type = EVENT_EXITED, .seq = 2, .time = 3 * NS, .boot = 0xb0, .process = &p, .source = SOURCE_RESYNC,
		.end = {
			.running_ns = 123 * NS + 109448135, .status_known = true, .status = 139,
			.cpu_known = true, .rss_known = true, .io_known = true,
			.cpu_user_ns = 1, .cpu_system_ns = 0, .max_rss_bytes = 3,
			.read_bytes = UINT64_MAX, .write_bytes = 5,
		},
	};
	CHECK_STR(visit(KEYS_ALL), "text type=exited\nnumber seq=2\n"
				   "time time=1970-01-01T00:00:03.000000000Z\ntext source=resync\n" WHO WHAT
				   "time end_time=2017-11-03T15:19:00.000000000Z\n"
				   "number running_time_ns=123109448135\n"
				   "text result=core-dump\ntext exit_signal=SIGSEGV\nflag core_dumped=\n"
				   "number cpu_user_ns=1\nnumber cpu_system_ns=0\nnumber max_rss_bytes=3\n"
				   "number read_bytes=18446744073709551615\nnumber write_bytes=5\n");
}

TEST(unknown_values_are_left_out)
{
	static const char who[] = "text id=0000000000000000-2-1\ntime start_time=1970-01-01T00:00:00.000000000Z\n"
				  "number ppid=0\nnumber pid=2\nnumber uid=0\nnumber gid=0\n";
	char expected[1024];

	p = (struct process){ .tgid = 2, .start = 1, .loginuid = PROCESS_UNSET, .session_id = PROCESS_UNSET };
	snprintf(expected, sizeof(expected), "text type=started\ntime time=1970-01-01T00:00:00.000000000Z\n%s", who);
	CHECK_STR(visit(KEYS_ALL), expected);
	event.type = EVENT_EXITED;
	snprintf(expected, sizeof(expected),
		 "text type=exited\ntime time=1970-01-01T00:00:00.000000000Z\n%s"
		 "time end_time=1970-01-01T00:00:00.000000000Z\nnumber running_time_ns=0\n",
		 who);
	CHECK_STR(visit(KEYS_ALL), expected);
}

TEST(known_zeros_are_present)
{
	p = (struct process){
		.ids_known = true, .image.args = BYTES(""), .image.args_truncated = true, .comm = BYTES("")
	};
	event = (struct event){ .type = EVENT_EXITED, .process = &p, .end.status_known = true, .end.io_known = true };
	CHECK_STR(line_of(KEY_COMM), "bytes comm=");
	CHECK_STR(line_of(KEY_ARGS), "list args=");
	CHECK_STR(line_of(KEY_EUID), "number euid=0");
	CHECK_STR(line_of(KEY_CAPS), "text caps=0000000000000000");
	CHECK_STR(line_of(KEY_LOGINUID), "number loginuid=0");
	CHECK_STR(line_of(KEY_SESSION_ID), "number session_id=0");
	CHECK_STR(line_of(KEY_SID), "number sid=0");
	CHECK_STR(line_of(KEY_PGID), "number pgid=0");
	CHECK_STR(line_of(KEY_EXIT_CODE), "number exit_code=0");
	CHECK_STR(line_of(KEY_READ_BYTES), "number read_bytes=0");
	CHECK_STR(line_of(KEY_CPU_USER_NS), "");
	CHECK_STR(line_of(KEY_MAX_RSS_BYTES), "");
}

TEST(empty_lists_but_args_are_left_out)
{
	p = (struct process){ .ancestors = BYTES(""), .image.env = BYTES("") };
	event = (struct event){ .type = EVENT_FORKED, .process = &p };
	CHECK_STR(line_of(KEY_TYPE), "text type=forked");
	CHECK_STR(line_of(KEY_ANCESTORS), "");
	CHECK_STR(line_of(KEY_ENV), "");
	CHECK_STR(line_of(KEY_ARGS), "");
}

TEST(argc_only_where_arguments_are_missing)
{
	p.image.args_truncated = false;
	CHECK_STR(line_of(KEY_ARGC), "");
	CHECK_STR(line_of(KEY_ARGS_SIZE), "");
	/* Some are missing; how many is unknown. */
	p.image.args_truncated = true;
	p.image.args_size = 0;
	CHECK_STR(line_of(KEY_ARGS_TRUNCATED), "flag args_truncated=");
	CHECK_STR(line_of(KEY_ARGC), "");
	CHECK_STR(line_of(KEY_ARGS_SIZE), "");
}

TEST(incomplete_keys_are_named)
{
	CHECK_INT(p.image.incomplete, 0);
	CHECK_STR(line_of(KEY_INCOMPLETE), "");
	p.image.incomplete = INCOMPLETE_BIT(INCOMPLETE_CWD) | INCOMPLETE_BIT(INCOMPLETE_EXE);
	CHECK_STR(line_of(KEY_INCOMPLETE), "list incomplete=exe|cwd|");
	p.image.incomplete = INCOMPLETE_BIT(INCOMPLETE_MAX) - 1;
	CHECK_STR(line_of(KEY_INCOMPLETE), "list incomplete=exe|filename|env|cwd|cgroup|ancestors|exe_dev|args|");
}

TEST(parent_id_needs_both_parts)
{
	p.parent_start = 0;
	CHECK_STR(line_of(KEY_PARENT_ID), "");
	CHECK_STR(line_of(KEY_PPID), "number ppid=15785");
	p.parent_start = 5;
	p.ppid = 0;
	CHECK_STR(line_of(KEY_PARENT_ID), "");
	CHECK_STR(line_of(KEY_PPID), "number ppid=0");
}

TEST(exe_dev_only_with_its_inode)
{
	p.image.exe_inode = 0;
	CHECK_STR(line_of(KEY_EXE_INODE), "");
	CHECK_STR(line_of(KEY_EXE_DEV), "");
	p.image.exe_inode = 1;
	p.image.exe_dev_major = p.image.exe_dev_minor = 0;
	CHECK_STR(line_of(KEY_EXE_DEV), "text exe_dev=0:0");
}

TEST(snapshot_lines_have_no_seq)
{
	event = (struct event){
		.type = EVENT_STARTED, .seq = 5, .snapshot = true, .process = &p, .source = SOURCE_PROC
	};
	CHECK_STR(line_of(KEY_SEQ), "");
	CHECK_STR(line_of(KEY_SNAPSHOT), "flag snapshot=");
	CHECK_STR(line_of(KEY_SOURCE), "text source=proc");
}

/* The process was found in /proc, its end is seen by a probe. */
TEST(source_is_that_of_the_event)
{
	event.type = EVENT_EXITED;
	p.source = SOURCE_PROC;
	CHECK_STR(line_of(KEY_SOURCE), "");
}

static const char *status_line(uint32_t status, enum key key)
{
	event.type = EVENT_EXITED;
	event.end.status_known = true;
	event.end.status = status;
	return line_of(key);
}

TEST(exit_status_is_decoded_as_by_wait)
{
	CHECK_STR(status_line(0, KEY_EXIT_CODE), "number exit_code=0");
	CHECK_STR(status_line(0xff00, KEY_EXIT_CODE), "number exit_code=255");
	CHECK_STR(status_line(0xff00, KEY_EXIT_SIGNAL), "");
	CHECK_STR(status_line(0x0100, KEY_CORE_DUMPED), "");
	CHECK_STR(status_line(9, KEY_EXIT_SIGNAL), "text exit_signal=SIGKILL");
	CHECK_STR(status_line(9, KEY_EXIT_CODE), "");
	CHECK_STR(status_line(9, KEY_CORE_DUMPED), "");
	CHECK_STR(status_line(6 | 0x80, KEY_CORE_DUMPED), "flag core_dumped=");
	CHECK_STR(status_line(36, KEY_EXIT_SIGNAL), "text exit_signal=SIGRTMIN+2");
	/* Bits that wait(2) does not have. */
	CHECK_STR(status_line(0xffff2a00, KEY_EXIT_CODE), "number exit_code=42");
}

TEST(result_follows_from_the_status)
{
	CHECK_STR(status_line(0, KEY_RESULT), "text result=success");
	CHECK_STR(status_line(0x0100, KEY_RESULT), "text result=exit-code");
	CHECK_STR(status_line(9, KEY_RESULT), "text result=signal");
	CHECK_STR(status_line(6 | 0x80, KEY_RESULT), "text result=core-dump");
}

TEST(event_without_a_status_has_no_result)
{
	enum result result;

	event.type = EVENT_EXITED;
	CHECK_STR(line_of(KEY_RESULT), "");
	CHECK_INT(event_result(&event), RESULT_UNKNOWN);
	event = (struct event){ .type = EVENT_STARTED, .process = &p, .end.status_known = true };
	CHECK_INT(event_result(&event), RESULT_UNKNOWN);
	for (enum result each = RESULT_SUCCESS; each < RESULT_MAX; each++)
		CHECK(result_by_name(bytes_of(result_name(each)), &result) && result == each);
	CHECK(!result_by_name(BYTES("timeout"), &result) && !result_by_name(BYTES(""), &result));
}

TEST(end_time_is_start_time_plus_running_time)
{
	event = (struct event){ .type = EVENT_EXITED, .time = 1, .process = &p, .end.running_ns = 109448135 };
	CHECK_STR(line_of(KEY_END_TIME), "time end_time=2017-11-03T15:16:57.000000000Z");
	CHECK_STR(line_of(KEY_RUNNING_TIME_NS), "number running_time_ns=109448135");
}

TEST(error_has_its_number_and_name)
{
	event = (struct event){
		.type = EVENT_ERROR, .seq = 1, .process = &p, .error = EACCES, .end.status_known = true
	};
	CHECK_STR(line_of(KEY_ERROR_CODE), "number error_code=-13");
	CHECK_STR(line_of(KEY_ERROR), "text error=EACCES");
	CHECK_STR(line_of(KEY_RUNNING_TIME_NS), "");
	CHECK_STR(line_of(KEY_EXIT_CODE), "");
	event.error = 513;
	CHECK_STR(line_of(KEY_ERROR_CODE), "number error_code=-513");
	CHECK_STR(line_of(KEY_ERROR), "");
}

TEST(lost_has_all_keys_whatever_was_chosen)
{
	event = (struct event){
		.type = EVENT_LOST,
		.seq = 9,
		.time = NS,
		.lost = { .where = LOST_KERNEL, .count = 4, .first_seq = 1 },
	};
	CHECK_STR(visit(0), "text type=lost\nnumber seq=9\ntime time=1970-01-01T00:00:01.000000000Z\n"
			    "number count=4\ntext where=kernel\n");
	event.seq = 0;
	event.lost.where = LOST_SUBSCRIBER;
	event.lost.last_seq = UINT64_MAX;
	CHECK_STR(visit(KEY_BIT(KEY_PID)),
		  "text type=lost\ntime time=1970-01-01T00:00:01.000000000Z\nnumber count=4\ntext where=subscriber\n"
		  "number first_seq=1\nnumber last_seq=18446744073709551615\n");
	event.lost.where = LOST_JOURNAL;
	CHECK_STR(line_of(KEY_WHERE), "text where=journal");
}

TEST(live_has_type_and_time)
{
	event = (struct event){ .type = EVENT_LIVE, .seq = 7, .time = NS, .snapshot = true, .source = SOURCE_PROC };
	CHECK_STR(visit(KEYS_ALL), "text type=live\ntime time=1970-01-01T00:00:01.000000000Z\n");
	CHECK_STR(visit(KEYS_BASIC), "text type=live\n");
}

TEST(chosen_keys_and_type_are_present)
{
	event = (struct event){ .type = EVENT_EXITED, .seq = 1, .process = &p, .end.status_known = true };
	CHECK_STR(visit(0), "text type=exited\n");
	for (unsigned i = 1; i < KEY_MAX; i++) {
		enum key key = (enum key)i;
		const char *all;

		all = strdup(line_of(key));
		CHECK(all);
		CHECK_STR(line_in(KEY_BIT(key), KEY_TYPE), "text type=exited");
		CHECK_STR(line_in(KEY_BIT(key), key), all);
		CHECK_INT(seen.calls, *all ? 2 : 1);
		free((char *)all);
	}
}

TEST(basic_keys_are_those_of_the_original_tool)
{
	event = (struct event){ .type = EVENT_EXITED, .seq = 1, .process = &p, .end.status_known = true };
	CHECK_STR(visit(KEYS_BASIC),
		  "text type=exited\ntime start_time=2017-11-03T15:16:56.890551865Z\nnumber ppid=15785\n"
		  "bytes parent_comm=bash\nnumber pid=22022\nnumber uid=1000\nnumber gid=1001\nbytes comm=curl\n"
		  "bytes exe=/usr/bin/curl\nlist args=curl|-O|\ntime end_time=2017-11-03T15:16:56.890551865Z\n"
		  "number running_time_ns=0\n");
	CHECK(KEYS_BASIC & KEY_BIT(KEY_ERROR_CODE));
	CHECK(!(KEYS_BASIC & KEY_BIT(KEY_ERROR)));
}

#define EXTRAS                                                                                 \
	"bytes host=h\nbytes user=u\nbytes group=g\nbytes login_user=l\nbytes parent_exe=/p\n" \
	"list parent_args=p|-x|\nflag parent_args_truncated=\n"

TEST(keys_on_request_are_in_no_preset)
{
	struct extras extras = {
		.made = KEYS_EVERY,
		.host = BYTES("h"),
		.user = BYTES("u"),
		.group = BYTES("g"),
		.login_user = BYTES("l"),
		.parent_exe = BYTES("/p"),
		.parent_args = BYTES("p\0-x\0"),
		.parent_args_truncated = true,
	};
	const key_set presets[] = { KEYS_ALL, KEYS_BASIC, KEYS_HISTORY };

	event = (struct event){ .type = EVENT_STARTED, .boot = 0xb0, .process = &p, .extras = &extras };
	for (size_t i = 0; i < 3; i++) {
		CHECK(!(presets[i] & KEYS_ON_REQUEST));
		CHECK(!strstr(visit(presets[i]), "host"));
	}
	CHECK_STR(visit(KEYS_EVERY), "text type=started\ntime time=1970-01-01T00:00:00.000000000Z\n" WHO WHAT EXTRAS);
	CHECK_STR(visit(KEY_BIT(KEY_USER) | KEY_BIT(KEY_PARENT_EXE)),
		  "text type=started\nbytes user=u\nbytes parent_exe=/p\n");
	/* A loss has them if they are asked for. */
	event = (struct event){ .type = EVENT_LOST, .extras = &extras, .lost = { LOST_KERNEL, 1, 0, 0 } };
	CHECK(!strstr(visit(KEYS_BASIC), "host"));
	CHECK_STR(visit(KEY_BIT(KEY_HOST) | KEY_BIT(KEY_USER)),
		  "text type=lost\ntime time=1970-01-01T00:00:00.000000000Z\nbytes host=h\nnumber count=1\n"
		  "text where=kernel\n");
	/* A program that knows of none of them. */
	event = (struct event){ .type = EVENT_STARTED, .process = &p };
	CHECK_STR(line_in(KEYS_EVERY, KEY_HOST), "");
}

TEST(presets_are_found_by_name)
{
	key_set keys = 0;

	CHECK(keys_by_name(BYTES("all"), &keys) && keys == KEYS_ALL);
	CHECK(keys_by_name(BYTES("basic"), &keys) && keys == KEYS_BASIC);
	CHECK(keys_by_name(BYTES("history"), &keys) && keys == KEYS_HISTORY);
	CHECK(keys_by_name(BYTES("starter_id"), &keys) && keys == KEY_BIT(KEY_STARTER_ID));
	CHECK(keys_by_name(BYTES("host"), &keys) && keys == KEY_BIT(KEY_HOST));
	CHECK(keys_by_name(BYTES("parent_args"), &keys) &&
	      keys == (KEY_BIT(KEY_PARENT_ARGS) | KEY_BIT(KEY_PARENT_ARGS_TRUNCATED)));
	CHECK(!keys_by_name(BYTES("every"), &keys) && !keys_by_name(BYTES(""), &keys));
}

TEST(history_has_the_time_of_all_but_ends)
{
	static const char time[] = "time time=1970-01-01T00:00:01.000000000Z";

	event = (struct event){ .process = &p, .time = NS };
	CHECK(!(KEYS_HISTORY & (KEY_BIT(KEY_END_TIME) | KEY_BIT(KEY_TIME))));
	for (enum event_type type = 0; type < EVENT_LOST; type++) {
		event.type = type;
		CHECK_STR(line_in(KEYS_HISTORY, KEY_TIME), type == EVENT_EXITED ? "" : time);
		CHECK_STR(line_in(KEYS_HISTORY, KEY_END_TIME), "");
		/* It is there where it is named. */
		CHECK_STR(line_in(KEYS_HISTORY | KEY_BIT(KEY_TIME), KEY_TIME), time);
	}
	event = (struct event){ .type = EVENT_LOST, .time = NS };
	CHECK_STR(line_in(KEYS_HISTORY, KEY_TIME), time);
}

static int see_key(void *userdata, enum key key, struct bytes value)
{
	*(key_set *)userdata |= KEY_BIT(key);
	return 0;
}

TEST(each_key_is_that_of_some_event)
{
	static const struct event_visitor see = { .bytes = see_key, .list = see_key, .object = see_key };
	struct extras extras = { .made = KEYS_EVERY, .parent_args_truncated = true };
	key_set keys = 0;

	extras.host = extras.user = extras.group = extras.login_user = extras.parent_exe = extras.parent_args =
		BYTES("x");
	p.image.incomplete = INCOMPLETE_BIT(INCOMPLETE_EXE);
	p.starter = 1;
	p.starter_exec_time = NS;
	event = (struct event){
		.seq = 1,
		.process = &p,
		.extras = &extras,
		.snapshot = true,
		.source = SOURCE_PROC,
		.path_tries = 2,
		.error = EACCES,
		.lost = { LOST_JOURNAL, 1, 1, 1 },
		.end = { .status_known = true, .cpu_known = true, .rss_known = true, .io_known = true },
	};
	for (event.type = 0; event.type < EVENT_TYPE_MAX; event.type++) {
		CHECK_INT(event_visit(&event, KEYS_EVERY, &see, &keys), 0);
		event.end.status = SIGABRT | 0x80;
	}
	event.end.status = 0;
	event.type = EVENT_EXITED;
	event.snapshot = false;
	CHECK_INT(event_visit(&event, KEYS_EVERY, &see, &keys), 0);
	for (unsigned i = 0; i < KEY_MAX; i++)
		if (!(keys & KEY_BIT(i)))
			CHECK_STR(key_name((enum key)i), "the key of an event");
}

TEST(visitor_can_end_the_walk)
{
	unsigned all;

	event = (struct event){ .type = EVENT_EXITED, .seq = 1, .process = &p, .end = { .status_known = true } };
	visit(KEYS_ALL);
	all = seen.calls;
	for (unsigned i = 1; i <= all; i++) {
		seen = (struct seen){ .stop_after = i };
		CHECK_INT(event_visit(&event, KEYS_ALL, &visitor, &seen), 7);
		CHECK_INT(seen.calls, i);
	}
}

TEST(keys_are_found_by_name)
{
	for (unsigned i = 0; i < KEY_MAX; i++) {
		enum key key = KEY_MAX;

		CHECK(key_by_name(bytes_of(key_name((enum key)i)), &key));
		CHECK_INT(key, i);
	}
}

TEST(unknown_names_are_no_keys)
{
	static const char *const others[] = { "", "typ", "types", "Type", "args_raw", "pid ", "last_seq2" };
	enum key key = KEY_PID;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		CHECK(!key_by_name(bytes_of(others[i]), &key));
	CHECK(!key_by_name(BYTES_NONE, &key));
	CHECK(!key_by_name(BYTES("pid\0"), &key));
	CHECK_INT(key, KEY_PID);
}

TEST(types_are_found_by_name)
{
	enum event_type type = EVENT_TYPE_MAX;

	for (unsigned i = 0; i < EVENT_TYPE_MAX; i++) {
		CHECK(event_type_by_name(bytes_of(event_type_name((enum event_type)i)), &type));
		CHECK_INT(type, i);
	}
	CHECK(event_type_by_name(BYTES("error"), &type) && type == EVENT_ERROR);
	CHECK(!event_type_by_name(BYTES("start"), &type));
	CHECK(!event_type_by_name(BYTES("startedx"), &type));
	CHECK(!event_type_by_name(BYTES_NONE, &type));
	CHECK_INT(type, EVENT_ERROR);
}

TEST(eight_keys_have_raw_twins)
{
	unsigned count = 0;

	for (unsigned i = 0; i < KEY_MAX; i++)
		count += key_has_raw((enum key)i);
	CHECK_INT(count, 8);
	CHECK(key_has_raw(KEY_ARGS) && key_has_raw(KEY_EXE) && key_has_raw(KEY_FILENAME) && key_has_raw(KEY_CWD) &&
	      key_has_raw(KEY_COMM) && key_has_raw(KEY_PARENT_COMM) && key_has_raw(KEY_PARENT_EXE) &&
	      key_has_raw(KEY_PARENT_ARGS));
}

static void check_number(enum key key, int64_t value, const char *expected)
{
	char digits[EVENT_NUMBER_SIZE + 1];

	digits[EVENT_NUMBER_SIZE] = '#';
	CHECK_INT(event_number_format(digits, key, value), strlen(expected));
	CHECK_STR(digits, expected);
	CHECK(digits[EVENT_NUMBER_SIZE] == '#');
}

TEST(numbers_are_decimal)
{
	uint64_t value = 1;
	char expected[32];

	for (int i = 0; i < 20; i++, value *= 10) {
		for (int d = -1; d <= 1; d++) {
			snprintf(expected, sizeof(expected), "%" PRIu64, value + (uint64_t)(int64_t)d);
			check_number(KEY_SEQ, (int64_t)(value + (uint64_t)(int64_t)d), expected);
		}
	}
	for (int64_t i = 0; i < 2000; i++) {
		snprintf(expected, sizeof(expected), "%" PRId64, -i);
		check_number(KEY_ERROR_CODE, -i, expected);
		check_number(KEY_PID, i, expected + (i > 0));
	}
	check_number(KEY_EXE_INODE, -1, "18446744073709551615");
	check_number(KEY_EXE_INODE, INT64_MIN, "9223372036854775808");
	check_number(KEY_ERROR_CODE, INT64_MIN, "-9223372036854775808");
	check_number(KEY_ERROR_CODE, INT64_MAX, "9223372036854775807");
}

static void check_time(uint64_t ns)
{
	time_t seconds = (time_t)(ns / NS);
	char time[EVENT_TIME_SIZE], expected[64];
	struct tm tm;

	CHECK(gmtime_r(&seconds, &tm));
	CHECK_INT(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.", &tm), 20);
	snprintf(expected + 20, sizeof(expected) - 20, "%09" PRIu64 "Z", ns % NS);
	event_time_format(time, ns);
	if (strcmp(time, expected) != 0)
		CHECK_STR(time, expected);
}

TEST(every_day_of_64_bits_of_nanoseconds_is_formatted)
{
	const uint64_t day = 86400 * NS;

	for (uint64_t i = 0; i < UINT64_MAX / day; i++) {
		check_time(i * day);
		check_time(i * day + day - 1);
	}
	check_time(UINT64_MAX);
}

TEST(boundary_times_are_formatted)
{
	char time[EVENT_TIME_SIZE];

	event_time_format(time, 0);
	CHECK_STR(time, "1970-01-01T00:00:00.000000000Z");
	event_time_format(time, 1509722216890551865);
	CHECK_STR(time, "2017-11-03T15:16:56.890551865Z");
	event_time_format(time, (UINT64_C(1) << 31) * NS);
	CHECK_STR(time, "2038-01-19T03:14:08.000000000Z");
	event_time_format(time, (UINT64_C(1) << 32) * NS);
	CHECK_STR(time, "2106-02-07T06:28:16.000000000Z");
	event_time_format(time, 951782400 * NS);
	CHECK_STR(time, "2000-02-29T00:00:00.000000000Z");
	event_time_format(time, 4107542400 * NS);
	CHECK_STR(time, "2100-03-01T00:00:00.000000000Z");
	event_time_format(time, UINT64_MAX);
	CHECK_STR(time, "2554-07-21T23:34:33.709551615Z");
	for (uint64_t s = 0; s < 86400; s++)
		check_time(1700000000 * NS + s * NS + s * 11574);
}

TEST(errno_names_match_the_kernel)
{
	CHECK_STR(errno_name(ENOENT), "ENOENT");
	CHECK_STR(errno_name(E2BIG), "E2BIG");
	CHECK_STR(errno_name(ENOEXEC), "ENOEXEC");
	CHECK_STR(errno_name(EHWPOISON), "EHWPOISON");
	/* Of numbers with two names, the one of strace(1). */
	CHECK_STR(errno_name(EWOULDBLOCK), "EAGAIN");
	CHECK_STR(errno_name(EDEADLOCK), "EDEADLK");
	CHECK_STR(errno_name(ENOTSUP), "EOPNOTSUPP");
	CHECK_STR(errno_name(ELIBBAD), "ELIBBAD");
	CHECK(!errno_name(0));
	CHECK(!errno_name(-ENOENT));
	CHECK(!errno_name(513));
	CHECK(!errno_name(INT_MAX));
	CHECK(!errno_name(INT_MIN));
}

static void check_signal(int number, const char *expected)
{
	char name[16];

	signal_name(name, sizeof(name), number);
	CHECK_STR(name, expected);
}

TEST(signal_names_match_the_manual)
{
	/* signal(7), x86 and ARM. */
	static const char *const names[] = {
		"HUP",	"INT",	"QUIT", "ILL",	  "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1", "SEGV",
		"USR2", "PIPE", "ALRM", "TERM",	  "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN", "TTOU",
		"URG",	"XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS",
	};

	for (int i = 0; i < 31; i++) {
		char name[16];

		snprintf(name, sizeof(name), "SIG%s", names[i]);
		check_signal(i + 1, name);
	}
	check_signal(32, "SIG32");
	check_signal(33, "SIG33");
	check_signal(34, "SIGRTMIN");
	check_signal(35, "SIGRTMIN+1");
	check_signal(64, "SIGRTMIN+30");
	check_signal(65, "SIG65");
	check_signal(127, "SIG127");
	check_signal(0, "SIG0");
	check_signal(-1, "SIG-1");
}

TAP_MAIN
