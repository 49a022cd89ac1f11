/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/request.h"

#include <errno.h>

#include "tap.h"

static struct request request;
static char reason[REQUEST_REASON_SIZE];

static void end(void)
{
	request_clear(&request);
}
TEARDOWN(end)

static int parse(const char *line)
{
	request_clear(&request);
	return request_parse(&request, line, strlen(line), reason);
}

static void refused(const char *line, const char *why)
{
	struct request untouched = { .snapshot = true };

	request_clear(&request);
	request = untouched;
	CHECK_INT(parse(line), -EINVAL);
	CHECK(memcmp(&request, &untouched, sizeof(request)) == 0);
	for (const char *c = reason; *c; c++)
		CHECK(*c >= 0x20 && *c < 0x7f);
	if (why)
		CHECK_STR(reason, why);
}

TEST(empty_object_asks_for_everything)
{
	CHECK_INT(parse("{}"), 0);
	CHECK(!request.stats && !request.snapshot && !request.keys_given && filter_is_empty(request.filter));
	CHECK_INT(parse(" { } \r"), 0);
}

TEST(subscription_has_filters_fields_and_snapshot)
{
	CHECK_INT(parse("{\"pid\":[1,\"!2\"],\"exe\":\"/usr/*\",\"snapshot\":true,\"fields\":[\"pid\",\"exe\"]}"), 0);
	CHECK(request.snapshot && request.keys_given && !request.stats);
	CHECK(request.keys == (KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID) | KEY_BIT(KEY_EXE)));
	CHECK_STR(filter_entry(request.filter, FILTER_PID, 0), "1");
	CHECK_STR(filter_entry(request.filter, FILTER_PID, 1), "!2");
	CHECK_STR(filter_entry(request.filter, FILTER_EXE, 0), "/usr/*");
	CHECK(!filter_entry(request.filter, FILTER_EXE, 1));
	CHECK_INT(parse("{\"secureexec\":true,\"min_cpu\":1.5,\"result\":[\"!success\"]}"), 0);
	CHECK_STR(filter_entry(request.filter, FILTER_SECUREEXEC, 0), "true");
	CHECK_STR(filter_entry(request.filter, FILTER_MIN_CPU, 0), "1.5");
	CHECK_STR(filter_entry(request.filter, FILTER_RESULT, 0), "!success");
	refused("{\"comm\":true}", "comm: not a string, a number, or a list of these");
	refused("{\"min_cpu\":[1,2]}", "min_cpu: '2': more than one value");
	CHECK_INT(parse("{\"fields\":\"basic\",\"types\":\"started\"}"), 0);
	CHECK(request.keys == KEYS_BASIC);
	CHECK_INT(parse("{\"fields\":[\"host\",\"all\"]}"), 0);
	CHECK(request.keys == (KEYS_ALL | KEY_BIT(KEY_HOST)));
	CHECK_INT(parse("{\"fields\":\"history\"}"), 0);
	CHECK(request.keys == KEYS_HISTORY);
	CHECK_INT(parse("{\"fields\":[]}"), 0);
	CHECK(request.keys_given && request.keys == KEY_BIT(KEY_TYPE));
}

TEST(mark_and_args_bytes_are_bounded_numbers)
{
	CHECK_INT(parse("{\"mark\":86400,\"args_bytes\":65536}"), 0);
	CHECK(request.mark_given && request.mark == 86400 && request.args_bytes == 65536);
	CHECK_INT(parse("{\"mark\":0}"), 0);
	CHECK(request.mark_given && request.mark == 0 && request.args_bytes == 0);
	CHECK_INT(parse("{}"), 0);
	CHECK(!request.mark_given);
	refused("{\"mark\":86401}", "mark must be a number from 0 to 86400");
	refused("{\"mark\":-1}", "mark must be a number from 0 to 86400");
	refused("{\"mark\":1.5}", "mark must be a number from 0 to 86400");
	refused("{\"mark\":\"1\"}", "mark must be a number from 0 to 86400");
	refused("{\"args_bytes\":1e3}", "args_bytes must be a number from 0 to 65536");
	refused("{\"args_bytes\":99999999999999999999}", "args_bytes must be a number from 0 to 65536");
	refused("{\"args_bytes\":[1]}", "args_bytes must be a number from 0 to 65536");
}

TEST(path_search_is_one_of_two_words)
{
	CHECK_INT(parse("{\"path_search\":\"fold\"}"), 0);
	CHECK(request.folds_given && request.folds);
	CHECK_INT(parse("{\"path_search\":\"all\"}"), 0);
	CHECK(request.folds_given && !request.folds);
	CHECK_INT(parse("{}"), 0);
	CHECK(!request.folds_given);
	refused("{\"path_search\":\"\"}", "path_search must be \"all\" or \"fold\"");
	refused("{\"path_search\":true}", "path_search must be \"all\" or \"fold\"");
	refused("{\"path_search\":[\"fold\"]}", "path_search must be \"all\" or \"fold\"");
}

TEST(name_is_short_and_plain)
{
	char name[REQUEST_NAME_MAX + 2], line[128];

	CHECK_INT(parse("{\"name\":\"a-Z.0_9:x@y\",\"ack\":0}"), 0);
	CHECK_STR(request.name, "a-Z.0_9:x@y");
	CHECK(request.ack_given && request.ack == 0 && !request_is_ack(&request) && !request.forget);
	memset(name, 'n', sizeof(name));
	name[REQUEST_NAME_MAX] = '\0';
	snprintf(line, sizeof(line), "{\"name\":\"%s\"}", name);
	CHECK_INT(parse(line), 0);
	CHECK_STR(request.name, name);
	CHECK(!request.ack_given);
	name[REQUEST_NAME_MAX] = 'n';
	name[REQUEST_NAME_MAX + 1] = '\0';
	snprintf(line, sizeof(line), "{\"name\":\"%s\"}", name);
	refused(line, "name must be 1 to 64 letters, digits and ._:@-");
	refused("{\"name\":\"\"}", "name must be 1 to 64 letters, digits and ._:@-");
	refused("{\"name\":\"a b\"}", NULL);
	refused("{\"name\":\"a/b\"}", NULL);
	refused("{\"name\":\"\xc3\xa4\"}", NULL);
	refused("{\"name\":7}", NULL);
	refused("{\"name\":[\"a\"]}", NULL);
}

TEST(ack_and_forget_are_no_subscriptions)
{
	CHECK_INT(parse("{\"ack\":18446744073709551615}"), 0);
	CHECK(request_is_ack(&request) && request.ack == UINT64_MAX);
	CHECK_INT(parse("{\"forget\":\"siem\"}"), 0);
	CHECK(request.forget && !request_is_ack(&request));
	CHECK_STR(request.name, "siem");
	refused("{\"ack\":-1}", NULL);
	refused("{\"ack\":\"1\"}", NULL);
	refused("{\"ack\":18446744073709551616}", NULL);
	refused("{\"ack\":1,\"pid\":1}", "ack must be the only key, or be given with a name");
	refused("{\"forget\":\"siem\",\"name\":\"siem\"}", "forget must be the only key");
	refused("{\"forget\":\"siem\",\"ack\":1}", "forget must be the only key");
	refused("{\"forget\":true}", NULL);
}

TEST(stats_exclude_other_keys)
{
	CHECK_INT(parse("{\"stats\":true}"), 0);
	CHECK(request.stats);
	/* It is no subscription to everything. */
	refused("{\"stats\":false}", "stats must be true");
	refused("{\"stats\":true,\"pid\":1}", "stats must be the only key");
	refused("{\"pid\":1,\"stats\":true}", "stats must be the only key");
	refused("{\"snapshot\":false,\"stats\":true}", "stats must be the only key");
	refused("{\"stats\":false,\"pid\":1}", "stats must be the only key");
	refused("{\"stats\":true,\"stats\":true}", "stats is given twice");
	refused("{\"stats\":1}", "stats must be true or false");
}

TEST(invalid_requests_are_refused)
{
	refused("", NULL);
	refused("x", NULL);
	refused("{", NULL);
	refused("{}{}", NULL);
	refused("{} x", NULL);
	refused("[]", "not a JSON object");
	refused("1", "not a JSON object");
	refused("null", "not a JSON object");
	refused("\"x\"", "not a JSON object");
	refused("{\"nonsense\":1}", "unknown key 'nonsense'");
	refused("{\"\\u001b[31m\":1}", "unknown key '?[31m'");
	refused("{\"pid\":\"x\"}", "pid: 'x': not a number");
	refused("{\"pid\":1.5}", "pid: '1.5': not a number");
	refused("{\"pid\":true}", "pid: not a string, a number, or a list of these");
	refused("{\"pid\":null}", "pid: not a string, a number, or a list of these");
	refused("{\"pid\":{}}", "pid: not a string, a number, or a list of these");
	refused("{\"pid\":[[1]]}", "pid: not a string, a number, or a list of these");
	refused("{\"types\":\"begun\"}", NULL);
	refused("{\"fields\":\"nonsense\"}", "fields: unknown key 'nonsense'");
	refused("{\"snapshot\":\"yes\"}", "snapshot must be true or false");
	CHECK_INT(request_parse(&request, "{}\0", 3, reason), -EINVAL);
	CHECK_STR(reason, "the line contains a NUL byte");
}

TEST(only_strict_json_is_accepted)
{
	static const char *const others[] = {
		"{} //",
		"{} /* x */",
		"/**/{}",
		"{\"pid\":1/**/}",
		"{,}",
		"{\"pid\":1,}",
		"{\"pid\":[1,]}",
		"{pid:1}",
		"{'pid':1}",
		"{\"pid\":01}",
		"{\"pid\":0x1}",
		"{\"pid\":+1}",
		"{\"pid\":.5}",
		"{\"pid\":NaN}",
		"{\"pid\":1 2}",
		"{\"comm\":\"\t\"}",
		"{\"comm\":\"\\x\"}",
		"{\"comm\":\"\\u12g4\"}",
		"{\"comm\":\"a",
		"\xef\xbb\xbf{}",
		"{\"comm\":\"\\",
		"{\"comm\":\"\\u",
		"{\"comm\":\"\\u00",
		"\\",
		"{}\b",
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		refused(others[i], NULL);
		CHECK(strncmp(reason, "not JSON", 8) == 0);
	}
	/* A '/' in a string is none. */
	CHECK_INT(parse("{\"exe\":\"//*\\/\\\\\"}"), 0);
	CHECK_STR(filter_entry(request.filter, FILTER_EXE, 0), "//*/\\");
}

TEST(repeated_key_is_refused)
{
	refused("{\"pid\":1,\"pid\":2}", "pid is given twice");
	refused("{\"pid\":1,\"uid\":1,\"pid\":1}", "pid is given twice");
	refused("{\"fields\":[],\"fields\":[]}", "fields is given twice");
	refused("{\"snapshot\":true,\"snapshot\":false}", "snapshot is given twice");
	refused("{\"error\":1,\"\\u0065rror\":1}", "error is given twice");
}

TEST(text_must_be_unicode_without_nul)
{
	refused("{\"comm\":\"\xff\"}", "not UTF-8");
	refused("{\"comm\":\"\xc0\x80\"}", "not UTF-8");	 /* overlong */
	refused("{\"comm\":\"\xed\xa0\x80\"}", "not UTF-8");	 /* a surrogate */
	refused("{\"comm\":\"\xf4\x90\x80\x80\"}", "not UTF-8"); /* beyond U+10FFFF */
	refused("{\"comm\":\"\xe2\x82\"}", "not UTF-8");
	refused("{\"comm\":\"a\\u0000b\"}", "a string contains a NUL");
	refused("{\"\\u0000\":1}", "a string contains a NUL");
	refused("{\"comm\":\"\\\\\\u0000\"}", "a string contains a NUL");
	refused("{\"comm\":\"\\ud800\"}", "a string contains half a surrogate pair");
	refused("{\"comm\":\"\\uDC00\"}", "a string contains half a surrogate pair");
	refused("{\"comm\":\"\\ud800\\u0041\"}", "a string contains half a surrogate pair");
	refused("{\"comm\":\"\\ud800\\ud800\"}", "a string contains half a surrogate pair");
	refused("{\"comm\":\"\\ud83d\\ude00\\ude00\"}", "a string contains half a surrogate pair");
	/* A backslash before what looks like an escape makes it none. */
	CHECK_INT(parse("{\"comm\":\"\\\\\\\\u0000\\u00e9\\uD83D\\ude00\xe2\x82\xac\\u0001\x7f\"}"), 0);
	CHECK_STR(filter_entry(request.filter, FILTER_COMM, 0),
		  "\\\\u0000\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\xac\x01\x7f");
}

TEST(numbers_are_values_as_written)
{
	CHECK_INT(parse("{\"pid\":[0,4294967295],\"error\":[-13,13],\"comm\":[5,1.50,-0],\"uid\":\"0\"}"), 0);
	CHECK_STR(filter_entry(request.filter, FILTER_PID, 1), "4294967295");
	CHECK_STR(filter_entry(request.filter, FILTER_ERROR, 0), "-13");
	CHECK_STR(filter_entry(request.filter, FILTER_COMM, 1), "1.50");
	CHECK_STR(filter_entry(request.filter, FILTER_COMM, 2), "-0");
	refused("{\"pid\":4294967296}", "pid: '4294967296': not a number");
	refused("{\"pid\":-1}", "pid: '-1': not a number");
	refused("{\"pid\":1e3}", "pid: '1e3': not a number");
	refused("{\"pid\":99999999999999999999999999}", NULL);
	refused("{\"fields\":1}", "fields: unknown key '1'");
}

static void print(void *to, const char *data, size_t size)
{
	strncat(to, data, size);
}

TEST(reply_is_a_valid_request)
{
	char answer[1024] = "";
	yajl_gen gen = yajl_gen_alloc(NULL);

	CHECK_INT(parse("{\"uid\":0,\"snapshot\":true,\"comm\":[\"!a\\u0001\",\"/\\\"\"],\"fields\":\"pid\"}"), 0);
	yajl_gen_config(gen, yajl_gen_print_callback, print, answer);
	yajl_gen_map_open(gen);
	request_gen(&request, gen);
	yajl_gen_map_close(gen);
	yajl_gen_free(gen);
	CHECK_STR(answer, "{\"snapshot\":true,\"fields\":[\"type\",\"pid\"],\"uid\":[\"0\"],"
			  "\"comm\":[\"!a\\u0001\",\"/\\\"\"]}");
	CHECK_INT(parse(answer), 0);
	CHECK(request.snapshot && request.keys == (KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID)));
	CHECK_STR(filter_entry(request.filter, FILTER_COMM, 0), "!a\x01");
}

TEST(depth_and_number_are_bounded)
{
	static char line[REQUEST_LINE_MAX];
	size_t n = 0;

	memset(line, '[', 60000);
	refused(line, "more than 4 levels deep");
	memset(line, 0, sizeof(line));
	n += (size_t)sprintf(line, "{\"comm\":[\"x\"");
	for (int i = 0; i < FILTER_ENTRIES_MAX - 1; i++)
		n += (size_t)sprintf(line + n, ",\"x%d\"", i);
	strcpy(line + n, "]}");
	CHECK_INT(parse(line), 0);
	strcpy(line + n, ",\"more\"]}");
	refused(line, "comm: too many entries, at most 256 in all");
	/* Fields may come more than once, but not without end. */
	n = (size_t)sprintf(line, "{\"fields\":[\"pid\"");
	for (int i = 1; i < REQUEST_FIELDS_MAX; i++)
		n += (size_t)sprintf(line + n, ",\"pid\"");
	strcpy(line + n, "]}");
	CHECK_INT(parse(line), 0);
	strcpy(line + n, ",1]}");
	refused(line, "fields: too many");
	/* As many keys as there is room for, and one long one. */
	for (n = 0; n + 16 < sizeof(line);)
		n += (size_t)sprintf(line + n, "%s\"k%zu\":1", n ? "," : "{", n);
	strcpy(line + n, "}");
	refused(line, "unknown key 'k0'");
	memset(line, 'x', 65000);
	memcpy(line, "{\"", 2);
	strcpy(line + 65000, "\":1}");
	refused(line, NULL);
	memcpy(line, "{\"comm\":\"", 9);
	strcpy(line + 65000, "\"}");
	refused(line, "comm: too long, at most 4096 bytes");
	/* Brackets in strings are no depth. */
	CHECK_INT(parse("{\"comm\":\"[[[[[[[[\\\"[[[[\"}"), 0);
}

TAP_MAIN
