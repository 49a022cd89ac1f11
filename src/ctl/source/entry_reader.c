/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/entry_reader.h"

#include <errno.h>
#include <sys/mman.h>

#include "ctl/source/journal_file.h"
#include "ctl/source/open_files.h"

#define KNOWN_COUNT 2048 /* a power of two; they fit a CPU's cache */
#define TRIES_MAX 4	 /* files that have the number of an entry, but another entry */

/* A data object that was looked at. Most are shared by many entries, and they never change. */
struct known {
	const unsigned char *object;
	const struct journal_field *field; /* NULL: it is not wanted */
	struct bytes value;
};

struct entry_reader {
	const struct journal_fields *wanted;
	struct journal_file *files;
	size_t count;
	size_t last; /* the file of the last entry */
	struct known known[KNOWN_COUNT];
};

/* Only the pages that are touched take memory. */
static int add_file(void *userdata, int fd, const struct stat *st)
{
	struct entry_reader *reader = userdata;
	struct journal_file *files = reallocarray(reader->files, reader->count + 1, sizeof(*files));
	void *data;

	if (!files)
		return -ENOMEM;
	reader->files = files;
	data = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return 0;
	if (journal_file_init(&files[reader->count], data, (uint64_t)st->st_size))
		reader->count++;
	else
		munmap(data, (size_t)st->st_size);
	return 0;
}

int entry_reader_new(struct entry_reader **ret, const struct journal_fields *wanted)
{
	_cleanup_(entry_reader_free_p) struct entry_reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return -ENOMEM;
	reader->wanted = wanted;
	r = open_files_each(add_file, reader);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(reader);
	return 0;
}

struct entry_reader *entry_reader_free(struct entry_reader *reader)
{
	if (!reader)
		return NULL;
	for (size_t i = 0; i < reader->count; i++)
		munmap((void *)reader->files[i].data, reader->files[i].size);
	free(reader->files);
	free(reader);
	return NULL;
}

/* Most often it is in the file of the one before. Copies of a file have the same entries. */
static const struct journal_file *find(struct entry_reader *reader, const struct entry_id *id,
				       struct journal_entry *ret)
{
	for (size_t i = 0, tries = 0; i < reader->count && tries < TRIES_MAX; i++) {
		size_t at = (reader->last + i) % reader->count;
		struct journal_file *file = &reader->files[at];

		if (!journal_file_covers(file, id))
			continue;
		if (journal_file_find(file, id, ret)) {
			reader->last = at;
			return file;
		}
		tries++;
	}
	return NULL;
}

static struct known *known_of(struct entry_reader *reader, const unsigned char *object)
{
	return &reader->known[(uint64_t)(uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (KNOWN_COUNT - 1)];
}

static bool look(const struct entry_reader *reader, const struct journal_file *file, uint64_t at, struct known *ret)
{
	struct bytes data;

	if (!journal_file_field(file, at, &data))
		return false;
	ret->object = file->data + at;
	ret->field = journal_fields_find(reader->wanted, data, &ret->value);
	return true;
}

static int read_fields(struct entry_reader *reader, const struct journal_file *file, const struct journal_entry *entry,
		       struct journal_record *record)
{
	for (uint64_t i = 0; i < entry->count; i++) {
		uint64_t at = journal_entry_item(file, entry, i);
		struct known *known = known_of(reader, file->data + at);
		int r;

		if (known->object != file->data + at && !look(reader, file, at, known))
			return ENTRY_LEFT;
		r = known->field ? journal_record_add(record, known->field, known->value) : 0;
		if (r < 0)
			return r;
	}
	return ENTRY_READ;
}

int entry_reader_read(struct entry_reader *reader, sd_journal *journal, struct journal_record *record)
{
	_cleanup_free_ char *cursor = NULL;
	const struct journal_file *file;
	struct journal_entry entry;
	struct entry_id id;

	if (sd_journal_get_cursor(journal, &cursor) < 0 || !entry_id_parse(&id, cursor))
		return ENTRY_LEFT;
	file = find(reader, &id, &entry);
	return file ? read_fields(reader, file, &entry, record) : ENTRY_LEFT;
}
