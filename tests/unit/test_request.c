/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "request.h"

#include <errno.h>

#include "tap.h"

static struct request request;
static char reason[REQUEST_REASON_SIZE];

static int parse(const char *line)
{
	return request_parse(&request, line, strlen(line), reason);
}

static void refused(const char *line, const char *why)
{
	struct request untouched = { .snapshot = true };

	request = untouched;
	CHECK_INT(parse(line), -EINVAL);
	CHECK(memcmp(&request, &untouched, sizeof(request)) == 0);
	for (const char *c = reason; *c; c++)
		CHECK(*c >= 0x20 && *c < 0x7f);
	if (why)
		CHECK_STR(reason, why);
}

TEST(an_empty_object_asks_for_everything)
{
	CHECK_INT(parse("{}"), 0);
	CHECK(!request.stats && !request.snapshot && !request.keys_given && filter_is_empty(request.filter));
	request_clear(&request);
	CHECK_INT(parse(" { } \r"), 0);
	request_clear(&request);
}

TEST(a_subscription_has_filters_fields_and_snapshot)
{
	CHECK_INT(parse("{\"pid\":[1,\"!2\"],\"exe\":\"/usr/*\",\"snapshot\":true,\"fields\":[\"pid\",\"exe\"]}"), 0);
	CHECK(request.snapshot && request.keys_given && !request.stats);
	CHECK(request.keys == (KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID) | KEY_BIT(KEY_EXE)));
	CHECK_STR(filter_entry(request.filter, FILTER_PID, 0), "1");
	CHECK_STR(filter_entry(request.filter, FILTER_PID, 1), "!2");
	CHECK_STR(filter_entry(request.filter, FILTER_EXE, 0), "/usr/*");
	CHECK(!filter_entry(request.filter, FILTER_EXE, 1));
	request_clear(&request);
	CHECK_INT(parse("{\"fields\":\"basic\",\"types\":\"started\"}"), 0);
	CHECK(request.keys == KEYS_BASIC);
	request_clear(&request);
	CHECK_INT(parse("{\"fields\":[]}"), 0);
	CHECK(request.keys_given && request.keys == KEY_BIT(KEY_TYPE));
	request_clear(&request);
}

TEST(stats_stand_alone)
{
	CHECK_INT(parse("{\"stats\":true}"), 0);
	CHECK(request.stats);
	request_clear(&request);
	refused("{\"stats\":false}", NULL);
	refused("{\"stats\":true,\"pid\":1}", "stats stands alone");
	refused("{\"stats\":1}", "stats is neither true nor false");
}

TEST(what_is_no_request)
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
	refused("{\"pid\":true}", "pid: neither a string, a number, nor a list of these");
	refused("{\"pid\":null}", "pid: neither a string, a number, nor a list of these");
	refused("{\"pid\":{}}", "pid: neither a string, a number, nor a list of these");
	refused("{\"pid\":[[1]]}", "pid: neither a string, a number, nor a list of these");
	refused("{\"types\":\"begun\"}", NULL);
	refused("{\"fields\":\"nonsense\"}", "fields: there is no key 'nonsense'");
	refused("{\"snapshot\":\"yes\"}", "snapshot is neither true nor false");
	refused("{\"comm\":\"\xff\"}", NULL);
	refused("{\"comm\":\"a\\u0000b\"}", "there is a NUL in a string");
	CHECK_INT(request_parse(&request, "{}\0", 3, reason), -EINVAL);
}

TEST(depth_and_number_are_bounded)
{
	static char line[REQUEST_LINE_MOST];
	size_t n = 0;

	memset(line, '[', 60000);
	refused(line, "more than 4 levels deep");
	memset(line, 0, sizeof(line));
	n += (size_t)sprintf(line, "{\"comm\":[\"x\"");
	for (int i = 0; i < FILTER_ENTRIES_MAX - 1; i++)
		n += (size_t)sprintf(line + n, ",\"x%d\"", i);
	strcpy(line + n, "]}");
	CHECK_INT(parse(line), 0);
	request_clear(&request);
	strcpy(line + n, ",\"more\"]}");
	refused(line, "comm: too many or too long entries");
	/* Brackets in strings are no depth. */
	CHECK_INT(parse("{\"comm\":\"[[[[[[[[\\\"[[[[\"}"), 0);
	request_clear(&request);
}

TAP_MAIN
