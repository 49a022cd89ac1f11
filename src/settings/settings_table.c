/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The defaults go through the readers too: so what is documented as the default is what is in force. */
#include "settings/settings_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "settings/settings_value.h"

#define AT(member) offsetof(struct settings, member)
#define K(n) ((uint64_t)(n) << 10)
#define M(n) ((uint64_t)(n) << 20)
#define G(n) ((uint64_t)(n) << 30)
#define TABLE_MEMORY_MAX (SIZE_MAX < G(1024) ? SIZE_MAX : G(1024)) /* it is a size_t where it is used */
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
	SETTING("probes", "table_memory", TYPE_SIZE, probes.table_memory, "256M", 0, TABLE_MEMORY_MAX),
	SETTING("probes", "env", TYPE_ENV, probes.env, "", 0, .restart = true),
	SETTING("probes", "btf", TYPE_PATH, probes.btf, "", 0, .restart = true),
	SETTING("output", "fields", TYPE_FIELDS, output.fields, "all", 0),
	SETTING("socket", "enabled", TYPE_TRUTH, socket.enabled, "yes", 0, .restart = true),
	SETTING("socket", "path", TYPE_SOCKET, socket.path, "/run/execsnoopd/events.sock", 1, .restart = true),
	SETTING("socket", "mode", TYPE_MODE, socket.mode, "0660", 0, 0777),
	SETTING("socket", "group", TYPE_NAME, socket.group, "execsnoopd", 0),
	SETTING("socket", "snapshot", TYPE_TRUTH, socket.snapshot, "yes", 0),
	SETTING("socket", "max_subscribers", TYPE_COUNT, socket.max_subscribers, "256", 1, 65536),
	SETTING("socket", "per_user", TYPE_COUNT, socket.per_user, "0", 0, 65536),
	SETTING("socket", "queue", TYPE_SIZE, socket.queue, "4M", K(64), G(1)),
	SETTING("socket", "snapshot_memory", TYPE_SIZE, socket.snapshot_memory, "64M", K(64), G(1024)),
	SETTING("socket", "slow", TYPE_SLOW, socket.slow, "drop", 0),
	FILTERS("socket", socket.output),
	SETTING("journal", "enabled", TYPE_TRUTH, journal.enabled, "yes", 0),
	SETTING("journal", "snapshot", TYPE_TRUTH, journal.snapshot, "no", 0),
	SETTING("journal", "queue", TYPE_SIZE, journal.queue, "4M", K(64), G(1)),
	FILTERS("journal", journal.output),
	SETTING("stdout", "snapshot", TYPE_TRUTH, stdout_output.snapshot, "yes", 0),
	FILTERS("stdout", stdout_output.output),
	SETTING("redact", "options", TYPE_OPTIONS, redact.options, "", 0),
	SETTING("redact", "pattern", TYPE_PATTERN, redact.pattern, "", 0, .many = true),
	SETTING("log", "level", TYPE_LEVEL, log.level, "info", 0),
};
#define TABLE (sizeof(table) / sizeof(table[0]))

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

/* Values. */

static void *value_of(const struct settings *settings, const struct setting *setting)
{
	return (char *)settings + setting->offset;
}

int settings_set(struct settings *settings, const struct setting *setting, const char *value, bool first, char *buffer,
		 size_t size, const char **ret_wrong)
{
	return value_read(value_of(settings, setting), setting, value, first, buffer, size, ret_wrong);
}

const char *settings_doubt(const struct setting *setting, const char *value)
{
	return value_doubt(setting, value);
}

bool settings_is_text(const struct setting *setting)
{
	return value_is_text(setting);
}

void settings_finish(struct settings *settings)
{
	struct settings_output *outputs[] = { &settings->socket.output, &settings->journal.output,
					      &settings->stdout_output.output };
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
	for (size_t i = 0; i < TABLE; i++)
		value_free(value_of(settings, &table[i]), &table[i]);
	free(settings);
	return NULL;
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
			string_list list = *(string_list const *)value_of(settings, &table[i]);

			for (string_list entry = list; entry && *entry; entry++)
				fprintf(out, "%s = %s\n", table[i].name, *entry);
			continue;
		}
		fprintf(out, "%s = ", table[i].name);
		value_write(out, value_of(settings, &table[i]), &table[i]);
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
	value_write(out, value_of(settings, setting), setting);
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
