/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration (CONTRACT section 5): files in, a checked struct out, from one table of keys
 * (section, name, type, default, range, help), which --dump-config, the checks and the commented
 * conf/execsnoopd.conf follow too.
 */
#ifndef EXECSNOOP_SETTINGS_H
#define EXECSNOOP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "model/event.h"
#include "model/filter.h"
#include "util/cleanup.h"

enum errors_probe { ERRORS_AUTO, ERRORS_KPROBE_MULTI, ERRORS_FEXIT, ERRORS_KPROBE, ERRORS_TRACEPOINT, ERRORS_OFF };
enum slow { SLOW_DROP, SLOW_DISCONNECT };

/* A list of strings, ended by NULL; NULL: empty. Owned by the settings. */
typedef char **string_list;

struct settings_output {
	bool fields_set; /* else [output] fields holds, already copied into fields */
	key_set fields;
	string_list filter[FILTER_KEY_MAX]; /* checked: each entry is one that filter_add takes */
};

struct settings {
	struct {
		enum errors_probe errors;
		bool forks;
		bool kernel_threads;
		uint64_t ring_buffer; /* bytes, a power of two, at least 64K (rounded up) */
		uint64_t args_limit;
		uint64_t table_memory;
		string_list env;
		char *btf; /* NULL: the kernel's own */
	} probes;
	struct {
		key_set fields;
	} output;
	struct {
		bool enabled;
		char *path;
		mode_t mode;
		char *group; /* NULL: leave as is */
		bool snapshot;
		uint64_t max_subscribers;
		uint64_t per_user; /* 0: a quarter of them */
		uint64_t queue;
		uint64_t snapshot_memory;
		enum slow slow;
		struct settings_output output;
	} socket;
	struct {
		bool enabled;
		bool snapshot;
		uint64_t queue;
		struct settings_output output;
	} journal;
	struct {
		bool snapshot;
		struct settings_output output;
	} stdout_output; /* [stdout] */
	struct {
		string_list options;
		string_list pattern; /* checked EREs */
	} redact;
	struct {
		int level; /* LOG_ERR .. LOG_DEBUG */
	} log;
};

/* One complaint: "FILE:LINE: what is wrong" without a newline (FILE: what is wrong where no line is
 * to blame). Called for each problem, so that all are told at once. LOG_ERR; LOG_WARNING, with "warning: ": the value is taken as
 * it stands, and is probably not what was meant. */
typedef void (*settings_complain)(void *userdata, int level, const char *message);

/* The built-in defaults. */
int settings_new(struct settings **ret);
struct settings *settings_free(struct settings *settings);
DEFINE_CLEANUP(struct settings *, settings_free);

/*
 * Defaults, then `file` (which may be absent if !must_exist), then file.d/ *.conf in name order
 * (strcmp), each overriding what came before, key by key; a key that may be given more than once
 * ([redact] pattern) begins a new list in each file. Unknown sections and keys, bad values, keys given
 * twice in one file, lines that are none: each is complained of, all of them, and the result is
 * -EINVAL. -errno where a file can't be read (complained of too). *ret is untouched on failure.
 */
int settings_load(struct settings **ret, const char *file, bool must_exist, settings_complain complain, void *userdata);

/* The same from memory, for tests and fuzzers: one file of that name. */
int settings_parse(struct settings **ret, const char *name, const char *data, size_t size, settings_complain complain,
		   void *userdata);

/* A complete INI file that reads back to the same. */
int settings_dump(const struct settings *settings, FILE *out);

/* The keys that take a restart to change, each whose value is another one: told with both, as a file would have them.
 * 0 or -ENOMEM. */
typedef void (*settings_differ)(void *userdata, const char *section, const char *name, const char *in_force,
				const char *asked);
int settings_compare(const struct settings *in_force, const struct settings *asked, settings_differ differ,
		     void *userdata);

/* The same fields and filter entries. */
bool settings_output_equal(const struct settings_output *a, const struct settings_output *b);
bool string_list_equal(string_list a, string_list b);

/* A filter made of an output's entries. */
int settings_filter(const struct settings_output *output, struct filter **ret);

/* Comma-separated names of keys, "all" or "basic", as in `fields`. -EINVAL; *ret_bad is then the name. */
int settings_fields(struct bytes list, key_set *ret, struct bytes *ret_bad);

#endif
