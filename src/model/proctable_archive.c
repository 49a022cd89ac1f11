/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table in an archive: its versions in the order of the list. An image is written with the
 * first version that has it, and referred to by its number after that. */
#include <errno.h>

#include "model/proctable_internal.h"
#include "util/array.h"

#define IMAGES_MAX (1u << 24) /* four for each process that Linux can have */

/* An image that has been read. */
struct known {
	struct image_data *data;
	struct image image;
};
struct images {
	size_t count, capacity;
	struct known *known;
};

/* Where versions are read to, and from. */
struct restore {
	struct proctable *table;
	struct archive *archive;
	struct images images;
	int (*change)(void *userdata, struct image *image); /* may be NULL */
	void *userdata;
};

static int images_add(struct images *images, struct image_data *data, const struct image *image)
{
	int r = ARRAY_RESERVE(images->known, images->capacity, images->count + 1);

	if (r < 0)
		return r;
	images->known[images->count++] = (struct known){ data, *image };
	return 0;
}

static void write_image(struct version *version, struct archive *a, struct images *images)
{
	uint32_t number = version->image_data ? version->image_data->number : 0;
	bool fresh = version->image_data && number == 0;

	archive_flag(a, &fresh);
	if (fresh)
		version->image_data->number = (unsigned)++images->count;
	else
		ARCHIVE(a, number);
	if (number == 0)
		image_archive(&version->entry.process.image, a);
}

/* *ret_data: with a reference for the version. */
static int read_image(struct restore *restore, struct image *ret, struct image_data **ret_data)
{
	struct images *images = &restore->images;
	struct archive *a = restore->archive;
	uint32_t number = 0;
	bool fresh;
	int r = 0;

	archive_flag(a, &fresh);
	if (!fresh)
		ARCHIVE(a, number);
	if (number > images->count)
		return -EBADMSG;
	if (number > 0) {
		*ret = images->known[number - 1].image;
		*ret_data = images->known[number - 1].data;
		if (*ret_data)
			(*ret_data)->refs++;
		return 0;
	}
	image_archive(ret, a);
	if (archive_error(a) == 0 && restore->change)
		r = restore->change(restore->userdata, ret);
	if (r < 0)
		return r;
	r = image_copy(restore->table, ret, ret_data);
	if (r == 0 && fresh)
		r = images->count < IMAGES_MAX ? images_add(images, *ret_data, ret) : -EBADMSG;
	if (r < 0)
		image_data_unref(restore->table, *ret_data);
	return r;
}

static void times_archive(struct version *version, struct archive *a)
{
	ARCHIVE(a, version->from);
	ARCHIVE(a, version->until);
	ARCHIVE(a, version->entry.born);
	ARCHIVE(a, version->entry.announced);
}

static int read_version(struct restore *restore)
{
	struct proctable *table = restore->table;
	struct archive *a = restore->archive;
	struct process process = {};
	struct version times, *version;
	struct image image = {};
	struct image_data *data = NULL;
	int r;

	times_archive(&times, a);
	process_archive(&process, a);
	r = read_image(restore, &image, &data);
	if (r < 0)
		return r;
	if (archive_error(a) == 0 && times.until == UNTIL_NOW && proctable_find(table, process.tgid, 0))
		archive_fail(a);
	r = archive_error(a);
	if (r == 0)
		r = version_new(&version, &process, &image, data);
	if (r < 0) {
		image_data_unref(table, data);
		return r;
	}
	version->from = times.from;
	version->until = times.until;
	version->entry.born = times.entry.born;
	version->entry.announced = times.entry.announced;
	version_append(table, version);
	return 0;
}

static size_t count_versions(const struct proctable *table)
{
	size_t count = 0;

	for (const struct version *version = table->first; version; version = version->next)
		count++;
	return count;
}

int proctable_archive(struct proctable *table, struct archive *a, int (*change)(void *userdata, struct image *image),
		      void *userdata)
{
	struct restore restore = { .table = table, .archive = a, .change = change, .userdata = userdata };
	size_t count;
	int r = 0;

	list_order(table);
	count = count_versions(table);
	ASSERT(!archive_is_reading(a) || count == 0);
	ARCHIVE(a, table->clock);
	ARCHIVE(a, table->last_snapshot);
	archive_count(a, &count, IMAGES_MAX);
	if (archive_is_reading(a)) {
		for (size_t i = 0; r == 0 && i < count; i++)
			r = read_version(&restore);
	} else {
		for (struct version *version = table->first; version; version = version->next) {
			times_archive(version, a);
			process_archive(&version->entry.process, a);
			write_image(version, a, &restore.images);
		}
	}
	free(restore.images.known);
	return r < 0 ? r : archive_error(a);
}

/* By what identifies a version (version_is_before()). */
static struct version *find_version(const struct proctable *table, uint32_t tgid, uint64_t start, uint64_t from)
{
	struct version *version = table->first;

	while (version &&
	       (version->entry.process.tgid != tgid || version->entry.process.start != start || version->from != from))
		version = version->next;
	return version;
}

int proctable_cursor_archive(struct proctable_cursor **cursor, struct proctable *table, struct archive *a)
{
	struct proctable_cursor *c = *cursor;
	struct version *at = c ? c->at : NULL;
	bool exists = c, under_way = c && c->table, begun = at;
	uint64_t clock = c ? c->clock : 0, start = at ? at->entry.process.start : 0, from = at ? at->from : 0;
	uint32_t tgid = at ? at->entry.process.tgid : 0;
	size_t remaining = c ? c->remaining : 0;

	archive_flag(a, &exists);
	archive_flag(a, &under_way);
	archive_flag(a, &begun);
	ARCHIVE(a, clock);
	ARCHIVE(a, tgid);
	ARCHIVE(a, start);
	ARCHIVE(a, from);
	ARCHIVE(a, remaining);
	if (!archive_is_reading(a) || archive_error(a) < 0 || !exists)
		return archive_error(a);
	if (under_way && begun) {
		at = find_version(table, tgid, start, from);
		if (!at) {
			archive_fail(a);
			return archive_error(a);
		}
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->clock = clock;
	c->at = at;
	c->remaining = remaining;
	if (under_way)
		cursor_enter(c, table);
	*cursor = c;
	return 0;
}
