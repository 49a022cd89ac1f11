/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a folder of journal files forwards and backwards, each entry by sd-journal and by ctl/source/entry_reader.h,
 * for all keys and for a few: the records must be the same. Prints how many entries there are, and how many of them the
 * reader left to sd-journal.
 */
#include <inttypes.h>

#include "ctl/source/entry_reader.h"
#include "output/json.h"

#define FEW_KEYS (KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_ID) | KEY_BIT(KEY_UID) | KEY_BIT(KEY_ARGS))

struct direction {
	int (*seek)(sd_journal *journal);
	int (*step)(sd_journal *journal);
};

static const struct direction directions[] = {
	{ sd_journal_seek_head, sd_journal_next },
	{ sd_journal_seek_tail, sd_journal_previous },
};

static struct journal_record ours, theirs;
static struct json *json;
static uint64_t entries, left;

static void read_theirs(sd_journal *journal, const struct journal_fields *wanted)
{
	const void *data;
	size_t size;

	journal_record_begin(&theirs);
	sd_journal_restart_data(journal);
	while (sd_journal_enumerate_available_data(journal, &data, &size) > 0) {
		struct bytes value;
		const struct journal_field *field = journal_fields_find(wanted, (struct bytes){ data, size }, &value);

		if (field)
			ASSERT(journal_record_add(&theirs, field, value) == 0);
	}
}

static bool is_same(const struct bytebuf *a, const struct bytebuf *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static void compare_events(void)
{
	struct line *a, *b;

	ASSERT(journal_record_end(&ours) == 0 && journal_record_end(&theirs) == 0);
	ASSERT(ours.parsed.keys == theirs.parsed.keys && ours.parsed.event.type == theirs.parsed.event.type);
	if (ours.parsed.event.type == EVENT_TYPE_MAX)
		return;
	ASSERT(json_event(json, &a, &ours.parsed.event, ours.parsed.keys) == 0);
	ASSERT(json_event(json, &b, &theirs.parsed.event, theirs.parsed.keys) == 0);
	ASSERT(a->size == b->size && memcmp(a->data, b->data, a->size) == 0);
	line_unref(a);
	line_unref(b);
}

static void compare(sd_journal *journal, struct entry_reader *reader, const struct journal_fields *wanted)
{
	entries++;
	journal_record_begin(&ours);
	if (entry_reader_read(reader, journal, &ours) != ENTRY_READ) {
		left++;
		return;
	}
	read_theirs(journal, wanted);
	ASSERT(is_same(&ours.text, &theirs.text));
	ASSERT(is_same(&ours.ancestors, &theirs.ancestors) && ours.seq_step == theirs.seq_step);
	ASSERT(strcmp(ours.host, theirs.host) == 0 && strcmp(ours.stream, theirs.stream) == 0);
	compare_events();
}

static void compare_all(sd_journal *journal, key_set keys)
{
	_cleanup_(entry_reader_free_p) struct entry_reader *reader = NULL;
	struct journal_fields wanted;

	journal_fields_set(&wanted, keys);
	ASSERT(entry_reader_new(&reader, &wanted) == 0);
	for (size_t i = 0; i < sizeof(directions) / sizeof(directions[0]); i++) {
		ASSERT(directions[i].seek(journal) >= 0);
		while (directions[i].step(journal) > 0)
			compare(journal, reader, &wanted);
	}
}

int main(int argc, char **argv)
{
	sd_journal *journal;

	if (argc < 2 || sd_journal_open_directory(&journal, argv[1], 0) < 0)
		return 2;
	ASSERT(json_new(&json) == 0);
	sd_journal_set_data_threshold(journal, 0);
	for (int i = 2; i < argc; i++)
		ASSERT(sd_journal_add_match(journal, argv[i], 0) >= 0);
	compare_all(journal, ~(key_set)0);
	compare_all(journal, FEW_KEYS);
	sd_journal_close(journal);
	journal_record_finish(&ours);
	journal_record_finish(&theirs);
	json_free(json);
	printf("%" PRIu64 " %" PRIu64 "\n", entries, left);
	return 0;
}
