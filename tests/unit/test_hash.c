/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/hash.h"

#include <stdlib.h>
#include <time.h>

#include "ctl/collect/groups.h"
#include "ctl/collect/history.h"
#include "ctl/collect/recording.h"
#include "ctl/event/event_parser.h"
#include "ctl/export/interned.h"
#include "tap.h"

#define COLLIDING 8192 /* a power of two: in a table of this size, and in smaller ones, they share a place */
#define ID_SIZE 40

static char ids[2][COLLIDING][ID_SIZE]; /* ordinary ones, and those that collide without a secret */
static size_t count;			/* of each; valgrind needs minutes to find all */

/* The reference implementation's, with 1 and 3 rounds: key and message are 0, 1, 2 and so on. */
TEST(siphash_is_that_of_its_authors)
{
	static const struct {
		size_t size;
		uint64_t hash;
	} known[] = {
		{ 0, 0xabac0158050fc4dc },
		{ 1, 0xc9f49bf37d57ca93 },
		{ 8, 0x369095118d299a8e },
		{ 15, 0xd320d86d2a519956 },
	};
	const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	char message[16];

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (char)i;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		CHECK_INT(siphash13((struct bytes){ message, known[i].size }, key), known[i].hash);
}

TEST(hash_is_of_the_bytes)
{
	CHECK(bytes_hash(BYTES("abc")) == bytes_hash(BYTES("abc")));
	CHECK(bytes_hash(BYTES("abc")) != bytes_hash(BYTES("abd")));
	CHECK(bytes_hash(BYTES("")) != bytes_hash(BYTES("\0")));
}

/* FNV-1a, which anybody can compute. */
static uint64_t public_hash(const char *id)
{
	uint64_t value = 14695981039346656037ULL;

	for (; *id; id++)
		value = (value ^ (unsigned char)*id) * 1099511628211ULL;
	return value ^ value >> 32;
}

static void make_ids(void)
{
	size_t n = 0;

	count = (size_t)tap_rounds(COLLIDING);
	for (uint64_t i = 0; i < count; i++)
		snprintf(ids[0][i], ID_SIZE, "%08" PRIx64 "-1-%08" PRIx64, i, i);
	for (uint64_t i = 0; n < count; i++) {
		snprintf(ids[1][n], ID_SIZE, "%" PRIx64, i);
		n += (public_hash(ids[1][n]) & (COLLIDING - 1)) == 0;
	}
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Starts of processes with these ids, into everything that has a table of them. */
static double add_all(char (*of)[ID_SIZE])
{
	const struct groups_options options = { .keys = { GROUP_EXE }, .key_count = 1 };
	struct event_parser *parser;
	struct recording *recording;
	struct interned interned = { 0 };
	struct history *history;
	struct groups *groups;
	struct parsed parsed;
	const char *reason;
	char line[256];
	size_t number;
	double begin = cpu_seconds();

	CHECK_INT(event_parser_new(&parser), 0);
	CHECK_INT(history_new(&history, false), 0);
	CHECK_INT(recording_new(&recording), 0);
	CHECK_INT(groups_new(&groups, &options), 0);
	for (size_t i = 0; i < count; i++) {
		snprintf(line, sizeof(line), "{\"type\":\"started\",\"id\":\"%s\",\"exe\":\"%s\"}", of[i], of[i]);
		CHECK_INT(event_parser_line(parser, bytes_of(line), &parsed, &reason), 0);
		CHECK_INT(history_add(history, &parsed), 0);
		CHECK_INT(recording_add(recording, &parsed), 0);
		CHECK_INT(groups_add(groups, &parsed), 0);
		CHECK_INT(interned_add(&interned, bytes_of(of[i]), &number), 0);
	}
	CHECK_INT(history_count(history), count);
	interned_free(&interned);
	groups_free(groups);
	recording_free(recording);
	history_free(history);
	event_parser_free(parser);
	return cpu_seconds() - begin;
}

/* Ten times as long with a hash without a secret; the same with one. */
TEST(chosen_ids_cost_no_more_than_others)
{
	double ordinary, chosen;

	make_ids();
	add_all(ids[0]);
	ordinary = add_all(ids[0]);
	chosen = add_all(ids[1]);
	printf("# %.1f ms for ordinary ids, %.1f ms for chosen ones\n", ordinary * 1e3, chosen * 1e3);
	CHECK(chosen < 4 * ordinary);
}

TAP_MAIN
