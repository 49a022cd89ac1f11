/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Line queues for the next daemon: each line once, however many queues have it. */
#include <string.h>

#include "output/line_queue_internal.h"
#include "util/array.h"

void line_set_clear(struct line_set *set)
{
	for (size_t i = 0; set->lines && i < set->count; i++)
		line_unref(set->lines[i]);
	free(set->lines);
	*set = (struct line_set){};
}

static int line_set_add(struct line_set *set, struct line *line)
{
	int r = ARRAY_RESERVE(set->lines, set->capacity, set->count + 1);

	if (r < 0)
		return r;
	set->lines[set->count++] = line_ref(line);
	return 0;
}

/* In an archive it is a line like any other, with text of its own. */
static void write_cut(const struct line *line, struct archive *a)
{
	_cleanup_free_ char *text = malloc(line->size);
	const struct span *spans = (const void *)line->data;
	struct bytes bytes = { text, line->size };
	size_t at = 0;

	if (!text) {
		archive_fail(a);
		return;
	}
	for (size_t i = 0; i < line->spans; i++) {
		memcpy(text + at, line->whole->data + spans[i].at, spans[i].size);
		at += spans[i].size;
	}
	archive_bytes(a, &bytes);
}

static void write_line(struct line *line, struct archive *a, struct line_set *set)
{
	struct bytes bytes = { line->data, line->size };

	ARCHIVE(a, line->number);
	if (line->number == 0) {
		line->number = (unsigned)++set->count;
		ARCHIVE(a, line->events);
		ARCHIVE(a, line->seq);
		ARCHIVE(a, line->last_seq);
		archive_flag(a, &line->is_rest);
		archive_flag(a, &line->snapshot);
		if (line->whole)
			write_cut(line, a);
		else
			archive_bytes(a, &bytes);
	}
}

/* *ret: a reference of the caller's. */
static int read_line(struct line **ret, struct archive *a, struct line_set *set)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct bytes bytes = {};
	uint64_t events, seq, last_seq;
	unsigned number;
	bool snapshot = false, is_rest = false;
	int r;

	ARCHIVE(a, number);
	if (number > set->count)
		archive_fail(a);
	if (archive_error(a) == 0 && number > 0) {
		*ret = line_ref(set->lines[number - 1]);
		return 0;
	}
	ARCHIVE(a, events);
	ARCHIVE(a, seq);
	ARCHIVE(a, last_seq);
	archive_flag(a, &is_rest);
	archive_flag(a, &snapshot);
	archive_bytes(a, &bytes);
	if (bytes.size == 0)
		archive_fail(a);
	if (archive_error(a) < 0)
		return archive_error(a);
	r = line_new(&line, bytes.size);
	if (r < 0)
		return r;
	memcpy(line->data, bytes.data, bytes.size);
	line->events = events;
	line->seq = seq;
	line->last_seq = last_seq;
	line->is_rest = is_rest;
	line->snapshot = snapshot;
	r = line_set_add(set, line);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(line);
	return 0;
}

int line_archive(struct line **line, struct archive *a, struct line_set *set)
{
	if (archive_is_reading(a))
		return read_line(line, a, set);
	write_line(*line, a, set);
	return archive_error(a);
}

static int read_next(struct line_queue *queue, struct archive *a, struct line_set *set)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	int r = read_line(&line, a, set);

	return r < 0 ? r : line_queue_push(queue, line);
}

/* How far the lines that were read are written. */
static void set_progress(struct line_queue *queue, struct archive *a, size_t retained, size_t written)
{
	bool fits = queue->retains || retained == 0;

	for (size_t i = 0; i < retained; i++)
		fits = fits && (*line_queue_place(queue, i))->events > 0;
	if (written > 0)
		fits = fits && retained < queue->count && written < (*line_queue_place(queue, retained))->size;
	if (!fits) {
		archive_fail(a);
		return;
	}
	line_queue_retain(queue, retained);
	queue->written = written;
	queue->size -= written;
}

int line_queue_archive(struct line_queue *queue, struct archive *a, struct line_set *set)
{
	size_t count = queue->count, retained = queue->retained, written = queue->written;

	ASSERT(!archive_is_reading(a) || count == 0);
	archive_count(a, &count, SIZE_MAX);
	archive_count(a, &retained, count);
	ARCHIVE(a, written);
	ARCHIVE(a, queue->passed_seq);
	archive_flag(a, &queue->retains);
	for (size_t i = 0; i < count; i++) {
		int r = 0;

		if (archive_is_reading(a))
			r = read_next(queue, a, set);
		else
			write_line(*line_queue_place(queue, i), a, set);
		if (r < 0)
			return r;
	}
	if (archive_is_reading(a) && archive_error(a) == 0)
		set_progress(queue, a, retained, written);
	return archive_error(a);
}
