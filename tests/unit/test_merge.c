/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/event/merge.h"

#include "ctl/event/event_parser.h"
#include "tap.h"
#include "util/bytebuf.h"

#define MIB (1U << 20)
#define NOW UINT64_C(1000000000)

static struct merge *merge;
static struct event_parser *parser;
static struct bytebuf line;

static void begin(void)
{
	CHECK_INT(merge_new(&merge), 0);
	CHECK_INT(event_parser_new(&parser), 0);
}
SETUP(begin)

static void end(void)
{
	merge = merge_free(merge);
	parser = event_parser_free(parser);
	bytebuf_free(&line);
}
TEARDOWN(end)

/* An event at NOW, whose line has this many bytes and more. What merge_add() returns. */
static int add(const char *type, unsigned id, size_t size)
{
	struct parsed parsed;
	const char *reason;
	char head[160];
	int n = snprintf(head, sizeof(head),
			 "{\"type\":\"%s\",\"id\":\"a-%u-1\",\"pid\":%u,\"time\":\"1970-01-01T00:00:01Z\",\"exe\":\"",
			 type, id, id);

	line.size = 0;
	CHECK_INT(bytebuf_add(&line, (struct bytes){ head, (size_t)n }), 0);
	CHECK_INT(bytebuf_reserve(&line, size + 2), 0);
	memset(line.data + line.size, 'x', size);
	line.size += size;
	CHECK_INT(bytebuf_add(&line, BYTES("\"}")), 0);
	CHECK_INT(event_parser_line(parser, (struct bytes){ line.data, line.size }, &parsed, &reason), 0);
	return merge_add(merge, &parsed);
}

static unsigned due(uint64_t now)
{
	const struct parsed *parsed;
	int r = merge_due(merge, now, &parsed);

	CHECK(r >= 0);
	return r > 0 ? parsed->process.tgid : 0;
}

TEST(start_is_held_until_its_end_or_its_time)
{
	CHECK_INT(add("started", 1, 0), 1);
	CHECK_INT(add("started", 2, 0), 1);
	CHECK_INT(add("error", 3, 0), 0);
	CHECK_INT(add("exited", 1, 0), 0);
	CHECK_INT(due(NOW + MERGE_NS - 1), 0);
	CHECK_INT(due(NOW + MERGE_NS), 2);
	CHECK(merge_is_empty(merge));
}

TEST(memory_of_what_is_held_has_a_bound)
{
	unsigned held = 0;

	for (unsigned id = 1; id <= 100; id++) {
		CHECK_INT(add("started", id, MIB), 1);
		held++;
		for (unsigned first; (first = due(NOW)) > 0; held--)
			CHECK_INT(first, id + 1 - held);
		CHECK(held <= 16 && (id < 16 || held >= 15));
	}
	/* Those that ended make room. */
	for (unsigned id = 1; id <= 100; id++)
		CHECK_INT(add("exited", id, 0), 0);
	CHECK(merge_is_empty(merge));
	for (unsigned id = 1; id <= 10; id++)
		CHECK_INT(add("started", id, MIB), 1);
	CHECK_INT(due(NOW), 0);
}

TAP_MAIN
