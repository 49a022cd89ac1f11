/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each type is a row of functions. A string that could not be read back (with blanks at its ends,
 * or a newline) cannot come from a file, so the writers need not quote.
 */
#include "settings/settings_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "model/environment.h"
#include "model/redact.h"

static const struct setting_choice errors_choices[] = {
	{ "auto", ERRORS_AUTO },
	{ "kprobe-multi", ERRORS_KPROBE_MULTI },
	{ "fexit", ERRORS_FEXIT },
	{ "kprobe", ERRORS_KPROBE },
	{ "tracepoint", ERRORS_TRACEPOINT },
	{ "off", ERRORS_OFF },
	{},
};
static const struct setting_choice slow_choices[] = { { "drop", SLOW_DROP }, { "disconnect", SLOW_DISCONNECT }, {} };
static const struct setting_choice path_search_choices[] = { { "all", PATH_SEARCH_ALL },
							     { "fold", PATH_SEARCH_FOLD },
							     {} };
static const struct setting_choice level_choices[] = { { "error", LOG_ERR },	 { "warning", LOG_WARNING },
						       { "notice", LOG_NOTICE }, { "info", LOG_INFO },
						       { "debug", LOG_DEBUG },	 {} };

/* Lists. */

static size_t list_length(string_list list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static void list_clear(string_list *list)
{
	for (string_list at = *list; at && *at; at++)
		free(*at);
	free(*list);
	*list = NULL;
}

static int list_add(string_list *list, const char *data, size_t size)
{
	size_t n = list_length(*list);
	string_list longer = reallocarray(*list, n + 2, sizeof(**list));

	if (!longer)
		return -ENOMEM;
	*list = longer;
	longer[n] = strndup(data, size);
	longer[n + 1] = NULL;
	return longer[n] ? 0 : -ENOMEM;
}

/* The next entry of a list with commas, without the blanks around it; entries may be empty. False
 * at the end. */
static bool next_entry(const char **at, struct bytes *ret)
{
	const char *begin = *at, *end;

	if (!begin)
		return false;
	end = strchrnul(begin, ',');
	*at = *end ? end + 1 : NULL;
	while (begin < end && strchr(" \t", *begin))
		begin++;
	while (end > begin && strchr(" \t", end[-1]))
		end--;
	*ret = (struct bytes){ begin, (size_t)(end - begin) };
	return true;
}

static int wrong(struct setting_input *input, const char *reason)
{
	input->wrong = reason;
	return -EINVAL;
}

/* Scalars. */

static int read_bool(void *to, const struct setting *setting, struct setting_input *input)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(input->text, words[i]) == 0) {
			*(bool *)to = i % 2;
			return 0;
		}
	}
	return wrong(input, "not a boolean (yes or no)");
}

static void write_bool(FILE *out, const void *at, const struct setting *setting)
{
	fputs(*(const bool *)at ? "yes" : "no", out);
}

const struct setting_type type_bool = { .read = read_bool, .write = write_bool };

/* Decimal digits; *end is what follows. False: there are none, or too many. */
static bool read_digits(const char *text, uint64_t *ret, char **end)
{
	errno = 0;
	*ret = strtoull(text, end, 10);
	return text[0] >= '0' && text[0] <= '9' && errno == 0;
}

static int set_number(uint64_t *to, const struct setting *setting, uint64_t number, unsigned shift,
		      struct setting_input *input)
{
	if (number > UINT64_MAX >> shift || number << shift < setting->min || number << shift > setting->max) {
		snprintf(input->buffer, sizeof(input->buffer), "not between %" PRIu64 " and %" PRIu64, setting->min,
			 setting->max);
		return wrong(input, input->buffer);
	}
	*to = number << shift;
	return 0;
}

static int read_size(void *to, const struct setting *setting, struct setting_input *input)
{
	uint64_t number;
	char *end;

	if (read_digits(input->text, &number, &end)) {
		unsigned shift = *end == 'K' || *end == 'k'   ? 10
				 : *end == 'M' || *end == 'm' ? 20
				 : *end == 'G' || *end == 'g' ? 30
							      : 0;

		if (end[shift != 0] == '\0')
			return set_number(to, setting, number, shift, input);
	}
	return wrong(input, "not a size (a number, or one with K, M or G)");
}

static void write_size(FILE *out, const void *at, const struct setting *setting)
{
	static const char units[] = "KMG";
	uint64_t size = *(const uint64_t *)at;
	int unit = -1;

	while (size > 0 && size % 1024 == 0 && unit < 2) {
		size /= 1024;
		unit++;
	}
	fprintf(out, "%" PRIu64 "%.*s", size, unit >= 0, unit >= 0 ? &units[unit] : "");
}

const struct setting_type type_size = { .read = read_size, .write = write_size };

static int read_count(void *to, const struct setting *setting, struct setting_input *input)
{
	uint64_t number;
	char *end;

	if (!read_digits(input->text, &number, &end) || *end)
		return wrong(input, "not a number");
	return set_number(to, setting, number, 0, input);
}

static void write_count(FILE *out, const void *at, const struct setting *setting)
{
	fprintf(out, "%" PRIu64, *(const uint64_t *)at);
}

const struct setting_type type_count = { .read = read_count, .write = write_count };

static int read_mode(void *to, const struct setting *setting, struct setting_input *input)
{
	char *end;
	unsigned long mode = strtoul(input->text, &end, 8);

	if (input->text[0] < '0' || input->text[0] > '7' || *end || mode > 0777)
		return wrong(input, "not an octal mode from 0 to 0777");
	*(mode_t *)to = (mode_t)mode;
	return 0;
}

static void write_mode(FILE *out, const void *at, const struct setting *setting)
{
	fprintf(out, "%04o", (unsigned)*(const mode_t *)at);
}

const struct setting_type type_mode = { .read = read_mode, .write = write_mode };

/* An enum of them is an int to the compiler too. */
static int read_choice(void *to, const struct setting *setting, struct setting_input *input)
{
	const struct setting_choice *choices = setting->type->choices;
	size_t n;

	for (const struct setting_choice *choice = choices; choice->name; choice++) {
		if (strcmp(choice->name, input->text) == 0) {
			*(int *)to = choice->value;
			return 0;
		}
	}
	n = (size_t)snprintf(input->buffer, sizeof(input->buffer), "not one of");
	for (const struct setting_choice *choice = choices; choice->name && n < sizeof(input->buffer); choice++)
		n += (size_t)snprintf(input->buffer + n, sizeof(input->buffer) - n, "%s %s",
				      choice == choices ? "" : ",", choice->name);
	return wrong(input, input->buffer);
}

static void write_choice(FILE *out, const void *at, const struct setting *setting)
{
	for (const struct setting_choice *choice = setting->type->choices; choice->name; choice++)
		if (choice->value == *(const int *)at)
			fputs(choice->name, out);
}

const struct setting_type type_errors = { .choices = errors_choices, .read = read_choice, .write = write_choice };
const struct setting_type type_slow = { .choices = slow_choices, .read = read_choice, .write = write_choice };
const struct setting_type type_path_search = { .choices = path_search_choices,
					       .read = read_choice,
					       .write = write_choice };
const struct setting_type type_level = { .choices = level_choices, .read = read_choice, .write = write_choice };

/* Strings. */

static int read_name(void *to, const struct setting *setting, struct setting_input *input)
{
	char *copy = *input->text ? strdup(input->text) : NULL;

	if (*input->text && !copy)
		return -ENOMEM;
	free(*(char **)to);
	*(char **)to = copy;
	return 0;
}

static int read_path(void *to, const struct setting *setting, struct setting_input *input)
{
	size_t size = strlen(input->text);

	if (size < setting->min || (size > 0 && *input->text != '/'))
		return wrong(input, "not an absolute path");
	if (size > setting->max)
		return wrong(input, "the path is too long");
	return read_name(to, setting, input);
}

static void write_name(FILE *out, const void *at, const struct setting *setting)
{
	const char *name = *(char *const *)at;

	fputs(name ? name : "", out);
}

static void free_name(void *at, const struct setting *setting)
{
	free(*(char **)at);
}

const struct setting_type type_name = { .is_text = true, .read = read_name, .write = write_name, .free = free_name };
const struct setting_type type_path = { .is_text = true, .read = read_path, .write = write_name, .free = free_name };

/* Keys. */

/* -EINVAL: *ret_bad is the name that is no key. */
static int parse_fields(struct bytes list, key_set *ret, struct bytes *ret_bad)
{
	_cleanup_free_ char *text = strndup(list.data, list.size);
	const char *at = text;
	struct bytes entry;
	key_set keys = 0, more;

	if (!text)
		return -ENOMEM;
	while (next_entry(&at, &entry)) {
		if (!keys_by_name(entry, &more)) {
			*ret_bad = (struct bytes){ list.data + (entry.data - text), entry.size };
			return -EINVAL;
		}
		keys |= more;
	}
	*ret = keys | KEY_BIT(KEY_TYPE);
	return 0;
}

static int set_fields(key_set *to, const char *value, struct setting_input *input)
{
	struct bytes bad;
	int r = parse_fields(bytes_of(value), to, &bad);

	if (r != -EINVAL)
		return r;
	snprintf(input->buffer, sizeof(input->buffer), "unknown key '%.*s'", (int)bad.size, bad.data);
	return wrong(input, input->buffer);
}

static int read_fields(void *to, const struct setting *setting, struct setting_input *input)
{
	return set_fields(to, *input->text ? input->text : "all", input);
}

static int read_output_fields(void *to, const struct setting *setting, struct setting_input *input)
{
	struct settings_output *output = to;

	output->fields_set = *input->text;
	return output->fields_set ? set_fields(&output->fields, input->text, input) : 0;
}

static void write_fields(FILE *out, const void *at, const struct setting *setting)
{
	key_set keys = *(const key_set *)at;
	const char *comma = "";

	if ((keys & KEYS_ALL) == KEYS_ALL) {
		fputs("all", out);
		keys &= ~KEYS_ALL;
		comma = ", ";
	}
	if (keys & KEYS_TIME_BUT_OF_END) {
		fprintf(out, "%shistory", comma);
		keys &= ~KEYS_HISTORY;
		comma = ", ";
	}
	for (enum key key = 0; key < KEY_MAX; key++) {
		if (keys & KEY_BIT(key)) {
			fprintf(out, "%s%s", comma, key_name(key));
			comma = ", ";
		}
	}
}

static void write_output_fields(FILE *out, const void *at, const struct setting *setting)
{
	const struct settings_output *output = at;

	if (output->fields_set)
		write_fields(out, &output->fields, setting);
}

const struct setting_type type_fields = { .read = read_fields, .write = write_fields };
const struct setting_type type_output_fields = { .read = read_output_fields, .write = write_output_fields };

/* Lists. */

static int set_list(string_list *to, struct setting_input *input)
{
	const char *text = input->text;
	struct bytes entry;

	if (input->first)
		list_clear(to);
	if (!*text)
		return 0;
	while (next_entry(&text, &entry)) {
		int r;

		if (entry.size == 0)
			return wrong(input, "an entry of the list is empty");
		r = list_add(to, entry.data, entry.size);
		if (r < 0)
			return r;
	}
	return 0;
}

static void write_entries(FILE *out, string_list list)
{
	for (string_list entry = list; entry && *entry; entry++)
		fprintf(out, "%s%s", entry == list ? "" : ", ", *entry);
}

static void write_list(FILE *out, const void *at, const struct setting *setting)
{
	write_entries(out, *(string_list const *)at);
}

static void free_list(void *at, const struct setting *setting)
{
	list_clear(at);
}

/* The globs are compiled to check them, and thrown away. */
static int read_env(void *to, const struct setting *setting, struct setting_input *input)
{
	_cleanup_(environment_free_p) struct environment *environment = NULL;
	int r = set_list(to, input);

	return r < 0 ? r : environment_new(&environment, *(const char *const **)to, &input->wrong);
}

static int read_options(void *to, const struct setting *setting, struct setting_input *input)
{
	string_list *list = to;
	int r = set_list(list, input);

	for (string_list entry = *list; r == 0 && entry && *entry; entry++)
		r = redact_check_option(*entry, &input->wrong);
	if (r == 0 && list_length(*list) > REDACT_OPTIONS_MAX)
		return wrong(input, "too many entries");
	return r;
}

static int read_pattern(void *to, const struct setting *setting, struct setting_input *input)
{
	string_list *list = to;
	int r;

	if (input->first)
		list_clear(list);
	if (!*input->text)
		return 0;
	r = redact_check_pattern(input->text, &input->wrong);
	if (r < 0)
		return r;
	if (list_length(*list) >= REDACT_PATTERNS_MAX)
		return wrong(input, "too many entries");
	return list_add(list, input->text, strlen(input->text));
}

const struct setting_type type_env = { .is_text = true, .read = read_env, .write = write_list, .free = free_list };
const struct setting_type type_options = {
	.is_text = true, .read = read_options, .write = write_list, .free = free_list
};
const struct setting_type type_pattern = {
	.is_text = true, .read = read_pattern, .write = write_list, .free = free_list
};

/* Filters. */

static int make_filter(const struct settings_output *output, struct filter **ret, const char **ret_reason)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	int r = filter_new(&filter);

	if (r < 0)
		return r;
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++) {
		for (string_list entry = output->filter[key]; entry && *entry; entry++) {
			r = filter_add(filter, key, bytes_of(*entry), ret_reason);
			if (r < 0)
				return r;
		}
	}
	*ret = TAKE_PTR(filter);
	return 0;
}

int settings_filter(const struct settings_output *output, struct filter **ret)
{
	const char *reason;

	return make_filter(output, ret, &reason);
}

/* Checked with the other keys, since a filter has limits for all of them together. Bad entries are
 * not kept, or they would be reported with each key that follows. */
static int read_filter(void *to, const struct setting *setting, struct setting_input *input)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	struct settings_output *output = to;
	int r = set_list(&output->filter[setting->key], input);

	if (r == 0)
		r = make_filter(output, &filter, &input->wrong);
	if (r < 0)
		list_clear(&output->filter[setting->key]);
	return r == -E2BIG ? -EINVAL : r;
}

static void write_filter(FILE *out, const void *at, const struct setting *setting)
{
	write_entries(out, ((const struct settings_output *)at)->filter[setting->key]);
}

static void free_filter(void *at, const struct setting *setting)
{
	list_clear(&((struct settings_output *)at)->filter[setting->key]);
}

const struct setting_type type_filter = {
	.is_text = true, .read = read_filter, .write = write_filter, .free = free_filter
};

/* Doubts. */

static bool has_comment(const char *value)
{
	for (const char *at = value; *at; at++)
		if ((*at == '#' || *at == ';') && (at == value || at[-1] == ' ' || at[-1] == '\t'))
			return true;
	return false;
}

static bool has_quotes(struct bytes entry)
{
	if (entry.size > 0 && entry.data[0] == '!')
		entry = (struct bytes){ entry.data + 1, entry.size - 1 };
	return entry.size > 0 && (entry.data[0] == '"' || entry.data[0] == '\'');
}

/* /proc/PID/comm has 15 bytes at most (proc(5)). */
static bool is_too_long_comm(struct bytes entry)
{
	size_t size = entry.size - (entry.size > 0 && entry.data[0] == '!');

	if (size <= 15)
		return false;
	for (size_t i = 0; i < entry.size; i++)
		if (strchr("*?[\\", entry.data[i]))
			return false;
	return true;
}

const char *setting_doubt(const struct setting *setting, const char *value)
{
	bool is_comm = setting->type == &type_filter &&
		       (setting->key == FILTER_COMM || setting->key == FILTER_PARENT_COMM);
	const char *at = value;
	struct bytes entry;

	if (has_comment(value))
		return "a comment must be on its own line; here it is part of the value";
	/* A value that is not a list is one entry. */
	while (next_entry(&at, &entry)) {
		if (has_quotes(entry))
			return "quotes are part of a value";
		if (is_comm && is_too_long_comm(entry))
			return "the comm of a process has at most 15 bytes, so this never matches";
	}
	return NULL;
}
