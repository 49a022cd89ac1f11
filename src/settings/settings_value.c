/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each type has a reader and a writer. A string that could not be read back (it has blanks at its ends, or a line's end)
 * cannot come from a file, so the writer need not quote.
 */
#include "settings/settings_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "model/environment.h"
#include "model/redact.h"

struct choice {
	const char *name;
	int value;
};

static const struct choice errors_choices[] = {
	{ "auto", ERRORS_AUTO },
	{ "kprobe-multi", ERRORS_KPROBE_MULTI },
	{ "fexit", ERRORS_FEXIT },
	{ "kprobe", ERRORS_KPROBE },
	{ "tracepoint", ERRORS_TRACEPOINT },
	{ "off", ERRORS_OFF },
	{},
};
static const struct choice slow_choices[] = { { "drop", SLOW_DROP }, { "disconnect", SLOW_DISCONNECT }, {} };
static const struct choice level_choices[] = { { "error", LOG_ERR },	 { "warning", LOG_WARNING },
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

/* The next entry of a list with commas, without blanks around it. False at the end; empty entries are given too. */
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

/* Readers: 0, -EINVAL with *wrong, -ENOMEM. */

static int read_truth(bool *to, const char *value, const char **wrong)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(value, words[i]) == 0) {
			*to = i % 2;
			return 0;
		}
	}
	*wrong = "neither yes nor no";
	return -EINVAL;
}

static int read_number(uint64_t *to, const struct setting *setting, const char *value, bool sized, char *buffer,
		       size_t room, const char **wrong)
{
	uint64_t number;
	unsigned shift = 0;
	char *end;

	errno = 0;
	number = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || errno != 0)
		goto bad;
	if (sized && *end) {
		shift = *end == 'K' || *end == 'k'   ? 10
			: *end == 'M' || *end == 'm' ? 20
			: *end == 'G' || *end == 'g' ? 30
						     : 0;
		end += shift != 0;
	}
	if (*end)
		goto bad;
	if (number > UINT64_MAX >> shift || number << shift < setting->least || number << shift > setting->most) {
		snprintf(buffer, room, "not between %" PRIu64 " and %" PRIu64, setting->least, setting->most);
		*wrong = buffer;
		return -EINVAL;
	}
	*to = number << shift;
	return 0;
bad:
	*wrong = sized ? "not a size (a number, or one with K, M or G)" : "not a number";
	return -EINVAL;
}

static int read_mode(mode_t *to, const char *value, const char **wrong)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (value[0] < '0' || value[0] > '7' || *end || mode > 0777) {
		*wrong = "not an octal mode from 0 to 0777";
		return -EINVAL;
	}
	*to = (mode_t)mode;
	return 0;
}

static int read_string(char **to, const char *value)
{
	char *copy = *value ? strdup(value) : NULL;

	if (*value && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int read_path(char **to, const char *value, size_t most, bool needed, const char **wrong)
{
	if ((*value && *value != '/') || (needed && !*value)) {
		*wrong = "not an absolute path";
		return -EINVAL;
	}
	if (strlen(value) > most) {
		*wrong = "the path is too long";
		return -EINVAL;
	}
	return read_string(to, value);
}

static int read_choice(int *to, const struct choice *choices, const char *value, char *buffer, size_t room,
		       const char **wrong)
{
	size_t n;

	for (const struct choice *choice = choices; choice->name; choice++) {
		if (strcmp(choice->name, value) == 0) {
			*to = choice->value;
			return 0;
		}
	}
	n = (size_t)snprintf(buffer, room, "none of");
	for (const struct choice *choice = choices; choice->name && n < room; choice++)
		n += (size_t)snprintf(buffer + n, room - n, "%s %s", choice == choices ? "" : ",", choice->name);
	*wrong = buffer;
	return -EINVAL;
}

int settings_fields(struct bytes list, key_set *ret, struct bytes *ret_bad)
{
	_cleanup_free_ char *text = strndup(list.data, list.size);
	const char *at = text;
	struct bytes entry;
	key_set keys = 0;
	enum key key;

	if (!text)
		return -ENOMEM;
	while (next_entry(&at, &entry)) {
		if (bytes_equal(entry, BYTES("all"))) {
			keys |= KEYS_ALL;
		} else if (bytes_equal(entry, BYTES("basic"))) {
			keys |= KEYS_BASIC;
		} else if (key_by_name(entry, &key)) {
			keys |= KEY_BIT(key);
		} else {
			*ret_bad = (struct bytes){ list.data + (entry.data - text), entry.size };
			return -EINVAL;
		}
	}
	*ret = keys | KEY_BIT(KEY_TYPE);
	return 0;
}

static int read_fields(key_set *to, const char *value, char *buffer, size_t room, const char **wrong)
{
	struct bytes bad;
	int r = settings_fields(bytes_of(value), to, &bad);

	if (r == -EINVAL) {
		snprintf(buffer, room, "there is no key '%.*s'", (int)bad.size, bad.data);
		*wrong = buffer;
	}
	return r;
}

static int read_list(string_list *to, const char *value, bool first, const char **wrong)
{
	struct bytes entry;
	int r = 0;

	if (first)
		list_clear(to);
	if (!*value)
		return 0;
	while (r == 0 && next_entry(&value, &entry)) {
		if (entry.size == 0) {
			*wrong = "an entry of the list is empty";
			return -EINVAL;
		}
		r = list_add(to, entry.data, entry.size);
	}
	return r;
}

static int read_filter(string_list *to, enum filter_key key, const char *value, const char **wrong)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	int r = filter_new(&filter);

	if (r == 0)
		r = read_list(to, value, true, wrong);
	for (string_list entry = *to; r == 0 && entry && *entry; entry++)
		r = filter_add(filter, key, bytes_of(*entry), wrong);
	return r == -E2BIG ? -EINVAL : r;
}

/* The globs are made once, to see whether they are some. */
static int read_env(string_list *to, const char *value, bool first, const char **wrong)
{
	_cleanup_(environment_free_p) struct environment *environment = NULL;
	int r = read_list(to, value, first, wrong);

	return r < 0 ? r : environment_new(&environment, (const char *const *)*to, wrong);
}

static int read_options(string_list *to, const char *value, bool first, const char **wrong)
{
	int r = read_list(to, value, first, wrong);

	for (string_list entry = *to; r == 0 && entry && *entry; entry++)
		r = redact_check_option(*entry, wrong);
	if (r == 0 && list_length(*to) > REDACT_OPTIONS_MAX) {
		*wrong = "too many of them";
		r = -EINVAL;
	}
	return r;
}

static int read_pattern(string_list *to, const char *value, bool first, const char **wrong)
{
	int r;

	if (first)
		list_clear(to);
	if (!*value)
		return 0;
	r = redact_check_pattern(value, wrong);
	if (r == 0 && list_length(*to) >= REDACT_PATTERNS_MAX) {
		*wrong = "too many of them";
		r = -EINVAL;
	}
	return r < 0 ? r : list_add(to, value, strlen(value));
}

int value_read(void *to, const struct setting *setting, const char *value, bool first, char *buffer, size_t size,
	       const char **ret_wrong)
{
	int choice = 0, r;

	switch (setting->type) {
	case TYPE_TRUTH:
		return read_truth(to, value, ret_wrong);
	case TYPE_SIZE:
	case TYPE_COUNT:
		return read_number(to, setting, value, setting->type == TYPE_SIZE, buffer, size, ret_wrong);
	case TYPE_MODE:
		return read_mode(to, value, ret_wrong);
	case TYPE_PATH:
		return read_path(to, value, 4095, false, ret_wrong);
	case TYPE_SOCKET:
		return read_path(to, value, 107, true, ret_wrong); /* sun_path, unix(7) */
	case TYPE_NAME:
		return read_string(to, value);
	case TYPE_ERRORS:
		r = read_choice(&choice, errors_choices, value, buffer, size, ret_wrong);
		if (r == 0)
			*(enum errors_probe *)to = (enum errors_probe)choice;
		return r;
	case TYPE_SLOW:
		r = read_choice(&choice, slow_choices, value, buffer, size, ret_wrong);
		if (r == 0)
			*(enum slow *)to = (enum slow)choice;
		return r;
	case TYPE_LEVEL:
		return read_choice(to, level_choices, value, buffer, size, ret_wrong);
	case TYPE_FIELDS:
		if (strcmp(setting->section, "output") == 0)
			return read_fields(to, *value ? value : "all", buffer, size, ret_wrong);
		((struct settings_output *)to)->fields_set = *value;
		return *value ? read_fields(&((struct settings_output *)to)->fields, value, buffer, size, ret_wrong)
			      : 0;
	case TYPE_ENV:
		return read_env(to, value, first, ret_wrong);
	case TYPE_OPTIONS:
		return read_options(to, value, first, ret_wrong);
	case TYPE_PATTERN:
		return read_pattern(to, value, first, ret_wrong);
	default:
		return read_filter(to, (enum filter_key)(setting->type - TYPE_FILTER), value, ret_wrong);
	}
}

/* Doubts. */

bool value_is_text(const struct setting *setting)
{
	switch (setting->type) {
	case TYPE_PATH:
	case TYPE_SOCKET:
	case TYPE_NAME:
	case TYPE_ENV:
	case TYPE_OPTIONS:
	case TYPE_PATTERN:
		return true;
	default:
		return setting->type >= TYPE_FILTER;
	}
}

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
static bool is_too_long(const struct setting *setting, struct bytes entry)
{
	size_t size = entry.size - (entry.size > 0 && entry.data[0] == '!');

	if (setting->type != TYPE_FILTER + FILTER_COMM || size <= 15)
		return false;
	for (size_t i = 0; i < entry.size; i++)
		if (strchr("*?[\\", entry.data[i]))
			return false;
	return true;
}

const char *value_doubt(const struct setting *setting, const char *value)
{
	const char *at = value;
	struct bytes entry;

	if (has_comment(value))
		return "a comment stands on a line of its own; behind a value it is part of it";
	/* A list's entries; of what is no list, it does no harm. */
	while (next_entry(&at, &entry)) {
		if (has_quotes(entry))
			return "quotes are part of a value";
		if (is_too_long(setting, entry))
			return "the comm of a process has 15 bytes at most, so this matches none";
	}
	return NULL;
}

void value_free(void *at, const struct setting *setting)
{
	if (setting->type == TYPE_PATH || setting->type == TYPE_SOCKET || setting->type == TYPE_NAME)
		free(*(char **)at);
	else if (setting->type == TYPE_ENV || setting->type == TYPE_OPTIONS || setting->type == TYPE_PATTERN ||
		 setting->type >= TYPE_FILTER)
		list_clear(at);
}

/* Writers. */

static const char *choice_name(const struct choice *choices, int value)
{
	while (choices->name && choices->value != value)
		choices++;
	return choices->name;
}

static void write_size(FILE *out, uint64_t size)
{
	static const char units[] = "KMG";
	int unit = -1;

	while (size > 0 && size % 1024 == 0 && unit < 2) {
		size /= 1024;
		unit++;
	}
	fprintf(out, "%" PRIu64 "%.*s", size, unit >= 0, unit >= 0 ? &units[unit] : "");
}

static void write_fields(FILE *out, key_set keys)
{
	const char *comma = "";

	if (keys == KEYS_ALL) {
		fputs("all", out);
		return;
	}
	for (enum key key = 0; key < KEY_MAX; key++) {
		if (keys & KEY_BIT(key)) {
			fprintf(out, "%s%s", comma, key_name(key));
			comma = ", ";
		}
	}
}

static void write_list(FILE *out, string_list list)
{
	for (string_list entry = list; entry && *entry; entry++)
		fprintf(out, "%s%s", entry == list ? "" : ", ", *entry);
}

void value_write(FILE *out, const void *at, const struct setting *setting)
{
	const struct settings_output *output = at;

	switch (setting->type) {
	case TYPE_TRUTH:
		fputs(*(const bool *)at ? "yes" : "no", out);
		break;
	case TYPE_SIZE:
		write_size(out, *(const uint64_t *)at);
		break;
	case TYPE_COUNT:
		fprintf(out, "%" PRIu64, *(const uint64_t *)at);
		break;
	case TYPE_MODE:
		fprintf(out, "%04o", (unsigned)*(const mode_t *)at);
		break;
	case TYPE_PATH:
	case TYPE_SOCKET:
	case TYPE_NAME:
		fputs(*(char *const *)at ? *(char *const *)at : "", out);
		break;
	case TYPE_ERRORS:
		fputs(choice_name(errors_choices, (int)*(const enum errors_probe *)at), out);
		break;
	case TYPE_SLOW:
		fputs(choice_name(slow_choices, (int)*(const enum slow *)at), out);
		break;
	case TYPE_LEVEL:
		fputs(choice_name(level_choices, *(const int *)at), out);
		break;
	case TYPE_FIELDS:
		if (strcmp(setting->section, "output") == 0)
			write_fields(out, *(const key_set *)at);
		else if (output->fields_set)
			write_fields(out, output->fields);
		break;
	default:
		write_list(out, *(string_list const *)at);
	}
}
