/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/json.h"

#include <errno.h>
#include <malloc.h>
#include <sys/resource.h>
#include <yajl/yajl_parse.h>

#include "tap.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

static struct process process;
static struct event event;
static struct json *json;

static void begin(void)
{
	process = (struct process){ .loginuid = PROCESS_UNSET, .session_id = PROCESS_UNSET };
	event = (struct event){ .type = EVENT_STARTED, .process = &process };
	CHECK_INT(json_new(&json), 0);
}
SETUP(begin)

static void end(void)
{
	json_free(json);
}
TEARDOWN(end)

/* The line as a string; it must be JSON for yajl's parser, which looks at the UTF-8 too. */
static char *encode(key_set keys)
{
	yajl_handle parser = yajl_alloc(NULL, NULL, NULL);
	struct line *line = NULL;
	char *text;

	CHECK_INT(json_event(json, &line, &event, keys), 0);
	CHECK(parser && line && line->size > 2 && line->refs == 1);
	CHECK(line->data[line->size - 1] == '\n');
	CHECK(memchr(line->data, '\n', line->size) == line->data + line->size - 1);
	CHECK(yajl_parse(parser, (const unsigned char *)line->data, line->size) == yajl_status_ok);
	CHECK(yajl_complete_parse(parser) == yajl_status_ok);
	yajl_free(parser);
	text = strndup(line->data, line->size - 1);
	CHECK(text && strlen(text) == line->size - 1);
	line_unref(line);
	return text;
}

static void check(key_set keys, const char *expected)
{
	char *text = encode(keys);

	CHECK_STR(text, expected);
	free(text);
}

#define STARTED(rest) "{\"type\":\"started\"," rest "}"

TEST(whole_line_has_every_key)
{
	process = (struct process){
		.tgid = 22022, .start = 0xabc, .start_time = 1509722216890551865, .ppid = 15785, .parent_start = 0x123,
		.uid = 1000, .gid = 1000, .ids_known = true, .loginuid = 1000, .session_id = 3,
		.sid = 15785, .pgid = 22022,
		.tty_major = 136, .tty_minor = 3, .pid_ns = 1, .mnt_ns = 2, .ns_pid = 22022,
		.comm = BYTES("curl"), .parent_comm = BYTES("bash"),
		.ancestors = BYTES("bash\0systemd\0"),
		.image = {
			.exe = BYTES("/usr/bin/curl"), .filename = BYTES("/usr/bin/curl"),
			.args = BYTES("curl\0-O\0\0x y\0"),
			.cwd = BYTES("/root"), .cgroup = BYTES("/a"), .unit = BYTES("b"),
			.env = BYTES("A=1\0B=\0"), .exe_inode = 7, .exe_dev_major = 8, .exe_dev_minor = 1,
			.secureexec = true,
		},
	};
	event.seq = 5;
	event.time = 1509722217000000000;
	event.boot = 0xb0;
	check(KEYS_ALL,
	      STARTED("\"seq\":5,\"time\":\"2017-11-03T15:16:57.000000000Z\",\"id\":\"00000000000000b0-22022-abc\","
		      "\"parent_id\":\"00000000000000b0-15785-123\",\"start_time\":\"2017-11-03T15:16:56.890551865Z\","
		      "\"ppid\":15785,\"parent_comm\":\"bash\",\"pid\":22022,\"uid\":1000,\"gid\":1000,"
		      "\"comm\":\"curl\","
		      "\"exe\":\"/usr/bin/curl\",\"filename\":\"/usr/bin/curl\","
		      "\"args\":[\"curl\",\"-O\",\"\",\"x y\"],"
		      "\"env\":{\"A\":\"1\",\"B\":\"\"},\"secureexec\":true,\"euid\":0,\"egid\":0,"
		      "\"caps\":\"0000000000000000\",\"loginuid\":1000,\"session_id\":3,\"sid\":15785,\"pgid\":22022,"
		      "\"tty\":\"pts/3\",\"cwd\":\"/root\",\"cgroup\":\"/a\",\"unit\":\"b\",\"pid_ns\":1,"
		      "\"ns_pid\":22022,"
		      "\"mnt_ns\":2,\"exe_inode\":7,\"exe_dev\":\"8:1\",\"ancestors\":[\"bash\",\"systemd\"]"));
}

TEST(lost_and_live_have_their_lines)
{
	event = (struct event){
		.type = EVENT_LOST,
		.time = 1,
		.lost = { .where = LOST_SUBSCRIBER, .count = UINT64_MAX, .first_seq = 1, .last_seq = 2 }
	};
	check(0, "{\"type\":\"lost\",\"time\":\"1970-01-01T00:00:00.000000001Z\",\"count\":18446744073709551615,"
		 "\"where\":\"subscriber\",\"first_seq\":1,\"last_seq\":2}");
	event = (struct event){ .type = EVENT_LIVE, .time = 1 };
	check(KEYS_ALL, "{\"type\":\"live\",\"time\":\"1970-01-01T00:00:00.000000001Z\"}");
	check(0, "{\"type\":\"live\"}");
}

TEST(numbers_above_int64_are_exact)
{
	process.image.exe_inode = UINT64_MAX;
	check(KEY_BIT(KEY_EXE_INODE), STARTED("\"exe_inode\":18446744073709551615"));
	process.image.exe_inode = (uint64_t)INT64_MAX + 1;
	check(KEY_BIT(KEY_EXE_INODE), STARTED("\"exe_inode\":9223372036854775808"));
	event.type = EVENT_ERROR;
	event.error = 13;
	check(KEY_BIT(KEY_ERROR_CODE), "{\"type\":\"error\",\"error_code\":-13}");
}

TEST(strings_are_escaped_as_json_demands)
{
	process.comm = BYTES("\"\\/\b\f\n\r\t\1\x1f\x7f");
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001F\\u007F\""));
	process.comm = BYTES("a\0b");
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"a\\u0000b\""));
	/* UTF-8 goes as it is. */
	process.comm = BYTES("\xc3\xa4\xef\xbf\xbd\xf0\x9f\x98\x80");
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"\xc3\xa4\xef\xbf\xbd\xf0\x9f\x98\x80\""));
}

#define BAD "\xef\xbf\xbd"

/* RFC 8259, 7; short forms where there are any, as yajl has them. */
static void escape(char *to, size_t size, int byte)
{
	static const char with_short_form[] = "\"\\\b\f\n\r\t", short_form[] = "\"\\bfnrt";
	const char *found = strchr(with_short_form, byte);

	if (found && byte)
		snprintf(to, size, "\\%c", short_form[found - with_short_form]);
	else
		snprintf(to, size, byte < ' ' || byte == 0x7f ? "\\u%04X" : byte < 0x80 ? "%c" : BAD, byte);
}

static size_t utf8_of(char to[static 4], unsigned code)
{
	if (code < 0x80) {
		to[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (char)(0xc0 | code >> 6);
		to[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | code >> 12);
	to[1] = (char)(0x80 | (code >> 6 & 0x3f));
	to[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* The general categories Cc, Zl and Zp of Unicode, and its property Bidi_Control, with the deprecated controls behind
 * them. */
static bool acts(unsigned code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x206f);
}

/* Each of them, and each other of two or three bytes, at each place of a word, between ASCII and others. */
TEST(terminal_controls_are_escaped)
{
	char value[64], expected[128];

	for (unsigned code = 0x20; code < 0x10000; code++) {
		size_t pad = code % 9, used = pad, n, out;

		if (code == '"' || code == '\\' || (code >= 0xd800 && code < 0xe000))
			continue;
		/* Of most of them some. */
		if (code > 0x3000 && code % 97 != 0)
			continue;
		memset(value, 'a', pad);
		used += n = utf8_of(value + used, code);
		memcpy(value + used, "\xc3\xa4xyzxyzxyz", 11);
		process.image.cgroup = (struct bytes){ value, used + 11 };
		out = (size_t)snprintf(expected, sizeof(expected), "{\"type\":\"started\",\"cgroup\":\"%.*s", (int)pad,
				       value);
		if (acts(code))
			snprintf(expected + out, sizeof(expected) - out, "\\u%04X", code);
		else
			snprintf(expected + out, sizeof(expected) - out, "%.*s", (int)n, value + pad);
		strcat(expected, "\xc3\xa4xyzxyzxyz\"}");
		check(KEY_BIT(KEY_CGROUP), expected);
	}
}

/* Arguments and variables too; bytes that are not UTF-8 stay bytes, and the raw twin is exact. */
TEST(terminal_controls_are_escaped_in_every_kind_of_value)
{
	process.image.args = BYTES("\xc2\x9b"
				   "31m\0\xe2\x80\xae\xff\0");
	process.image.env = BYTES("A\x7f=\xe2\x81\xa6\0");
	check(KEY_BIT(KEY_ARGS) | KEY_BIT(KEY_ENV),
	      STARTED("\"args\":[\"\\u009B31m\",\"\\u202E" BAD "\"],\"args_raw\":[\"wpszMW0=\",\"4oCu/w==\"],"
		      "\"env\":{\"A\\u007F\":\"\\u2066\"}"));
}

/* Values are looked at eight bytes at a time. */
TEST(any_byte_is_valid_at_any_place)
{
	char value[20], escaped[8], expected[96];

	for (size_t size = 1; size < sizeof(value); size++) {
		for (size_t at = 0; at < size; at++) {
			for (int byte = 0; byte < 0x100; byte += byte < 0x80 ? 1 : 0x3f) {
				memset(value, 'a', size);
				value[at] = (char)byte;
				process.image.cgroup = (struct bytes){ value, size };
				escape(escaped, sizeof(escaped), byte);
				snprintf(expected, sizeof(expected), STARTED("\"cgroup\":\"%.*s%s%.*s\""), (int)at,
					 "aaaaaaaaaaaaaaaaaaaa", escaped, (int)(size - at - 1), "aaaaaaaaaaaaaaaaaaaa");
				check(KEY_BIT(KEY_CGROUP), expected);
			}
		}
	}
}

TEST(raw_twin_only_where_bytes_are_not_utf8)
{
	process.comm = BYTES("\xff");
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"" BAD "\",\"comm_raw\":\"/w==\""));
	process.comm = BYTES("a\xc3");
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"a" BAD "\",\"comm_raw\":\"YcM=\""));
	process.comm = BYTES("\xed\xa0\x80"); /* a surrogate: no byte of it begins a sequence */
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"" BAD BAD BAD "\",\"comm_raw\":\"7aCA\""));
	process.comm = BYTES("\xf0\x9f\x98 \xc0\xaf"); /* a beginning of three bytes is one; an overlong form two */
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"" BAD " " BAD BAD "\",\"comm_raw\":\"8J+YIMCv\""));
	process.comm = BYTES("");
	check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"\""));
}

TEST(raw_twin_follows_its_key)
{
	process.comm = process.parent_comm = process.image.exe = process.image.filename = process.image.cwd =
		BYTES("/\xfe");
	process.image.cgroup = process.image.unit = process.image.container_id = BYTES("\xfe");
	check(KEY_BIT(KEY_COMM) | KEY_BIT(KEY_PARENT_COMM) | KEY_BIT(KEY_EXE) | KEY_BIT(KEY_FILENAME) |
		      KEY_BIT(KEY_CWD) | KEY_BIT(KEY_CGROUP) | KEY_BIT(KEY_UNIT) | KEY_BIT(KEY_CONTAINER_ID),
	      STARTED("\"parent_comm\":\"/" BAD "\",\"parent_comm_raw\":\"L/4=\",\"comm\":\"/" BAD
		      "\",\"comm_raw\":\"L/4=\","
		      "\"exe\":\"/" BAD "\",\"exe_raw\":\"L/4=\",\"filename\":\"/" BAD "\",\"filename_raw\":\"L/4=\","
		      "\"cwd\":\"/" BAD "\",\"cwd_raw\":\"L/4=\",\"cgroup\":\"" BAD "\",\"unit\":\"" BAD "\","
		      "\"container_id\":\"" BAD "\""));
	check(KEY_BIT(KEY_PID), STARTED("\"pid\":0"));
}

TEST(args_raw_has_all_arguments)
{
	process.image.args = BYTES("ls\0\0\xfe\0foobar\0");
	check(KEY_BIT(KEY_ARGS), STARTED("\"args\":[\"ls\",\"\",\"" BAD
					 "\",\"foobar\"],\"args_raw\":[\"bHM=\",\"\",\"/g==\",\"Zm9vYmFy\"]"));
	/* A sequence that two arguments share is none. */
	process.image.args = BYTES("\xc3\0\xa4\0");
	check(KEY_BIT(KEY_ARGS), STARTED("\"args\":[\"" BAD "\",\"" BAD "\"],\"args_raw\":[\"ww==\",\"pA==\"]"));
	process.image.args = BYTES("a\0\xc3\xa4");
	check(KEY_BIT(KEY_ARGS), STARTED("\"args\":[\"a\",\"\xc3\xa4\"]"));
	process.image.args = BYTES("");
	check(KEY_BIT(KEY_ARGS), STARTED("\"args\":[]"));
	process.image.args = BYTES("\0");
	check(KEY_BIT(KEY_ARGS), STARTED("\"args\":[\"\"]"));
}

/* Between the brackets of a list, after the twin of the first item, which is no UTF-8. */
static struct bytes after_first(const char *text, const char *begin)
{
	const char *at = strstr(text, begin), *end;

	CHECK(at);
	at = strchr(at, ',') + 1;
	end = strchr(at, ']');
	return (struct bytes){ at, (size_t)(end - at) };
}

/* A list is written in another way than a short one is. Of bytes that differ in how they are written, at any place;
 * each string is compared with what it is in a list of two. */
TEST(long_list_has_its_strings_as_short_ones_do)
{
	static const char parts[][9] = { "a",	     "\x01",	 "\"",		 "\xff",	 "\xc2\x85",
					 "\xc3\xa4", "\xe2\x80", "\xe2\x80\xa8", "\xf0\x9f\x98", "\xf0\x9f\x98\x80",
					 "abcdefgh", "\xd8\x9c", "\xe9",	 "\xed\xa0",	 "\x7f",
					 "\x1f\n" };
	static char list[20000], strings[200000], twins[200000];
	size_t size = 0, strings_size = 0, twins_size = 0;
	unsigned state = 1;
	char *text;

	while (size < sizeof(list) - 300) {
		struct bytes string, twin;
		char two[300] = "\xff";
		size_t n = 2;

		state = state * 1103515245 + 12345;
		for (unsigned count = state >> 16 & 15; count > 0; count--) {
			state = state * 1103515245 + 12345;
			n += (size_t)(stpcpy(two + n, parts[state >> 16 & 15]) - (two + n));
		}
		memcpy(list + size, two + 2, n - 2);
		size += n - 1;
		process.image.args = (struct bytes){ two, n + 1 };
		text = encode(KEY_BIT(KEY_ARGS));
		/* ']' and ',' are in no string. */
		string = after_first(text, "\"args\":[");
		twin = after_first(text, "\"args_raw\":[");
		strings_size += (size_t)sprintf(strings + strings_size, ",%.*s", (int)string.size, string.data);
		twins_size += (size_t)sprintf(twins + twins_size, ",%.*s", (int)twin.size, twin.data);
		free(text);
	}
	strings[0] = twins[0] = '[';
	/* Also without the last NUL. */
	for (size_t end = size - 1; end <= size; end++) {
		char expected[sizeof(strings) + sizeof(twins)];

		process.image.args = (struct bytes){ list, end };
		snprintf(expected, sizeof(expected), STARTED("\"args\":%s],\"args_raw\":%s]"), strings, twins);
		check(KEY_BIT(KEY_ARGS), expected);
	}
}

TEST(ancestors_have_no_raw_twin)
{
	process.ancestors = BYTES("a\xff\0b\0");
	check(KEY_BIT(KEY_ANCESTORS), STARTED("\"ancestors\":[\"a" BAD "\",\"b\"]"));
}

TEST(env_is_an_object)
{
	process.image.env = BYTES("A=1\0B=x=y\0C=\0");
	check(KEY_BIT(KEY_ENV), STARTED("\"env\":{\"A\":\"1\",\"B\":\"x=y\",\"C\":\"\"}"));
	/* The first counts, as for getenv; the order stays. */
	process.image.env = BYTES("B=1\0A=2\0B=3\0AB=4\0A=5\0B=1\0");
	check(KEY_BIT(KEY_ENV), STARTED("\"env\":{\"B\":\"1\",\"A\":\"2\",\"AB\":\"4\"}"));
	process.image.env = BYTES("=x\0nothing\0\0A=1");
	check(KEY_BIT(KEY_ENV), STARTED("\"env\":{\"A\":\"1\"}"));
	process.image.env = BYTES("nothing\0");
	check(KEY_BIT(KEY_ENV), STARTED("\"env\":{}"));
	/* Two names that look the same once they are UTF-8. */
	process.image.env = BYTES("\xff=1\0\xfe=2\0V=\xff\0");
	check(KEY_BIT(KEY_ENV), STARTED("\"env\":{\"" BAD "\":\"1\",\"V\":\"" BAD "\"}"));
}

TEST(repeated_env_names_take_linear_time)
{
	enum { MANY = 500000 };
	char *env = malloc(4 * MANY);

	CHECK(env);
	for (size_t i = 0; i < MANY; i++)
		memcpy(env + 4 * i, i % 2 ? "A=1" : "B=2", 4);
	process.image.env = (struct bytes){ env, 4 * MANY };
	tap_limit(20); /* would be hours if each were compared with each */
	check(KEY_BIT(KEY_ENV), STARTED("\"env\":{\"B\":\"2\",\"A\":\"1\"}"));
	free(env);
}

TEST(two_megabytes_of_arguments_are_encoded)
{
	enum { SIZE = 2 << 20 };
	char *args = malloc(SIZE), *text;

	CHECK(args);
	/* The worst: six bytes for each of one, and the whole again in base64. */
	memset(args, 1, SIZE);
	args[SIZE - 2] = (char)0xff;
	args[SIZE - 1] = '\0';
	process.image.args = (struct bytes){ args, SIZE };
	text = encode(KEY_BIT(KEY_ARGS));
	CHECK_INT(strlen(text),
		  strlen(STARTED("\"args\":[\"\"],\"args_raw\":[\"\"]")) + 6 * (SIZE - 2) + 3 + (SIZE - 1 + 2) / 3 * 4);
	free(text);
	/* One byte each. */
	memset(args, 0, SIZE);
	text = encode(KEY_BIT(KEY_ARGS));
	CHECK_INT(strlen(text), strlen(STARTED("\"args\":[]")) + 3 * SIZE - 1);
	free(text);
	free(args);
}

TEST(events_are_encoded_independently)
{
	char *first, *again;

	process.comm = BYTES("\xff");
	process.image.args = BYTES("a\0b\xfe\0");
	process.image.env = BYTES("A=1\0A=2\0");
	first = encode(KEYS_ALL);
	for (int i = 0; i < 100; i++) {
		again = encode(KEYS_ALL);
		CHECK_STR(again, first);
		free(again);
	}
	free(first);
}

#ifndef SANITIZED
/* Memory for a long event can't be had, which costs that event alone. */
TEST(failed_allocation_returns_enomem)
{
	enum { SIZE = 64 << 20 };
	struct rlimit limit = { .rlim_cur = 112 << 20, .rlim_max = 112 << 20 };
	struct line *line = (struct line *)&limit;
	char *big;

	if (getenv("LD_PRELOAD")) /* valgrind needs memory of its own */
		return;
	big = malloc(SIZE);
	CHECK(big);
	memset(big, 'x', SIZE);
	process.comm = BYTES("ls");
	free(encode(KEYS_ALL));
	CHECK_INT(setrlimit(RLIMIT_AS, &limit), 0);
	for (int bad = 0; bad < 2; bad++) {
		big[0] = bad ? (char)0xff : 'x';
		process.image.args = process.image.exe = process.image.env = (struct bytes){ big, SIZE };
		CHECK_INT(json_event(json, &line, &event, KEY_BIT(KEY_ARGS)), -ENOMEM);
		CHECK_INT(json_event(json, &line, &event, KEY_BIT(KEY_EXE)), -ENOMEM);
		big[1] = '=';
		CHECK_INT(json_event(json, &line, &event, KEY_BIT(KEY_ENV)), -ENOMEM);
		big[1] = 'x';
		CHECK(line == (struct line *)&limit);
		process.image = (struct image){ 0 };
		check(KEY_BIT(KEY_COMM), STARTED("\"comm\":\"ls\""));
	}
	free(big);
}

TEST(memory_of_a_long_event_is_given_back)
{
	enum { SIZE = 8 << 20 };
	char *big = malloc(SIZE);
	size_t before;

	CHECK(big);
	memset(big, 0xff, SIZE);
	process.comm = BYTES("\xff");
	free(encode(KEYS_ALL));
	before = mallinfo2().hblkhd + mallinfo2().uordblks;
	process.image.exe = (struct bytes){ big, SIZE };
	free(encode(KEYS_ALL));
	CHECK(mallinfo2().hblkhd + mallinfo2().uordblks <= before + (1 << 20));
	free(big);
}
#endif

TEST(free_accepts_null)
{
	CHECK(!json_free(NULL));
}

TAP_MAIN
