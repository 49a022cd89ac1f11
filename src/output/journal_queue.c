/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/journal_queue.h"

void loss_add(struct loss *loss, const struct loss *more)
{
	if (loss->count == 0)
		loss->previous = more->previous;
	loss->count += more->count;
	/* An error that was held for a while is older than what was written since. */
	if (loss->first_seq == 0 || (more->first_seq != 0 && more->first_seq < loss->first_seq))
		loss->first_seq = more->first_seq;
	if (more->last_seq > loss->last_seq)
		loss->last_seq = more->last_seq;
	loss->time = more->time;
}

void journal_queue_set_last(struct journal_queue *q, uint64_t seq)
{
	if (seq > q->last_seq)
		q->last_seq = seq;
}

/* The first loss with a number if nothing more is sent; NULL: none. */
static const struct loss *first_loss(const struct journal_queue *q)
{
	if (q->refused.first_seq != 0)
		return &q->refused;
	return q->numbered ? &q->numbered->loss : NULL;
}

uint64_t journal_queue_sent(const struct journal_queue *q)
{
	const struct loss *loss = first_loss(q);

	if (loss)
		return loss->previous;
	/* Of more entries without a number than are looked at, others may follow. */
	return STAILQ_EMPTY(&q->entries) ? q->previous : 0;
}

void journal_queue_save(struct journal_queue *q)
{
	uint64_t waiting = q->events + q->dropped.count + q->refused.count + q->held.count;
	const struct loss *loss = first_loss(q);
	uint64_t first = loss ? loss->first_seq : q->dropped.first_seq;

	if (!q->checkpoint)
		return;
	if (q->held.count > 0 && (first == 0 || q->held.first_seq < first))
		first = q->held.first_seq;
	q->checkpoint->waiting = waiting;
	q->checkpoint->first_seq = waiting ? first : 0;
	/* All that waits may be entries without a number. */
	q->checkpoint->last_seq = q->checkpoint->first_seq > 0 ? q->last_seq : 0;
	q->checkpoint->previous_seq = loss ? loss->previous : q->previous;
}

static void insert(struct journal_queue *q, struct journal_entry *entry)
{
	if (!q->snapshot || !entry->is_exempt) {
		STAILQ_INSERT_TAIL(&q->entries, entry, next);
		return;
	}
	if (q->running)
		STAILQ_INSERT_AFTER(&q->entries, q->running, entry, next);
	else
		STAILQ_INSERT_HEAD(&q->entries, entry, next);
	q->running = entry;
}

struct journal_entry *journal_queue_first(const struct journal_queue *q)
{
	return q->snapshot && !q->running ? NULL : STAILQ_FIRST(&q->entries);
}

void journal_queue_push(struct journal_queue *q, struct journal_entry *entry, bool is_new)
{
	insert(q, entry);
	if (!q->numbered && entry->loss.first_seq != 0)
		q->numbered = entry;
	if (entry->loss.first_seq != 0 && is_new) {
		entry->loss.previous = q->previous;
		q->previous = entry->loss.last_seq;
	}
	q->size += entry->size;
	if (!entry->is_exempt) {
		q->charged += entry->size;
		q->events += entry->loss.count;
		journal_queue_set_last(q, entry->loss.last_seq);
	}
	if (q->size > q->peak)
		q->peak = q->size;
}

struct journal_entry *journal_queue_pop(struct journal_queue *q)
{
	struct journal_entry *entry = STAILQ_FIRST(&q->entries);

	if (entry == q->running)
		q->running = NULL;
	if (entry == q->numbered)
		do
			q->numbered = STAILQ_NEXT(q->numbered, next);
		while (q->numbered && q->numbered->loss.first_seq == 0);
	STAILQ_REMOVE_HEAD(&q->entries, next);
	q->size -= entry->size;
	if (!entry->is_exempt) {
		q->charged -= entry->size;
		q->events -= entry->loss.count;
	}
	return entry;
}

void journal_queue_drop(struct journal_queue *q, const struct loss *loss)
{
	loss_add(&q->dropped, loss);
	q->lost += loss->count;
	journal_queue_set_last(q, loss->last_seq);
}

/* An empty queue accepts any size. */
bool journal_queue_fits(const struct journal_queue *q, size_t size)
{
	const size_t charged = q->charged + q->held.size;

	return charged == 0 || (charged < q->limit && size <= q->limit - charged);
}

static int entries_archive(struct journal_queue *q, struct archive *a)
{
	struct journal_entry *entry;
	size_t count = 0;

	STAILQ_FOREACH(entry, &q->entries, next)
	count++;
	archive_count(a, &count, SIZE_MAX);
	if (!archive_is_reading(a)) {
		STAILQ_FOREACH(entry, &q->entries, next)
		journal_entry_archive(&entry, a);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		int r;

		entry = NULL;
		r = journal_entry_archive(&entry, a);
		if (r < 0)
			return r;
		journal_queue_push(q, entry, false);
	}
	return 0;
}

int journal_queue_archive(struct journal_queue *q, struct archive *a)
{
	int r = entries_archive(q, a);

	ARCHIVE(a, q->dropped);
	ARCHIVE(a, q->refused);
	ARCHIVE(a, q->last_seq);
	ARCHIVE(a, q->previous);
	return r;
}
