/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/export/event_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ctl/event/key_text.h"
#include "ctl/export/markup.h"
#include "ctl/text/event_text.h"
#include "util/bytebuf.h"

#define USUAL                                                                                               \
	"time,type,start_time,running_time_ns,pid,ppid,uid,status,cpu_user_ns,cpu_system_ns,max_rss_bytes," \
	"read_bytes,write_bytes,exe,cwd,unit,command"
#define COLUMNS_MAX 128

struct column {
	const char *name;
	void (*write)(const struct event_csv *csv, struct text *text, const struct parsed *parsed); /* NULL: a key */
	enum key key; /* also of one that is written by a function, if it is a number */
};

struct event_csv {
	FILE *const *out; /* which may become another one between two calls */
	bool numeric;
	struct column columns[COLUMNS_MAX];
	size_t count;
	struct bytebuf buffer;
};

static void write_user(const struct event_csv *csv, struct text *text, const struct parsed *parsed)
{
	user_text(text, parsed, csv->numeric);
}

static void write_parent(const struct event_csv *csv, struct text *text, const struct parsed *parsed)
{
	parent_text(text, parsed);
}

/* Of a loss, how many are missing: a CSV file has no other place for it. */
static void write_status(const struct event_csv *csv, struct text *text, const struct parsed *parsed)
{
	char status[64];

	parsed_status(parsed, status, sizeof(status));
	if (parsed->event.type == EVENT_LOST)
		text_printf(text, "%" PRIu64 " lost", parsed->event.lost.count);
	else
		text_string(text, status);
}

static void write_cpu(const struct event_csv *csv, struct text *text, const struct parsed *parsed)
{
	if (parsed->event.end.cpu_known)
		text_number(text, parsed->event.end.cpu_user_ns + parsed->event.end.cpu_system_ns);
}

static void write_command(const struct event_csv *csv, struct text *text, const struct parsed *parsed)
{
	text_command(text, &parsed->process);
}

/* Names of columns that are no keys, and those that are one by another name. */
static const struct column known[] = {
	{ "user", write_user },
	{ "parent", write_parent },
	{ "status", write_status },
	{ "took", NULL, KEY_RUNNING_TIME_NS },
	{ "cpu", write_cpu, KEY_CPU_USER_NS },
	{ "rss", NULL, KEY_MAX_RSS_BYTES },
	{ "command", write_command },
};

static int add_column(struct event_csv *csv, struct bytes name, const char **ret_reason)
{
	struct column *column = &csv->columns[csv->count];

	*ret_reason = csv->count == COLUMNS_MAX ? "too many columns" : "no such column";
	if (csv->count == COLUMNS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (bytes_equal(name, bytes_of(known[i].name))) {
			*column = known[i];
			csv->count++;
			return 0;
		}
	}
	if (!key_by_name(name, &column->key))
		return -EINVAL;
	column->name = key_name(column->key);
	csv->count++;
	return 0;
}

int event_csv_new(struct event_csv **ret, FILE *const *out, const char *columns, bool numeric, const char **ret_reason)
{
	_cleanup_(event_csv_free_p) struct event_csv *csv = calloc(1, sizeof(*csv));

	if (!csv)
		return -ENOMEM;
	csv->out = out;
	csv->numeric = numeric;
	for (const char *at = columns ? columns : USUAL;;) {
		size_t size = strcspn(at, ",");
		int r = add_column(csv, (struct bytes){ at, size }, ret_reason);

		if (r < 0)
			return r;
		if (at[size] == '\0')
			break;
		at += size + 1;
	}
	*ret = TAKE_PTR(csv);
	return 0;
}

struct event_csv *event_csv_free(struct event_csv *csv)
{
	if (!csv)
		return NULL;
	bytebuf_free(&csv->buffer);
	free(csv);
	return NULL;
}

void event_csv_head(struct event_csv *csv)
{
	for (size_t i = 0; i < csv->count; i++)
		fprintf(*csv->out, "%s%s", i > 0 ? "," : "", csv->columns[i].name);
	fputc('\n', *csv->out);
}

static bool is_number(const struct column *column)
{
	enum parsed_kind kind = parsed_kind(column->key);

	return kind == PARSED_NUMBER || kind == PARSED_FLAG || kind == PARSED_TIME;
}

int event_csv_event(struct event_csv *csv, const struct parsed *parsed)
{
	int r = bytebuf_reserve(&csv->buffer, key_text_size_max(parsed));
	struct text text;

	if (r < 0)
		return r;
	for (size_t i = 0; i < csv->count; i++) {
		if (i > 0)
			fputc(',', *csv->out);
		text_begin(&text, csv->buffer.data, csv->buffer.capacity);
		if (csv->columns[i].write)
			csv->columns[i].write(csv, &text, parsed);
		else
			key_text(&text, parsed, csv->columns[i].key, "true");
		if (is_number(&csv->columns[i]))
			fputs(text.data, *csv->out);
		else if (text.used > 0)
			put_csv(*csv->out, bytes_of(text.data));
	}
	fputc('\n', *csv->out);
	return ferror(*csv->out) ? -EIO : 0;
}
