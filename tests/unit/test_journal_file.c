/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is read of a journal file is what sd-journal reads, whatever the file is; tests/ctl/entries.py has whole ones.
 */
#include "ctl/source/journal_file.h"

#include "journal_builder.h"
#include "journal_compare.h"
#include "tap.h"

static struct build built;

/* Exactly as large as the file, so that ASan sees a read beyond it. */
static unsigned compare_copy(const unsigned char *data, size_t size)
{
	_cleanup_free_ unsigned char *copy = malloc(size ?: 1);

	CHECK(copy);
	memcpy(copy, data, size);
	return compare_file(copy, size);
}

TEST(whole_files_are_read)
{
	for (int compact = 0; compact < 2; compact++) {
		build_file(&built, compact);
		/* In both directions, and one entry has a compressed field. */
		CHECK_INT(compare_copy(built.data, built.used), 2 * (BUILD_ENTRIES - 1));
	}
}

TEST(damaged_bytes_change_nothing_that_sd_journal_does_not_see)
{
	static const unsigned char flips[] = { 0x01, 0x08, 0x80, 0xff };
	/* Not a multiple of what fields are aligned to. */
	const size_t step = getenv("VALGRIND") ? 9 : 1;
	unsigned less = 0;

	for (int compact = 0; compact < 2; compact++) {
		build_file(&built, compact);
		for (size_t at = 0; at < built.used; at += step) {
			for (size_t i = 0; i < sizeof(flips); i++) {
				built.data[at] ^= flips[i];
				less += compare_copy(built.data, built.used) < 2 * (BUILD_ENTRIES - 1);
				built.data[at] ^= flips[i];
			}
		}
	}
	CHECK(less > 1000 / step);
}

/* Of what has no field of this name, only the entries are counted. */
TEST(entries_that_cannot_be_reached_are_noticed)
{
	struct journal_file file;

	for (int compact = 0; compact < 2; compact++) {
		build_file(&built, compact);
		CHECK(journal_file_init(&file, built.data, built.used));
		CHECK(journal_file_is_whole(&file, BYTES("NONE=x")));
		for (size_t at = 272; at < built.used; at += 8) {
			/* Types of entries and of arrays of them (journal_file.c). */
			if ((built.data[at] != 3 && built.data[at] != 6) ||
			    le64toh(*(uint64_t *)(built.data + at + 8)) > 512)
				continue;
			built.data[at] ^= 8;
			CHECK(journal_file_init(&file, built.data, built.used));
			CHECK(!journal_file_is_whole(&file, BYTES("NONE=x")));
			built.data[at] ^= 8;
		}
	}
}

TEST(cut_files_are_not_read_beyond_their_end)
{
	for (int compact = 0; compact < 2; compact++) {
		build_file(&built, compact);
		for (size_t size = 0; size < built.used; size++)
			compare_copy(built.data, size);
	}
}

/* As the first look for an entry does. */
static void set_arrays(struct journal_file *file)
{
	struct entry_id id = { .seqnum = 1 };
	struct journal_entry entry;

	CHECK(!journal_file_find(file, &id, &entry));
}

TEST(chains_of_arrays_end)
{
	struct journal_file file;

	build_file(&built, false);
	/* The second array follows itself, then the first. */
	for (size_t at = 272; at < built.used; at += 8)
		if (built.data[at] == 6 && le64toh(*(uint64_t *)(built.data + at + 16)) == 0)
			build_set(&built, at + 16, at);
	CHECK(journal_file_init(&file, built.data, built.used));
	set_arrays(&file);
	CHECK_INT(file.array_count, 2);
	CHECK_INT(compare_copy(built.data, built.used) > 0, true);
}

TEST(chains_of_too_many_arrays_are_read_in_part)
{
	struct journal_file file;

	build_file(&built, false);
	for (size_t i = 0, before = (size_t)le64toh(((uint64_t *)built.data)[22]); i < ENTRY_ARRAYS_MAX + 2; i++) {
		size_t at = build_array(&built, 1);

		build_set(&built, before + 16, at);
		before = at;
	}
	build_set(&built, 96, built.used - 272); /* arena_size */
	CHECK(journal_file_init(&file, built.data, built.used));
	set_arrays(&file);
	CHECK_INT(file.array_count, ENTRY_ARRAYS_MAX);
}

TEST(files_that_are_not_understood_are_refused)
{
	struct journal_file file;
	_cleanup_free_ unsigned char *copy = NULL;

	build_file(&built, false);
	CHECK(journal_file_init(&file, built.data, built.used));
	built.data[12] = 1 << 5; /* incompatible_flags */
	CHECK(!journal_file_init(&file, built.data, built.used));
	built.data[12] = 0;
	build_set(&built, 88, 4); /* header_size */
	CHECK(!journal_file_init(&file, built.data, built.used));
	build_set(&built, 88, 272);
	/* The last object begins 8 bytes before the end. */
	build_set(&built, 136, built.used - 8);
	copy = malloc(built.used);
	CHECK(copy);
	memcpy(copy, built.data, built.used);
	CHECK(journal_file_init(&file, copy, built.used));
	set_arrays(&file);
	CHECK_INT(file.limit, 0);
}

TEST(cursors_are_parsed_whole_or_not_at_all)
{
	struct entry_id id;

	CHECK(entry_id_parse(&id,
			     "s=00112233445566778899aabbccddeeff;i=1f;b=ffeeddccbbaa99887766554433221100;m=2;t=3;x=4"));
	CHECK(id.seqnum_id.high == 0x0011223344556677 && id.seqnum_id.low == 0x8899aabbccddeeff);
	CHECK(id.boot_id.high == 0xffeeddccbbaa9988 && id.boot_id.low == 0x7766554433221100);
	CHECK(id.seqnum == 0x1f && id.monotonic == 2 && id.realtime == 3 && id.xor_hash == 4);
	CHECK(!entry_id_parse(&id, ""));
	CHECK(!entry_id_parse(&id, "s=00112233445566778899aabbccddeeff;i=1f"));
	CHECK(!entry_id_parse(&id,
			      "s=00112233445566778899aabbccddeeff;b=ffeeddccbbaa99887766554433221100;i=1;m=2;t=3;x=4"));
	CHECK(!entry_id_parse(
		&id, "s=00112233445566778899aabbccddeeff;i=1f;b=ffeeddccbbaa99887766554433221100;m=2;t=3;x=4;y=5"));
	CHECK(!entry_id_parse(&id, "s=0011;i=1f;b=ffee;m=2;t=3;x=4g"));
}

TAP_MAIN
