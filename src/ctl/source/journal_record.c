/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/journal_record.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/text/shell_words.h"

#define PREFIX "EXECSNOOP_"
#define FIELDS_MAX 1100

struct field {
	enum key key;
	size_t at, size;
};

void journal_fields_set(struct journal_fields *fields, key_set keys)
{
	unsigned char n = 0;

	fields->all = keys == ~(key_set)0;
	for (char letter = 'a'; letter <= 'z'; letter++) {
		fields->first[letter - 'a'] = n;
		for (enum key key = 0; key < KEY_MAX; key++) {
			struct journal_field *field = &fields->fields[n];

			if (key_name(key)[0] != letter || !(keys >> key & 1))
				continue;
			field->size = (size_t)snprintf(field->name, sizeof(field->name), "%s=", key_name(key));
			ASSERT(field->size < sizeof(field->name));
			for (size_t i = 0; i < field->size; i++)
				field->name[i] = (char)toupper((unsigned char)field->name[i]);
			field->key = key;
			n++;
		}
	}
	fields->first[26] = n;
}

static const struct journal_field *find_field(const struct journal_fields *wanted, const char *data, size_t size)
{
	unsigned letter = size > 0 ? (unsigned)data[0] - 'A' : 26;

	if (letter >= 26)
		return NULL;
	for (size_t i = wanted->first[letter]; i < wanted->first[letter + 1]; i++) {
		const struct journal_field *field = &wanted->fields[i];

		if (field->size <= size && data[field->size - 1] == '=' && memcmp(field->name, data, field->size) == 0)
			return field;
	}
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

static bool has_name(const char *data, size_t size, const char *name, struct bytes *ret_value)
{
	size_t n = strlen(name);

	if (size < n || memcmp(data, name, n) != 0)
		return false;
	*ret_value = (struct bytes){ data + n, size - n };
	return true;
}

/* Those that are no key of an event. */
static bool take_own_field(struct journal_record *record, const char *data, size_t size)
{
	struct bytes value;
	char number[24];

	if (has_name(data, size, "_HOSTNAME=", &value)) {
		snprintf(record->host, sizeof(record->host), "%.*s", (int)value.size, value.data);
	} else if (has_name(data, size, PREFIX "ANCESTOR=", &value)) {
		if (bytebuf_reserve(&record->ancestors, value.size + 1) == 0) {
			bytebuf_put(&record->ancestors, value.data, value.size);
			bytebuf_put(&record->ancestors, "", 1);
		}
	} else if (has_name(data, size, PREFIX "STREAM=", &value)) {
		snprintf(record->stream, sizeof(record->stream), "%.*s", (int)value.size, value.data);
	} else if (has_name(data, size, PREFIX "SEQ_STEP=", &value)) {
		snprintf(number, sizeof(number), "%.*s", (int)value.size, value.data);
		record->seq_step = strtoll(number, NULL, 10);
	} else {
		return false;
	}
	return true;
}

int journal_record_add(struct journal_record *record, const struct journal_fields *wanted, const char *data,
		       size_t size)
{
	const size_t prefix = strlen(PREFIX);
	const struct journal_field *found;
	struct field field;
	bool is_ours;
	int r;

	/* Most others are journald's own. */
	is_ours = size > prefix && memcmp(data, PREFIX, prefix) == 0;
	if (wanted->all && (is_ours || (size > prefix && data[1] == 'H')) && take_own_field(record, data, size))
		return 0;
	if (!is_ours)
		return 0;
	found = find_field(wanted, data + prefix, size - prefix);
	if (!found || record->fields.size == FIELDS_MAX * sizeof(field))
		return 0;
	field = (struct field){ .key = found->key, .size = size - prefix - found->size };
	r = put(record, data + prefix + found->size, field.size, &field.at);
	return r < 0 ? r : bytebuf_add(&record->fields, (struct bytes){ (const char *)&field, sizeof(field) });
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
