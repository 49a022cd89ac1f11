/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/event/event_parser.h"

#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "ctl/text/shell_words.h"
#include "output/json.h"
#include "tap.h"
#include "util/quote.h"
#include "whole_process.h"

static struct event_parser *parser;
static struct parsed parsed;
static const char *reason;

static void begin(void)
{
	CHECK_INT(event_parser_new(&parser), 0);
}
SETUP(begin)

static void end(void)
{
	parser = event_parser_free(parser);
}
TEARDOWN(end)

static int parse(const char *line)
{
	reason = NULL;
	return event_parser_line(parser, bytes_of(line), &parsed, &reason);
}

static void check_text(struct bytes value, const char *expected)
{
	CHECK(bytes_equal(value, bytes_of(expected)));
}

TEST(line_of_every_kind_of_value_is_read)
{
	CHECK_INT(
		parse("{\"type\":\"exited\",\"seq\":18446744073709551615,\"time\":\"2026-11-29T10:02:11.500000001Z\","
		      "\"id\":\"a-1-2\",\"pid\":4294967295,\"args\":[\"a\\n\",\"\",\"\\u00e9\"],\"kernel_thread\":true,\"caps\":\"000001ff\","
		      "\"exe_dev\":\"254:1\",\"env\":{\"A\":\"b\",\"C\":\"\"},\"exit_signal\":\"SIGSEGV\",\"core_dumped\":true,"
		      "\"running_time_ns\":5,\"tty\":\"pts/3\"}"),
		0);
	CHECK_INT(parsed.event.type, EVENT_EXITED);
	CHECK_INT(parsed.event.seq, UINT64_MAX);
	CHECK_INT(parsed.event.time % 1000000000, 500000001);
	CHECK_INT(parsed.process.tgid, UINT32_MAX);
	CHECK(bytes_equal(parsed.process.image.args, (struct bytes){ "a\n\0\0\xc3\xa9", 7 }));
	CHECK(bytes_equal(parsed.process.image.env, (struct bytes){ "A=b\0C=", 7 }));
	CHECK(parsed.process.kernel_thread);
	CHECK_INT(parsed.process.caps, 0x1ff);
	CHECK_INT(parsed.process.image.exe_dev_major, 254);
	CHECK(WIFSIGNALED((int)parsed.event.end.status) && WTERMSIG((int)parsed.event.end.status) == 11 &&
	      WCOREDUMP((int)parsed.event.end.status));
	check_text(parsed.id, "a-1-2");
	check_text(parsed.tty, "pts/3");
	CHECK(parsed_has(&parsed, KEY_ARGS) && !parsed_has(&parsed, KEY_EXE));
	CHECK_INT(parsed.process.loginuid, PROCESS_UNSET);
}

TEST(result_is_read_without_its_status)
{
	CHECK_INT(parse("{\"type\":\"exited\",\"result\":\"core-dump\"}"), 0);
	CHECK_INT(event_result(&parsed.event), RESULT_CORE_DUMP);
	CHECK(parsed_failed(&parsed));
	CHECK_INT(parse("{\"type\":\"exited\",\"result\":\"success\",\"exit_code\":0}"), 0);
	CHECK_INT(event_result(&parsed.event), RESULT_SUCCESS);
	CHECK(!parsed_failed(&parsed));
	CHECK_INT(parse("{\"type\":\"exited\",\"result\":\"later\"}"), 0);
	CHECK(!parsed_has(&parsed, KEY_RESULT) && !parsed_failed(&parsed));
}

TEST(live_identifies_its_stream)
{
	CHECK_INT(parse("{\"type\":\"live\",\"stream\":\"0a\",\"last_seq\":7,\"version\":\"0.1\",\"host\":\"box\","
			"\"machine_id\":\"m\",\"boot_id\":\"b\"}"),
		  0);
	CHECK_INT(parsed.event.type, EVENT_LIVE);
	CHECK_INT(parsed.event.lost.last_seq, 7);
	check_text(parsed.stream, "0a");
	check_text(parsed.version, "0.1");
	check_text(parsed.host, "box");
	check_text(parsed.machine_id, "m");
	check_text(parsed.boot_id, "b");
}

TEST(time_of_an_end_is_derived)
{
	const char line[] = "{\"type\":\"%s\",\"start_time\":\"1970-01-01T00:00:02Z\",\"running_time_ns\":500000001%s}";
	char text[200];

	snprintf(text, sizeof(text), line, "exited", "");
	CHECK_INT(parse(text), 0);
	CHECK_INT(parsed.event.time, 2500000001);
	CHECK(parsed_has(&parsed, KEY_TIME));
	snprintf(text, sizeof(text), line, "exited", ",\"time\":\"1970-01-01T00:00:07Z\"");
	CHECK_INT(parse(text), 0);
	CHECK_INT(parsed.event.time, 7000000000);
	snprintf(text, sizeof(text), line, "started", "");
	CHECK_INT(parse(text), 0);
	CHECK(!parsed_has(&parsed, KEY_TIME));
}

TEST(raw_twin_gives_the_exact_bytes)
{
	CHECK_INT(parse("{\"type\":\"started\",\"comm\":\"\\ufffd\",\"comm_raw\":\"/w==\",\"args\":[\"x\",\"\\ufffd\"],"
			"\"args_raw\":[\"eA==\",\"/wE=\",\"\"]}"),
		  0);
	CHECK(bytes_equal(parsed.process.comm, (struct bytes){ "\xff", 1 }));
	CHECK(bytes_equal(parsed.process.image.args, (struct bytes){ "x\0\xff\1\0", 6 }));
	/* What is no base64 changes nothing. */
	CHECK_INT(parse("{\"type\":\"started\",\"comm\":\"a\",\"comm_raw\":\"?\"}"), 0);
	check_text(parsed.process.comm, "a");
}

TEST(unknown_keys_types_and_values_are_passed_over)
{
	CHECK_INT(
		parse("{\"later\":{\"pid\":1,\"x\":[[{}],2]},\"type\":\"started\",\"pid\":\"7\",\"uid\":-1,\"gid\":1.5,"
		      "\"args\":{\"a\":1},\"env\":[1],\"comm\":[\"a\"],\"exit_code\":256,\"seq\":null,\"ppid\":18446744073709551616}"),
		0);
	CHECK_INT(parsed.event.type, EVENT_STARTED);
	CHECK_INT(parsed.keys, (key_set)1 << KEY_TYPE);
	CHECK_INT(
		parse("{\"type\":\"exited\",\"seq\":-1,\"running_time_ns\":-5,\"cpu_user_ns\":-0,\"count\":-18446744073709551615}"),
		0);
	CHECK_INT(parsed.keys, (key_set)1 << KEY_TYPE);
	CHECK_INT(parsed.event.end.running_ns, 0);
	CHECK_INT(parse("{\"type\":\"later\",\"x\":1}"), 0);
	CHECK_INT(parsed.event.type, EVENT_TYPE_MAX);
	check_text(parsed.type, "later");
}

/* Each item has its NUL, also before and after one that is not kept. */
TEST(object_keeps_texts_only)
{
	static const char *const others[] = { "1", "null", "true", "[\"x\"]", "{\"y\":\"x\"}" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char line[200];

		snprintf(line, sizeof(line), "{\"type\":\"started\",\"env\":{\"A\":%s,\"B\":\"b\",\"C\":%s,\"D\":%s}}",
			 others[i], others[i], others[i]);
		CHECK_INT(parse(line), 0);
		CHECK(bytes_equal(parsed.process.image.env, (struct bytes){ "B=b", 4 }));
		snprintf(line, sizeof(line), "{\"type\":\"started\",\"env\":{\"A\":%s}}", others[i]);
		CHECK_INT(parse(line), 0);
		CHECK_INT(parsed.process.image.env.size, 0);
	}
}

TEST(line_that_is_no_event_has_a_reason)
{
	static const char *const bad[] = { "",
					   "{",
					   "{}",
					   "[]",
					   "1",
					   "nul",
					   "{\"type\":\"started\"",
					   "{\"type\":1}",
					   "{\"type\":\"started\"}{",
					   "{\"type\":\"started\"} x",
					   "{\"type\":\"started\"}00.5",
					   "{\"type\":\"started\"} null",
					   "{\"type\":\"started\"}[]",
					   "{\"type\":\"started\"} \"a\"",
					   "true",
					   "\"a\"",
					   "{\"type\":\"\xff\"}",
					   "{\"type\":\"started\"}{\"type\":\"started\"}" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_INT(parse(bad[i]), -EBADMSG);
		CHECK(reason && *reason && !strchr(reason, '\n'));
		/* And the next line is not harmed. */
		CHECK_INT(parse("{\"type\":\"live\"}"), 0);
	}
}

/* What the daemon writes comes back as it was: written again, it is the same line. */
TEST(daemon_line_survives_reading_and_writing)
{
	_cleanup_(json_free_p) struct json *json = NULL;
	struct process process = whole_process();
	struct extras extras = {
		.made = KEYS_EVERY,
		.host = BYTES("h"),
		.user = BYTES("u"),
		.group = BYTES("g"),
		.login_user = BYTES("l"),
		.parent_exe = BYTES("/\xff"),
		.parent_args = BYTES("p\0\xff\0"),
		.parent_args_truncated = true,
	};
	struct event event = { .type = EVENT_EXITED,
			       .seq = 5,
			       .time = 1795946532,
			       .boot = 0xabc,
			       .process = &process,
			       .extras = &extras };
	struct line *line, *again;

	process.starter = 2;
	process.starter_start = 6;
	process.starter_exec_time = 1795946529;
	process.comm = BYTES("a\xff");
	process.image.exe = BYTES("/x\n");
	process.image.args = BYTES("a\0\0\xfe\0");
	process.image.incomplete = INCOMPLETE_BIT(INCOMPLETE_ANCESTORS);
	event.end.running_ns = 1;
	event.end.status_known = event.end.cpu_known = event.end.rss_known = event.end.io_known = true;
	event.end.status = 3 << 8;
	CHECK_INT(json_new(&json), 0);
	CHECK_INT(json_event(json, &line, &event, KEYS_EVERY), 0);
	CHECK_INT(event_parser_line(parser, (struct bytes){ line->data, line->size - 1 }, &parsed, &reason), 0);
	CHECK_INT(json_event(json, &again, &parsed.event, parsed.keys), 0);
	CHECK_INT(line->size, again->size);
	CHECK(memcmp(line->data, again->data, line->size) == 0);
	line_unref(line);
	line_unref(again);
}

TEST(quoted_arguments_are_read_back)
{
	struct bytes args = BYTES("a\0it's\0\0$x \\\"\n\0'\0''\0\xff\0 \0"), words;
	char quoted[256], back[256];
	char *end = quote_args(quoted, args);

	CHECK(shell_words((struct bytes){ quoted, (size_t)(end - quoted) }, back, &words));
	CHECK(bytes_equal(words, args));
	CHECK(shell_words(BYTES(""), back, &words));
	CHECK_INT(words.size, 0);
	CHECK(!shell_words(BYTES("a 'b"), back, &words));
}

TEST(time_is_that_of_timegm)
{
	char text[EVENT_TIME_SIZE];
	uint64_t ns;

	for (time_t seconds = 0; seconds < 16725225600; seconds += 86399 * 3) {
		struct tm tm;

		CHECK(gmtime_r(&seconds, &tm));
		CHECK(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000000001Z", &tm) > 0);
		CHECK(parsed_time(bytes_of(text), &ns));
		CHECK_INT(ns, (uint64_t)seconds * 1000000000 + 1);
	}
}

TAP_MAIN
