/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/export/event_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ctl/export/markup.h"
#include "ctl/text/event_text.h"

#define USUAL                                                                                               \
	"time,type,start_time,running_time_ns,pid,ppid,uid,status,cpu_user_ns,cpu_system_ns,max_rss_bytes," \
	"read_bytes,write_bytes,exe,cwd,unit,command"
#define COLUMNS_MAX 128
#define TEXT_SIZE 512 /* of what has no length of its own */

struct column {
	const char *name;
	void (*write)(struct event_csv *csv, const struct parsed *parsed); /* NULL: a key */
	enum key key;
};

struct event_csv {
	FILE *const *out; /* which may become another one between two calls */
	bool numeric;
	enum key key; /* that is written; others that come with it (`type`, all of a loss) are not */
	struct column columns[COLUMNS_MAX];
	size_t count;
	char *buffer;
	size_t size;
};

static void put_number(struct event_csv *csv, uint64_t number)
{
	fprintf(*csv->out, "%" PRIu64, number);
}

static struct text begin(const struct event_csv *csv)
{
	struct text text;

	text_begin(&text, csv->buffer, csv->size);
	return text;
}

static void put_text(struct event_csv *csv)
{
	if (*csv->buffer)
		put_csv(*csv->out, bytes_of(csv->buffer));
}

static void write_user(struct event_csv *csv, const struct parsed *parsed)
{
	struct text text = begin(csv);

	if (!parsed_has(parsed, KEY_UID))
		return;
	text_user(&text, parsed->process.uid, csv->numeric);
	put_text(csv);
}

static void write_parent(struct event_csv *csv, const struct parsed *parsed)
{
	struct text text = begin(csv);

	text_name(&text, parsed->process.parent_comm);
	if (parsed_has(parsed, KEY_PPID))
		text_printf(&text, "(%" PRIu32 ")", parsed->process.ppid);
	put_text(csv);
}

/* Of a loss, how many are missing: a CSV file has no other place for it. */
static void write_status(struct event_csv *csv, const struct parsed *parsed)
{
	struct text text = begin(csv);
	char status[64];

	parsed_status(parsed, status, sizeof(status));
	if (parsed->event.type == EVENT_LOST)
		text_printf(&text, "%" PRIu64 " lost", parsed->event.lost.count);
	else
		text_string(&text, status);
	put_text(csv);
}

static void write_cpu(struct event_csv *csv, const struct parsed *parsed)
{
	if (parsed->event.end.cpu_known)
		put_number(csv, parsed->event.end.cpu_user_ns + parsed->event.end.cpu_system_ns);
}

static void write_command(struct event_csv *csv, const struct parsed *parsed)
{
	struct text text = begin(csv);

	text_command(&text, &parsed->process);
	put_text(csv);
}

/* A key's value. */
static int on_number(void *userdata, enum key key, int64_t value)
{
	struct event_csv *csv = userdata;
	char digits[EVENT_NUMBER_SIZE];

	event_number_format(digits, key, value);
	if (key == csv->key)
		fputs(digits, *csv->out);
	return 0;
}

static int on_flag(void *userdata, enum key key)
{
	struct event_csv *csv = userdata;

	if (key == csv->key)
		fputs("true", *csv->out);
	return 0;
}

static int on_bytes(void *userdata, enum key key, struct bytes value)
{
	struct event_csv *csv = userdata;
	struct text text = begin(csv);

	if (key != csv->key)
		return 0;
	text_name(&text, value);
	put_text(csv);
	return 0;
}

static int on_text(void *userdata, enum key key, const char *value)
{
	return on_bytes(userdata, key, bytes_of(value));
}

static int on_time(void *userdata, enum key key, uint64_t ns)
{
	struct event_csv *csv = userdata;
	char time[EVENT_TIME_SIZE];

	event_time_format(time, ns);
	if (key == csv->key)
		fputs(time, *csv->out);
	return 0;
}

static int on_list(void *userdata, enum key key, struct bytes items)
{
	struct event_csv *csv = userdata;
	struct text text = begin(csv);

	if (key != csv->key)
		return 0;
	text_args(&text, items);
	put_text(csv);
	return 0;
}

static void write_key(struct event_csv *csv, const struct parsed *parsed, enum key key)
{
	static const struct event_visitor visitor = {
		.number = on_number,
		.flag = on_flag,
		.text = on_text,
		.time = on_time,
		.bytes = on_bytes,
		.list = on_list,
		.object = on_list,
	};

	csv->key = key;
	if (key == KEY_TYPE)
		on_bytes(csv, key, parsed->type);
	else if (key == KEY_ID)
		on_bytes(csv, key, parsed->id);
	else if (key == KEY_PARENT_ID)
		on_bytes(csv, key, parsed->parent_id);
	else if (key == KEY_STARTER_ID)
		on_bytes(csv, key, parsed->starter_id);
	else if (key == KEY_TTY)
		on_bytes(csv, key, parsed->tty);
	else if (key == KEY_SOURCE)
		on_bytes(csv, key, parsed->source);
	else if (key == KEY_HOST)
		on_bytes(csv, key, parsed->host);
	else if (parsed_has(parsed, key) && parsed->event.type != EVENT_TYPE_MAX)
		event_visit(&parsed->event, KEY_BIT(key), &visitor, csv);
}

/* Names of columns that are no keys, and those that are one by another name. */
static const struct column known[] = {
	{ "user", write_user },	      { "parent", write_parent },
	{ "status", write_status },   { "took", NULL, KEY_RUNNING_TIME_NS },
	{ "cpu", write_cpu },	      { "rss", NULL, KEY_MAX_RSS_BYTES },
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
	free(csv->buffer);
	free(csv);
	return NULL;
}

void event_csv_head(struct event_csv *csv)
{
	for (size_t i = 0; i < csv->count; i++)
		fprintf(*csv->out, "%s%s", i > 0 ? "," : "", csv->columns[i].name);
	fputc('\n', *csv->out);
}

/* Each byte is four when it is shown, with quotes around each argument. */
static int need_buffer(struct event_csv *csv, const struct parsed *parsed)
{
	const struct image *image = &parsed->process.image;
	size_t most = image->args.size, size;
	char *buffer;

	if (parsed->extras.parent_args.size > most)
		most = parsed->extras.parent_args.size;
	if (image->env.size > most)
		most = image->env.size;
	size = 5 * (most + image->exe.size + image->filename.size + image->cwd.size + image->cgroup.size +
		    parsed->process.ancestors.size) +
	       TEXT_SIZE;
	if (size <= csv->size)
		return 0;
	buffer = realloc(csv->buffer, size);
	if (!buffer)
		return -ENOMEM;
	csv->buffer = buffer;
	csv->size = size;
	return 0;
}

int event_csv_event(struct event_csv *csv, const struct parsed *parsed)
{
	int r = need_buffer(csv, parsed);

	if (r < 0)
		return r;
	for (size_t i = 0; i < csv->count; i++) {
		if (i > 0)
			fputc(',', *csv->out);
		csv->buffer[0] = '\0';
		if (csv->columns[i].write)
			csv->columns[i].write(csv, parsed);
		else
			write_key(csv, parsed, csv->columns[i].key);
	}
	fputc('\n', *csv->out);
	return ferror(*csv->out) ? -EIO : 0;
}
