/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The index finds the entries that have a field with exactly this value. A key of the query becomes a match if all
 * entries of it that do not exclude are such values, written as the daemon writes them (journal_entry.c); alternatives
 * of one field are an OR by themselves (sd_journal_add_match(3)). A `lost` passes every query, so it is an alternative
 * to all of them.
 *
 * Not found by the index: patterns; what is to be excluded; what an entry lacks (secureexec=no); arguments, since only
 * the first hundred have fields; times, which may be left out where they follow from others.
 */
#include "ctl/source/journal_matches.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "ctl/event/query_internal.h"

#define PREFIX "EXECSNOOP_"
#define FIELD_SIZE 64

/* One key, and what is to be found. */
struct field {
	char name[FIELD_SIZE];
	char **values;
	size_t count;
};

static void field_finish(struct field *field)
{
	for (size_t i = 0; i < field->count; i++)
		free(field->values[i]);
	free(field->values);
}

static void field_begin(struct field *field, enum key key)
{
	char *to = field->name;

	*field = (struct field){ 0 };
	to = stpcpy(to, PREFIX);
	/* A field an item. */
	for (const char *name = key == KEY_ANCESTORS ? "ancestor" : key_name(key); *name; name++)
		*to++ = ascii_upper(*name);
}

static int field_add(struct field *field, struct bytes value)
{
	char **values = reallocarray(field->values, field->count + 1, sizeof(*values));

	if (!values)
		return -ENOMEM;
	field->values = values;
	/* No value of a command line has a NUL. */
	values[field->count] = strndup(value.data, value.size);
	return values[field->count++] ? 0 : -ENOMEM;
}

static int field_add_number(struct field *field, int64_t number)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, number);

	return field_add(field, (struct bytes){ digits, (size_t)n });
}

static int put_matches(sd_journal *journal, const struct field *field)
{
	for (size_t i = 0; i < field->count; i++) {
		_cleanup_free_ char *match = NULL;
		int r = asprintf(&match, "%s=%s", field->name, field->values[i]);

		if (r < 0) {
			match = NULL;
			return -ENOMEM;
		}
		r = sd_journal_add_match(journal, match, (size_t)r);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Ends what must hold together: ... OR it is a loss; AND what comes. */
static int end_condition(sd_journal *journal)
{
	int r = sd_journal_add_disjunction(journal);

	if (r >= 0)
		r = sd_journal_add_match(journal, PREFIX "TYPE=lost", 0);
	return r < 0 ? r : sd_journal_add_conjunction(journal);
}

/* The outcomes of reading an entry of the filter: a value, none that the index could find, or -ENOMEM. */
enum { NO_VALUE = 0, VALUE = 1 };

static int add_glob(struct field *field, const struct glob *glob)
{
	struct bytes text;
	int r;

	if (!glob_is_literal(glob, &text))
		return NO_VALUE;
	r = field_add(field, text);
	return r < 0 ? r : VALUE;
}

static int add_text(struct field *field, const char *entry)
{
	_cleanup_(glob_free_p) struct glob *glob = NULL;
	const char *reason;
	int r = glob_new(&glob, bytes_of(entry), &reason);

	return r < 0 ? r : add_glob(field, glob);
}

static int add_number(struct field *field, const char *entry)
{
	int r;

	/* loginuid=unset: the entry has no such field. */
	if (entry[strspn(entry, "0123456789")] || strtoull(entry, NULL, 10) == UINT32_MAX)
		return NO_VALUE;
	r = field_add_number(field, (int64_t)strtoull(entry, NULL, 10));
	return r < 0 ? r : VALUE;
}

/* A number or a name, of an entry with the number, negative. */
static int add_error(struct field *field, const char *entry)
{
	int64_t number = strtoll(*entry == '-' ? entry + 1 : entry, NULL, 10);
	int r;

	for (int i = 1; number == 0 && i < 4096; i++)
		if (errno_name(i) && strcmp(errno_name(i), entry) == 0)
			number = i;
	if (number == 0)
		return NO_VALUE;
	r = field_add_number(field, -number);
	return r < 0 ? r : VALUE;
}

static int add_secureexec(struct field *field, const char *entry)
{
	static const char *const words[] = { "yes", "true", "on", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(entry, words[i]) == 0) {
			int r = field_add(field, BYTES("true"));

			return r < 0 ? r : VALUE;
		}
	}
	return NO_VALUE;
}

struct indexed {
	enum filter_key filter_key;
	enum key key;
	int (*add)(struct field *field, const char *entry);
};

static const struct indexed indexed[] = {
	{ FILTER_TYPES, KEY_TYPE, add_text },
	{ FILTER_PID, KEY_PID, add_number },
	{ FILTER_PPID, KEY_PPID, add_number },
	{ FILTER_UID, KEY_UID, add_number },
	{ FILTER_GID, KEY_GID, add_number },
	{ FILTER_COMM, KEY_COMM, add_text },
	{ FILTER_EXE, KEY_EXE, add_text },
	{ FILTER_FILENAME, KEY_FILENAME, add_text },
	{ FILTER_UNIT, KEY_UNIT, add_text },
	{ FILTER_CGROUP, KEY_CGROUP, add_text },
	{ FILTER_CONTAINER_ID, KEY_CONTAINER_ID, add_text },
	{ FILTER_ERROR, KEY_ERROR_CODE, add_error },
	{ FILTER_RESULT, KEY_RESULT, add_text },
	{ FILTER_LOGINUID, KEY_LOGINUID, add_number },
	{ FILTER_PARENT_COMM, KEY_PARENT_COMM, add_text },
	{ FILTER_CWD, KEY_CWD, add_text },
	{ FILTER_POD_UID, KEY_POD_UID, add_text },
	{ FILTER_SECUREEXEC, KEY_SECUREEXEC, add_secureexec },
};

static int add_filter_key(sd_journal *journal, const struct filter *filter, const struct indexed *row)
{
	_cleanup_(field_finish) struct field field;
	const char *entry;
	int r;

	field_begin(&field, row->key);
	for (size_t i = 0; (entry = filter_entry(filter, row->filter_key, i)); i++) {
		if (*entry == '!')
			continue;
		r = row->add(&field, entry);
		if (r != VALUE)
			return r;
	}
	if (field.count == 0)
		return 0;
	r = put_matches(journal, &field);
	return r < 0 ? r : end_condition(journal);
}

/* Whether each event that has the key has it in a field of its name, as the text that it is compared with. */
static bool is_indexed(enum key key)
{
	switch (parsed_kind(key)) {
	case PARSED_NUMBER:
	case PARSED_FLAG:
	case PARSED_TEXT:
		return key != KEY_HOST;
	case PARSED_LIST:
		return key == KEY_INCOMPLETE || key == KEY_ANCESTORS;
	case PARSED_OBJECT:
		return key == KEY_ENV;
	default:
		return false;
	}
}

static int add_matches_of(sd_journal *journal, const struct query *query, enum key key)
{
	_cleanup_(field_finish) struct field field;
	int r;

	field_begin(&field, key);
	for (size_t i = 0; i < query->match_count; i++) {
		const struct match *match = &query->matches[i];

		if (match->key != key || match->excludes)
			continue;
		r = add_glob(&field, match->glob);
		if (r != VALUE)
			return r;
	}
	if (field.count == 0)
		return 0;
	r = put_matches(journal, &field);
	return r < 0 ? r : end_condition(journal);
}

/* Paths, of the executable or as they were passed. */
static int add_programs(sd_journal *journal, const struct query *query)
{
	_cleanup_(field_finish) struct field exe, filename;
	int r = VALUE;

	field_begin(&exe, KEY_EXE);
	field_begin(&filename, KEY_FILENAME);
	for (size_t i = 0; i < query->program_count; i++) {
		const struct program *program = &query->programs[i];

		r = program->has_slash ? add_glob(&exe, program->glob) : NO_VALUE;
		if (r == VALUE)
			r = add_glob(&filename, program->glob);
		if (r != VALUE)
			return r;
	}
	if (exe.count == 0)
		return 0;
	r = put_matches(journal, &exe);
	if (r >= 0)
		r = sd_journal_add_disjunction(journal);
	if (r >= 0)
		r = put_matches(journal, &filename);
	return r < 0 ? r : end_condition(journal);
}

/* With `fields` of the daemon that leave out the result, it follows from the status, which the index cannot do. */
static bool has_results(sd_journal *journal)
{
	const char *name;

	SD_JOURNAL_FOREACH_FIELD(journal, name)
	if (strcmp(name, PREFIX "RESULT") == 0)
		return true;
	return false;
}

static int add_failed(sd_journal *journal)
{
	int r = sd_journal_add_match(journal, PREFIX "TYPE=error", 0);

	if (r >= 0)
		r = sd_journal_add_disjunction(journal);
	for (enum result result = RESULT_EXIT_CODE; r >= 0 && result < RESULT_MAX; result++) {
		char match[FIELD_SIZE];

		snprintf(match, sizeof(match), PREFIX "RESULT=%s", result_name(result));
		r = sd_journal_add_match(journal, match, 0);
	}
	return r < 0 ? r : end_condition(journal);
}

static bool is_of_ends(const struct query *query)
{
	return query->bounds.slower > 0 || query->bounds.cpu > 0 ||
	       filter_entry(query->filter, FILTER_MIN_RUNNING_TIME, 0) ||
	       filter_entry(query->filter, FILTER_MIN_CPU, 0);
}

static int add_ends(sd_journal *journal)
{
	int r = sd_journal_add_match(journal, PREFIX "TYPE=exited", 0);

	return r < 0 ? r : end_condition(journal);
}

int journal_matches_add(sd_journal *journal, const struct query *query)
{
	bool results = has_results(journal);
	int r = sd_journal_add_conjunction(journal);

	/* A tree is followed from its root on, through processes that the other keys may leave out. */
	if (!filter_is_empty(query->trees))
		return r;
	for (size_t i = 0; r >= 0 && i < sizeof(indexed) / sizeof(indexed[0]); i++)
		if (results || indexed[i].key != KEY_RESULT)
			r = add_filter_key(journal, query->filter, &indexed[i]);
	for (enum key key = 0; r >= 0 && key < KEY_MAX; key++)
		if (is_indexed(key))
			r = add_matches_of(journal, query, key);
	if (r >= 0)
		r = add_programs(journal, query);
	if (r >= 0 && query->bounds.failed && results)
		r = add_failed(journal);
	return r < 0 || !is_of_ends(query) ? r : add_ends(journal);
}
