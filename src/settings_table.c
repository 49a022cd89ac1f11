/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each type has a reader and a writer, and the defaults go through the reader too: so what is documented as the
 * default is what is in force. A string that could not be read back (it has blanks at its ends, or a line's end) cannot
 * come from a file, so the writer need not quote.
 */
#include "settings_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "environment.h"
#include "redact.h"

enum type {
	TYPE_TRUTH,
	TYPE_SIZE,   /* uint64_t, with K, M, G */
	TYPE_COUNT,  /* uint64_t */
	TYPE_MODE,   /* mode_t, octal */
	TYPE_PATH,   /* char *, absolute; empty: NULL */
	TYPE_SOCKET, /* the same, as long as a socket's address may be */
	TYPE_NAME,   /* char *, empty: NULL */
	TYPE_ERRORS,
	TYPE_SLOW,
	TYPE_LEVEL,
	TYPE_FIELDS,  /* key_set; the bool fields_set stands before it in settings_output */
	TYPE_ENV,     /* string_list of globs */
	TYPE_OPTIONS, /* string_list of options' names */
		      /* string_list */
	TYPE_PATTERN, /* string_list of EREs, one a line */
	TYPE_FILTER,  /* + the filter key: string_list */
};

#define AT(member) offsetof(struct settings, member)
#define K(n) ((uint64_t)(n) << 10)
#define M(n) ((uint64_t)(n) << 20)
#define G(n) ((uint64_t)(n) << 30)
/* Versions of clang-format do not agree about this one. */
/* clang-format off */
#define SETTING(section, name, type, member, value, ...) { section, name, type, AT(member), value, __VA_ARGS__ }
/* clang-format on */
#define FILTERS(section, output)                                                                                    \
	SETTING(section, "fields", TYPE_FIELDS, output, "", 0),                                                     \
		SETTING(section, "types", TYPE_FILTER + FILTER_TYPES, output.filter[FILTER_TYPES], "", 0),          \
		SETTING(section, "pid", TYPE_FILTER + FILTER_PID, output.filter[FILTER_PID], "", 0),                \
		SETTING(section, "ppid", TYPE_FILTER + FILTER_PPID, output.filter[FILTER_PPID], "", 0),             \
		SETTING(section, "tree", TYPE_FILTER + FILTER_TREE, output.filter[FILTER_TREE], "", 0),             \
		SETTING(section, "uid", TYPE_FILTER + FILTER_UID, output.filter[FILTER_UID], "", 0),                \
		SETTING(section, "gid", TYPE_FILTER + FILTER_GID, output.filter[FILTER_GID], "", 0),                \
		SETTING(section, "comm", TYPE_FILTER + FILTER_COMM, output.filter[FILTER_COMM], "", 0),             \
		SETTING(section, "exe", TYPE_FILTER + FILTER_EXE, output.filter[FILTER_EXE], "", 0),                \
		SETTING(section, "filename", TYPE_FILTER + FILTER_FILENAME, output.filter[FILTER_FILENAME], "", 0), \
		SETTING(section, "args", TYPE_FILTER + FILTER_ARGS, output.filter[FILTER_ARGS], "", 0),             \
		SETTING(section, "unit", TYPE_FILTER + FILTER_UNIT, output.filter[FILTER_UNIT], "", 0),             \
		SETTING(section, "cgroup", TYPE_FILTER + FILTER_CGROUP, output.filter[FILTER_CGROUP], "", 0),       \
		SETTING(section, "container_id", TYPE_FILTER + FILTER_CONTAINER_ID,                                 \
			output.filter[FILTER_CONTAINER_ID], "", 0),                                                 \
		SETTING(section, "error", TYPE_FILTER + FILTER_ERROR, output.filter[FILTER_ERROR], "", 0)

static const struct setting table[] = {
	SETTING("probes", "errors", TYPE_ERRORS, probes.errors, "auto", 0, .restart = true),
	SETTING("probes", "forks", TYPE_TRUTH, probes.forks, "no", 0, .restart = true),
	SETTING("probes", "kernel_threads", TYPE_TRUTH, probes.kernel_threads, "yes", 0, .restart = true),
	SETTING("probes", "ring_buffer", TYPE_SIZE, probes.ring_buffer, "8M", K(64), G(1), .restart = true),
	SETTING("probes", "args_limit", TYPE_SIZE, probes.args_limit, "2M", K(4), M(8), .restart = true),
	SETTING("probes", "table_memory", TYPE_SIZE, probes.table_memory, "256M", 0, G(1024)),
	SETTING("probes", "env", TYPE_ENV, probes.env, "", 0, .restart = true),
	SETTING("probes", "btf", TYPE_PATH, probes.btf, "", 0, .restart = true),
	SETTING("output", "fields", TYPE_FIELDS, output.fields, "all", 0),
	SETTING("socket", "enabled", TYPE_TRUTH, socket.enabled, "yes", 0, .restart = true),
	SETTING("socket", "path", TYPE_SOCKET, socket.path, "/run/execsnoopd/events.sock", 1, .restart = true),
	SETTING("socket", "mode", TYPE_MODE, socket.mode, "0660", 0, 0777),
	SETTING("socket", "group", TYPE_NAME, socket.group, "execsnoopd", 0),
	SETTING("socket", "snapshot", TYPE_TRUTH, socket.snapshot, "yes", 0),
	SETTING("socket", "max_subscribers", TYPE_COUNT, socket.max_subscribers, "256", 1, 65536),
	SETTING("socket", "queue", TYPE_SIZE, socket.queue, "4M", K(64), G(1)),
	SETTING("socket", "slow", TYPE_SLOW, socket.slow, "drop", 0),
	FILTERS("socket", socket.output),
	SETTING("journal", "enabled", TYPE_TRUTH, journal.enabled, "yes", 0),
	SETTING("journal", "snapshot", TYPE_TRUTH, journal.snapshot, "no", 0),
	SETTING("journal", "queue", TYPE_SIZE, journal.queue, "4M", K(64), G(1)),
	FILTERS("journal", journal.output),
	SETTING("stdout", "snapshot", TYPE_TRUTH, console.snapshot, "yes", 0),
	FILTERS("stdout", console.output),
	SETTING("redact", "options", TYPE_OPTIONS, redact.options, "", 0),
	SETTING("redact", "pattern", TYPE_PATTERN, redact.pattern, "", 0, .many = true),
	SETTING("log", "level", TYPE_LEVEL, log.level, "info", 0),
};
#define TABLE (sizeof(table) / sizeof(table[0]))

struct choice {
	const char *name;
	int value;
};

static const struct choice errors_choices[] = {
	{ "auto", ERRORS_AUTO },     { "fexit", ERRORS_FEXIT },
	{ "kprobe", ERRORS_KPROBE }, { "tracepoint", ERRORS_TRACEPOINT },
	{ "off", ERRORS_OFF },	     {},
};
static const struct choice slow_choices[] = { { "drop", SLOW_DROP }, { "disconnect", SLOW_DISCONNECT }, {} };
static const struct choice level_choices[] = { { "error", LOG_ERR },	 { "warning", LOG_WARNING },
					       { "notice", LOG_NOTICE }, { "info", LOG_INFO },
					       { "debug", LOG_DEBUG },	 {} };

size_t settings_count(void)
{
	return TABLE;
}

size_t settings_index(const struct setting *setting)
{
	return (size_t)(setting - table);
}

bool settings_has_section(const char *section)
{
	for (size_t i = 0; i < TABLE; i++)
		if (strcmp(table[i].section, section) == 0)
			return true;
	return false;
}

const struct setting *settings_find(const char *section, const char *name)
{
	for (size_t i = 0; i < TABLE; i++)
		if (strcmp(table[i].section, section) == 0 && strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

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
	if (r == -E2BIG) {
		*wrong = "too many or too long entries";
		r = -EINVAL;
	}
	return r;
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

int settings_set(struct settings *settings, const struct setting *setting, const char *value, bool first, char *buffer,
		 size_t size, const char **ret_wrong)
{
	void *to = (char *)settings + setting->offset;
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

void settings_finish(struct settings *settings)
{
	struct settings_output *outputs[] = { &settings->socket.output, &settings->journal.output,
					      &settings->console.output };
	uint64_t size = 65536;

	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++)
		if (!outputs[i]->fields_set)
			outputs[i]->fields = settings->output.fields;
	/* bpf(2): the size of a ring buffer is a power of two, and of whole pages (64 KiB on some arm64). */
	while (size < settings->probes.ring_buffer)
		size *= 2;
	settings->probes.ring_buffer = size;
}

int settings_new(struct settings **ret)
{
	_cleanup_(settings_free_p) struct settings *settings = calloc(1, sizeof(*settings));
	const char *wrong = NULL;
	char buffer[256];

	if (!settings)
		return -ENOMEM;
	for (size_t i = 0; i < TABLE; i++) {
		int r = settings_set(settings, &table[i], table[i].value, true, buffer, sizeof(buffer), &wrong);

		if (r == -ENOMEM)
			return r;
		ASSERT(r == 0);
	}
	settings_finish(settings);
	*ret = TAKE_PTR(settings);
	return 0;
}

struct settings *settings_free(struct settings *settings)
{
	if (!settings)
		return NULL;
	for (size_t i = 0; i < TABLE; i++) {
		void *at = (char *)settings + table[i].offset;

		if (table[i].type == TYPE_PATH || table[i].type == TYPE_SOCKET || table[i].type == TYPE_NAME)
			free(*(char **)at);
		else if (table[i].type == TYPE_ENV || table[i].type == TYPE_OPTIONS || table[i].type == TYPE_PATTERN ||
			 table[i].type >= TYPE_FILTER)
			list_clear(at);
	}
	free(settings);
	return NULL;
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
	for (enum key key = 0; key < KEYS_; key++) {
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

static void write_value(FILE *out, const struct settings *settings, const struct setting *setting)
{
	const void *at = (const char *)settings + setting->offset;
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

int settings_dump(const struct settings *settings, FILE *out)
{
	const char *section = "";

	for (size_t i = 0; i < TABLE; i++) {
		if (strcmp(section, table[i].section) != 0) {
			fprintf(out, "%s[%s]\n", *section ? "\n" : "", table[i].section);
			section = table[i].section;
		}
		if (table[i].type == TYPE_PATTERN) {
			string_list list = *(string_list const *)((const char *)settings + table[i].offset);

			for (string_list entry = list; entry && *entry; entry++)
				fprintf(out, "%s = %s\n", table[i].name, *entry);
			continue;
		}
		fprintf(out, "%s = ", table[i].name);
		write_value(out, settings, &table[i]);
		fputc('\n', out);
	}
	return fflush(out) == 0 ? 0 : -errno;
}

static int value_text(const struct settings *settings, const struct setting *setting, char **ret)
{
	size_t size;
	FILE *out = open_memstream(ret, &size);

	if (!out)
		return -errno;
	write_value(out, settings, setting);
	return fclose(out) == 0 ? 0 : -errno;
}

int settings_compare(const struct settings *in_force, const struct settings *asked, settings_differ differ,
		     void *userdata)
{
	for (size_t i = 0; i < TABLE; i++) {
		_cleanup_free_ char *old = NULL, *new = NULL;
		int r;

		if (!table[i].restart)
			continue;
		r = value_text(in_force, &table[i], &old);
		if (r == 0)
			r = value_text(asked, &table[i], &new);
		if (r < 0)
			return r;
		if (strcmp(old, new) != 0)
			differ(userdata, table[i].section, table[i].name, old, new);
	}
	return 0;
}
