/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defaults are parsed as values of a file are, so the default in the documents is the one in
 * force. */
#include "settings/settings_table.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "settings/settings_value.h"

#define AT(member) offsetof(struct settings, member)
#define K(n) ((uint64_t)(n) << 10)
#define M(n) ((uint64_t)(n) << 20)
#define G(n) ((uint64_t)(n) << 30)
#define SUN_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define TABLE_MEMORY_MAX (SIZE_MAX < G(1024) ? SIZE_MAX : G(1024)) /* used as a size_t */
/* Versions of clang-format do not agree about these. */
/* clang-format off */
#define SETTING(section, name, type, member, initial, ...) \
	{ section, name, &type_##type, AT(member), initial, __VA_ARGS__ }
#define FILTER(section, name, member, filter_key) \
	{ section, name, &type_filter, AT(member), "", .key = filter_key }
#define OUTPUT(section, member, searches) \
	SETTING(section, "path_search", path_search, member.path_search, searches, 0), \
	SETTING(section, "fields", output_fields, member, "", 0), \
	FILTER(section, "types", member, FILTER_TYPES), \
	FILTER(section, "pid", member, FILTER_PID), \
	FILTER(section, "ppid", member, FILTER_PPID), \
	FILTER(section, "tree", member, FILTER_TREE), \
	FILTER(section, "uid", member, FILTER_UID), \
	FILTER(section, "gid", member, FILTER_GID), \
	FILTER(section, "comm", member, FILTER_COMM), \
	FILTER(section, "exe", member, FILTER_EXE), \
	FILTER(section, "filename", member, FILTER_FILENAME), \
	FILTER(section, "args", member, FILTER_ARGS), \
	FILTER(section, "unit", member, FILTER_UNIT), \
	FILTER(section, "cgroup", member, FILTER_CGROUP), \
	FILTER(section, "container_id", member, FILTER_CONTAINER_ID), \
	FILTER(section, "error", member, FILTER_ERROR), \
	FILTER(section, "result", member, FILTER_RESULT), \
	FILTER(section, "loginuid", member, FILTER_LOGINUID), \
	FILTER(section, "parent_comm", member, FILTER_PARENT_COMM), \
	FILTER(section, "cwd", member, FILTER_CWD), \
	FILTER(section, "pod_uid", member, FILTER_POD_UID), \
	FILTER(section, "secureexec", member, FILTER_SECUREEXEC), \
	FILTER(section, "min_running_time", member, FILTER_MIN_RUNNING_TIME), \
	FILTER(section, "min_cpu", member, FILTER_MIN_CPU)
/* clang-format on */

static const struct setting table[] = {
	SETTING("probes", "errors", errors, probes.errors, "auto", 0, .restart = true),
	SETTING("probes", "forks", bool, probes.forks, "no", 0, .restart = true),
	SETTING("probes", "kernel_threads", bool, probes.kernel_threads, "yes", 0, .restart = true),
	SETTING("probes", "ring_buffer", size, probes.ring_buffer, "8M", K(64), G(1), .restart = true),
	SETTING("probes", "args_limit", size, probes.args_limit, "2M", K(4), M(8), .restart = true),
	SETTING("probes", "table_memory", size, probes.table_memory, "256M", 0, TABLE_MEMORY_MAX),
	SETTING("probes", "env", env, probes.env, "", 0, .restart = true),
	SETTING("probes", "btf", path, probes.btf, "", 0, PATH_MAX - 1, .restart = true),
	SETTING("output", "fields", fields, output.fields, "all", 0),
	SETTING("socket", "enabled", bool, socket.enabled, "yes", 0, .restart = true),
	SETTING("socket", "path", path, socket.path, "/run/execsnoopd/events.sock", 1, SUN_PATH_MAX, .restart = true),
	SETTING("socket", "mode", mode, socket.mode, "0660", 0),
	SETTING("socket", "group", name, socket.group, "execsnoopd", 0),
	SETTING("socket", "snapshot", bool, socket.snapshot, "yes", 0),
	SETTING("socket", "max_subscribers", count, socket.max_subscribers, "256", 1, 65536),
	SETTING("socket", "per_user", count, socket.per_user, "0", 0, 65536),
	SETTING("socket", "queue", size, socket.queue, "4M", K(64), G(1)),
	SETTING("socket", "snapshot_memory", size, socket.snapshot_memory, "64M", K(64), G(1024)),
	SETTING("socket", "slow", slow, socket.slow, "drop", 0),
	SETTING("socket", "named", count, socket.named, "16", 0, 4096),
	SETTING("socket", "mark", count, socket.mark, "0", 0, 86400),
	OUTPUT("socket", socket.output, "all"),
	SETTING("journal", "enabled", bool, journal.enabled, "yes", 0),
	SETTING("journal", "snapshot", bool, journal.snapshot, "no", 0),
	SETTING("journal", "queue", size, journal.queue, "4M", K(64), G(1)),
	SETTING("journal", "args_limit", size, journal.args_limit, "64K", K(4), M(8)),
	OUTPUT("journal", journal.output, "fold"),
	SETTING("stdout", "snapshot", bool, stdout_output.snapshot, "yes", 0),
	OUTPUT("stdout", stdout_output.output, "all"),
	SETTING("redact", "options", options, redact.options, "", 0),
	SETTING("redact", "pattern", pattern, redact.pattern, "", 0, .many = true),
	SETTING("log", "level", level, log.level, "info", 0),
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

int settings_set(struct settings *settings, const struct setting *setting, struct setting_input *input)
{
	return setting->type->read(value_of(settings, setting), setting, input);
}

void settings_finish(struct settings *settings)
{
	struct settings_output *outputs[] = { &settings->socket.output, &settings->journal.output,
					      &settings->stdout_output.output };
	uint64_t size = 65536;

	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++)
		if (!outputs[i]->fields_set)
			outputs[i]->fields = settings->output.fields;
	/* bpf(2): the size of a ring buffer is a power of two, and of whole pages (64 KiB on some
	 * arm64). */
	while (size < settings->probes.ring_buffer)
		size *= 2;
	settings->probes.ring_buffer = size;
	settings->socket.gid = (gid_t)-1;
	settings->socket.group_error = settings->socket.group ? -ESRCH : 0;
}

int settings_new(struct settings **ret)
{
	_cleanup_(settings_free_p) struct settings *settings = calloc(1, sizeof(*settings));

	if (!settings)
		return -ENOMEM;
	for (size_t i = 0; i < TABLE; i++) {
		struct setting_input input = { .text = table[i].initial, .first = true };
		int r = settings_set(settings, &table[i], &input);

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
		if (table[i].type->free)
			table[i].type->free(value_of(settings, &table[i]), &table[i]);
	free(settings);
	return NULL;
}

static void write_value(FILE *out, const struct settings *settings, const struct setting *setting)
{
	setting->type->write(out, value_of(settings, setting), setting);
}

int settings_dump(const struct settings *settings, FILE *out)
{
	const char *section = "";

	for (size_t i = 0; i < TABLE; i++) {
		if (strcmp(section, table[i].section) != 0) {
			fprintf(out, "%s[%s]\n", *section ? "\n" : "", table[i].section);
			section = table[i].section;
		}
		if (table[i].many) {
			string_list list = *(string_list const *)value_of(settings, &table[i]);

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
