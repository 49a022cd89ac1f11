/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/journal_entry.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output/message_id.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/nulstr.h"
#include "util/quote.h"

#define FIELDS_CHAIN 2
#define MESSAGE_SIZE 2048
#define ARGS_MAX 100	  /* EXECSNOOP_ARG fields, execsnoopd(8) */
#define ANCESTORS_MAX 100 /* EXECSNOOP_ANCESTOR fields */

/*
 * journald refuses entries of more than 1,024 fields, but sd_journal_sendv(3) fails earlier: it
 * makes 2 iovecs of a field, 5 if there is a newline in it, and sendmsg(2) and writev(2) fail for
 * more than UIO_MAXIOV. So repeated fields share what the other fields do not need. Arguments come
 * first, and all 100 fit; environment variables leave enough for the ancestors that follow them.
 */
#define IOVECS_MAX 1024
#define IOVECS_FIELD 2
#define IOVECS_NEWLINE 5
#define IOVECS_ANCESTORS ((ANCESTORS_MAX + INCOMPLETE_MAX) * IOVECS_FIELD) /* and INCOMPLETE, without newlines too */
#define FIELDS_OWN 4  /* MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER */
#define BYTES_KEYS 11 /* what can have a newline: comms, paths, units, ARGS, PARENT_ARGS */
#define KEYS_APART \
	9 /* lists, counted as such (env, incomplete, ancestors); keys of error and lost, which exited has not */
#define IOVECS_SINGLE \
	(IOVECS_FIELD * (FIELDS_OWN + KEY_MAX - KEYS_APART) + (IOVECS_NEWLINE - IOVECS_FIELD) * BYTES_KEYS)
#define IOVECS_REPEATED (IOVECS_MAX - IOVECS_SINGLE)
_Static_assert(ARGS_MAX *IOVECS_NEWLINE + IOVECS_ANCESTORS < IOVECS_REPEATED, "every list fits");
_Static_assert(JOURNAL_FIELDS_MAX == IOVECS_MAX / IOVECS_FIELD, "no more fields than iovecs");

#define SCRATCH_MAX (64 * 1024) /* bytes that the builder holds between two entries */

static const struct {
	const char *id, *priority;
} kinds[EVENT_TYPE_MAX] = {
	[EVENT_STARTED] = { "MESSAGE_ID=" MESSAGE_ID_STARTED, "PRIORITY=6" },
	[EVENT_EXITED] = { "MESSAGE_ID=" MESSAGE_ID_EXITED, "PRIORITY=6" },
	[EVENT_ERROR] = { "MESSAGE_ID=" MESSAGE_ID_ERROR, "PRIORITY=5" },
	[EVENT_FORKED] = { "MESSAGE_ID=" MESSAGE_ID_FORKED, "PRIORITY=6" },
	[EVENT_LOST] = { "MESSAGE_ID=" MESSAGE_ID_LOST, "PRIORITY=4" },
};

/* Building an entry. */

/* Memory for `size` more bytes; NULL if there is none. builder_end_field() makes them part of the
 * entry. */
static char *builder_reserve(struct journal_builder *b, size_t size)
{
	return bytebuf_reserve(&b->text, size) == 0 ? b->text.data + b->text.size : NULL;
}

static void builder_end_field(struct journal_builder *b, const char *end)
{
	ASSERT(b->n < JOURNAL_FIELDS_MAX);
	b->text.size = (size_t)(end - b->text.data);
	b->ends[b->n++] = b->text.size;
}

static int builder_text(struct journal_builder *b, const char *field)
{
	size_t size = strlen(field);
	char *to = builder_reserve(b, size);

	if (!to)
		return -ENOMEM;
	builder_end_field(b, (char *)mempcpy(to, field, size));
	return 0;
}

/* "EXECSNOOP_EXE=" and so on, made once for all entries. */
#define PREFIX "EXECSNOOP_"
static struct {
	char text[sizeof(PREFIX) + 32];
	size_t size;
} names[KEY_MAX];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void make_names(void)
{
	for (unsigned key = 0; key < KEY_MAX; key++) {
		const char *name = key_name((enum key)key);
		char *to = names[key].text;

		ASSERT(strlen(name) < 32);
		to = (char *)mempcpy(to, PREFIX, sizeof(PREFIX) - 1);
		for (; *name; name++)
			*to++ = *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
		*to++ = '=';
		names[key].size = (size_t)(to - names[key].text);
	}
}

static struct bytes name_of(enum key key)
{
	return (struct bytes){ names[key].text, names[key].size };
}

/* Writes "NAME=", and returns where a value of `size` bytes goes; NULL without memory. */
static char *builder_field(struct journal_builder *b, struct bytes name, size_t size)
{
	char *to = builder_reserve(b, name.size + size);

	return to ? (char *)mempcpy(to, name.data, name.size) : NULL;
}

static int builder_bytes(struct journal_builder *b, struct bytes name, struct bytes value)
{
	char *to = builder_field(b, name, value.size);

	if (!to)
		return -ENOMEM;
	builder_end_field(b, (char *)mempcpy(to, value.data, value.size));
	return 0;
}

static int on_bytes(void *userdata, enum key key, struct bytes value)
{
	return builder_bytes(userdata, name_of(key), value);
}

/* The first `max` items, each a field of that name, as long as `spare` iovecs remain for what comes
 * later. */
static int builder_repeat(struct journal_builder *b, struct bytes name, struct bytes items, size_t max, size_t spare)
{
	struct bytes item;

	for (size_t at = 0, i = 0; i < max && nulstr_next(items, &at, &item); i++) {
		size_t iovecs = memchr(item.data, '\n', item.size) ? IOVECS_NEWLINE : IOVECS_FIELD;
		int r;

		if (b->repeated + iovecs + spare > IOVECS_REPEATED)
			break;
		r = builder_bytes(b, name, item);
		if (r < 0)
			return r;
		b->repeated += iovecs;
	}
	return 0;
}

static int on_list(void *userdata, enum key key, struct bytes items)
{
	struct journal_builder *b = userdata;
	char *to;

	if (key == KEY_INCOMPLETE)
		return builder_repeat(b, name_of(key), items, INCOMPLETE_MAX, 0);
	if (key == KEY_ANCESTORS)
		return builder_repeat(b, BYTES(PREFIX "ANCESTOR="), items, ANCESTORS_MAX, 0);
	to = builder_field(b, name_of(key), quote_args_size(items));
	if (!to)
		return -ENOMEM;
	builder_end_field(b, quote_args(to, items));
	if (key != KEY_ARGS)
		return 0;
	return builder_repeat(b, BYTES(PREFIX "ARG="), items, ARGS_MAX, IOVECS_ANCESTORS);
}

/* EXECSNOOP_ENV=NAME=VALUE for each chosen variable, as many as fit (50 at least): a field can come
 * more than once, and its name may not have lower-case letters, as a variable's may. */
static int on_object(void *userdata, enum key key, struct bytes items)
{
	return builder_repeat(userdata, name_of(key), items, SIZE_MAX, IOVECS_ANCESTORS);
}

static const struct event_visitor visitor = {
	.bytes = on_bytes,
	.list = on_list,
	.object = on_object,
};

static int builder_message(struct journal_builder *b, const struct event *event)
{
	char *to = builder_reserve(b, sizeof("MESSAGE=") + MESSAGE_SIZE);

	if (!to)
		return -ENOMEM;
	to = (char *)mempcpy(to, "MESSAGE=", sizeof("MESSAGE=") - 1);
	journal_message(to, MESSAGE_SIZE, event);
	builder_end_field(b, to + strlen(to));
	return 0;
}

static int builder_fill(struct journal_builder *b, const struct event *event, key_set keys)
{
	b->text.size = 0;
	b->n = 0;
	b->repeated = 0;
	if (builder_message(b, event) < 0 || builder_text(b, kinds[event->type].id) < 0 ||
	    builder_text(b, kinds[event->type].priority) < 0 || builder_text(b, "SYSLOG_IDENTIFIER=execsnoopd") < 0)
		return -ENOMEM;
	return event_visit(event, keys, &visitor, b);
}

static int entry_new(struct journal_entry **ret, const struct journal_builder *b)
{
	size_t size = sizeof(struct journal_entry) + (b->n + FIELDS_CHAIN) * sizeof(struct iovec) + b->text.size;
	size_t begin = 0;
	struct journal_entry *entry = malloc(size);
	char *data;

	if (!entry)
		return -ENOMEM;
	*entry = (struct journal_entry){ .size = size, .n = (int)b->n };
	data = (char *)&entry->fields[b->n + FIELDS_CHAIN];
	if (b->text.size > 0)
		memcpy(data, b->text.data, b->text.size);
	for (size_t i = 0; i < b->n; i++) {
		entry->fields[i] = (struct iovec){ data + begin, b->ends[i] - begin };
		begin = b->ends[i];
	}
	*ret = entry;
	return 0;
}

int journal_entry_new(struct journal_entry **ret, struct journal_builder *b, const struct event *event, key_set keys)
{
	int r;

	pthread_once(&names_once, make_names);
	r = builder_fill(b, event, keys);
	if (r == 0)
		r = entry_new(ret, b);
	/* A long command line now and then shall not be held for ever. */
	bytebuf_reset(&b->text, SCRATCH_MAX);
	return r;
}

int journal_entry_mark(struct journal_entry **ret, struct journal_builder *b, uint64_t last_seq)
{
	char message[96], time[EVENT_TIME_SIZE], number[EVENT_NUMBER_SIZE];
	size_t size = event_number_format(number, KEY_LAST_SEQ, (int64_t)last_seq);

	pthread_once(&names_once, make_names);
	event_time_format(time, clock_ns(CLOCK_REALTIME));
	b->text.size = b->n = b->repeated = 0;
	snprintf(message, sizeof(message), "MESSAGE=execsnoopd stops; the last event is number %" PRIu64, last_seq);
	if (builder_text(b, message) < 0 || builder_text(b, "MESSAGE_ID=" MESSAGE_ID_MARK) < 0 ||
	    builder_text(b, "PRIORITY=6") < 0 || builder_text(b, "SYSLOG_IDENTIFIER=execsnoopd") < 0 ||
	    on_bytes(b, KEY_TYPE, BYTES("mark")) < 0 || on_bytes(b, KEY_TIME, bytes_of(time)) < 0 ||
	    on_bytes(b, KEY_LAST_SEQ, (struct bytes){ number, size }) < 0)
		return -ENOMEM;
	return entry_new(ret, b);
}

int journal_entry_chain(struct journal_entry *entry, const char *stream)
{
	int64_t step = (int64_t)(entry->loss.first_seq - entry->loss.previous);
	int size;

	entry->fields[entry->n] = (struct iovec){ (void *)stream, strlen(stream) };
	if (entry->loss.first_seq == 0 || step == 1)
		return entry->n + 1;
	size = snprintf(entry->step, sizeof(entry->step), PREFIX "SEQ_STEP=%" PRId64, step);
	entry->fields[entry->n + 1] = (struct iovec){ entry->step, (size_t)size };
	return entry->n + 2;
}

void journal_builder_finish(struct journal_builder *builder)
{
	bytebuf_free(&builder->text);
}

int journal_entry_archive(struct journal_entry **entry, struct archive *a)
{
	struct journal_entry *e = *entry;
	struct journal_builder b = { .n = e ? (size_t)e->n : 0 };
	struct loss loss = e ? e->loss : (struct loss){};
	bool is_lost = e && e->is_lost, is_exempt = e && e->is_exempt;
	struct bytes data = {};
	int r;

	/* The text of the fields is contiguous. */
	for (size_t i = 0; i < b.n; i++)
		b.ends[i] = b.text.size += e->fields[i].iov_len;
	if (e)
		data = (struct bytes){ (const char *)&e->fields[b.n + FIELDS_CHAIN], b.text.size };
	archive_count(a, &b.n, JOURNAL_FIELDS_MAX);
	archive_raw(a, b.ends, b.n * sizeof(b.ends[0]));
	archive_bytes(a, &data);
	ARCHIVE(a, loss);
	archive_flag(a, &is_lost);
	archive_flag(a, &is_exempt);
	if (!archive_is_reading(a))
		return archive_error(a);
	for (size_t i = 0; i < b.n; i++)
		if (b.ends[i] > data.size || (i > 0 && b.ends[i] < b.ends[i - 1]))
			archive_fail(a);
	if (b.n == 0 || b.ends[b.n - 1] != data.size)
		archive_fail(a);
	if (archive_error(a) < 0)
		return archive_error(a);
	b.text = (struct bytebuf){ .data = (char *)data.data, .size = data.size };
	r = entry_new(entry, &b);
	if (r < 0)
		return r;
	(*entry)->loss = loss;
	(*entry)->is_lost = is_lost;
	(*entry)->is_exempt = is_exempt;
	return 0;
}
