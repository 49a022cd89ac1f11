/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/journal_record.h"

#include <stdio.h>
#include <stdlib.h>

#include "ctl/text/shell_words.h"

#define PREFIX "EXECSNOOP_"
#define FIELDS_MAX 1100

struct field {
	enum key key;
	size_t at, size;
};

static void set_field(struct journal_field *field, unsigned key, const char *name)
{
	field->key = key;
	field->size = (size_t)snprintf(field->name, sizeof(field->name), "%s=", name);
	ASSERT(field->size < sizeof(field->name));
	for (size_t i = 0; i < field->size; i++)
		field->name[i] = ascii_upper(field->name[i]);
}

void journal_fields_set(struct journal_fields *fields, key_set keys)
{
	static const char *const extras[] = { "ancestor", "seq_step", "stream" };
	unsigned char n = 0;

	fields->all = keys == ~(key_set)0;
	for (char letter = 'a'; letter <= 'z'; letter++) {
		fields->first[letter - 'a'] = n;
		for (unsigned i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
			if (fields->all && extras[i][0] == letter)
				set_field(&fields->fields[n++], EXTRA_ANCESTOR + i, extras[i]);
		for (enum key key = 0; key < KEY_MAX; key++)
			if (key_name(key)[0] == letter && keys >> key & 1)
				set_field(&fields->fields[n++], key, key_name(key));
	}
	fields->first[26] = n;
}

static bool has_name(struct bytes data, const char *name, size_t size, struct bytes *ret_value)
{
	if (data.size < size || memcmp(data.data, name, size) != 0)
		return false;
	*ret_value = (struct bytes){ data.data + size, data.size - size };
	return true;
}

const struct journal_field *journal_fields_find(const struct journal_fields *wanted, struct bytes data,
						struct bytes *ret_value)
{
	static const struct journal_field host = { "_HOSTNAME=", strlen("_HOSTNAME="), EXTRA_HOST };
	struct bytes rest;
	unsigned letter;

	if (!has_name(data, PREFIX, strlen(PREFIX), &rest))
		return wanted->all && has_name(data, host.name, host.size, ret_value) ? &host : NULL;
	letter = rest.size > 0 ? (unsigned)rest.data[0] - 'A' : 26;
	if (letter >= 26)
		return NULL;
	for (size_t i = wanted->first[letter]; i < wanted->first[letter + 1]; i++)
		if (has_name(rest, wanted->fields[i].name, wanted->fields[i].size, ret_value))
			return &wanted->fields[i];
	return NULL;
}

void journal_record_begin(struct journal_record *record)
{
	record->fields.size = record->text.size = record->ancestors.size = 0;
	record->host[0] = record->stream[0] = '\0';
	record->seq_step = 1;
}

void journal_record_finish(struct journal_record *record)
{
	bytebuf_free(&record->fields);
	bytebuf_free(&record->text);
	bytebuf_free(&record->args);
	bytebuf_free(&record->parent_args);
	bytebuf_free(&record->lists);
	bytebuf_free(&record->ancestors);
}

static int put(struct journal_record *record, const void *data, size_t size, size_t *ret_at)
{
	int r = bytebuf_reserve(&record->text, size + 1);

	if (r < 0)
		return r;
	*ret_at = record->text.size;
	bytebuf_put(&record->text, data, size);
	bytebuf_put(&record->text, "", 1);
	return 0;
}

/* Those that are no key of an event. */
static int add_extra(struct journal_record *record, unsigned extra, struct bytes value)
{
	char number[24];
	int r;

	switch (extra) {
	case EXTRA_HOST:
		snprintf(record->host, sizeof(record->host), "%.*s", (int)value.size, value.data);
		return 0;
	case EXTRA_STREAM:
		snprintf(record->stream, sizeof(record->stream), "%.*s", (int)value.size, value.data);
		return 0;
	case EXTRA_SEQ_STEP:
		snprintf(number, sizeof(number), "%.*s", (int)value.size, value.data);
		record->seq_step = strtoll(number, NULL, 10);
		return 0;
	default:
		r = bytebuf_reserve(&record->ancestors, value.size + 1);
		if (r < 0)
			return r;
		bytebuf_put(&record->ancestors, value.data, value.size);
		bytebuf_put(&record->ancestors, "", 1);
		return 0;
	}
}

int journal_record_add(struct journal_record *record, const struct journal_field *field, struct bytes value)
{
	struct field taken = { .key = field->key, .size = value.size };
	int r;

	if (field->key >= KEY_MAX)
		return add_extra(record, field->key, value);
	if (record->fields.size == FIELDS_MAX * sizeof(taken))
		return 0;
	r = put(record, value.data, value.size, &taken.at);
	return r < 0 ? r : bytebuf_add(&record->fields, (struct bytes){ (const char *)&taken, sizeof(taken) });
}

static int take_args(struct journal_record *record, enum key key, struct bytebuf *to, struct bytes quoted)
{
	struct bytes args;
	int r;

	to->size = 0;
	r = bytebuf_reserve(to, quoted.size + 1);
	if (r < 0)
		return r;
	if (shell_words(quoted, to->data, &args))
		parsed_list(&record->parsed, key, args);
	return 0;
}

/* The items of a repeated field; ancestors, whose order is lost, are only there for the query. */
static void take_list(struct journal_record *record, enum key key)
{
	const struct field *fields = (const struct field *)record->fields.data;
	size_t begin = record->lists.size, count = record->fields.size / sizeof(*fields);

	for (size_t i = 0; i < count; i++) {
		if (fields[i].key != key)
			continue;
		bytebuf_put(&record->lists, record->text.data + fields[i].at, fields[i].size + 1);
	}
	if (record->lists.size > begin)
		parsed_list(&record->parsed, key,
			    (struct bytes){ record->lists.data + begin, record->lists.size - begin });
}

int journal_record_end(struct journal_record *record)
{
	const struct field *fields = (const struct field *)record->fields.data;
	size_t count = record->fields.size / sizeof(*fields);
	int r;

	parsed_begin(&record->parsed);
	for (size_t i = 0; i < count; i++) {
		struct bytes value = { record->text.data + fields[i].at, fields[i].size };

		r = 0;
		if (fields[i].key == KEY_ARGS)
			r = take_args(record, KEY_ARGS, &record->args, value);
		else if (fields[i].key == KEY_PARENT_ARGS)
			r = take_args(record, KEY_PARENT_ARGS, &record->parent_args, value);
		else if (parsed_kind(fields[i].key) != PARSED_LIST && parsed_kind(fields[i].key) != PARSED_OBJECT)
			parsed_value(&record->parsed, fields[i].key, value);
		if (r < 0)
			return r;
	}
	record->lists.size = 0;
	r = bytebuf_reserve(&record->lists, record->text.size);
	if (r < 0)
		return r;
	take_list(record, KEY_ENV);
	take_list(record, KEY_INCOMPLETE);
	if (record->host[0])
		record->parsed.host = bytes_of(record->host);
	if (record->stream[0])
		record->parsed.stream = bytes_of(record->stream);
	record->parsed.ancestors = (struct bytes){ record->ancestors.data, record->ancestors.size };
	record->parsed.seq_step = record->seq_step;
	parsed_end(&record->parsed);
	return 0;
}
