/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration, execsnoopd.conf(5): from files to a checked struct, by one table of keys
 * (settings_table.c). --dump-config and the checks use the same table.
 */
#pragma once

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
enum path_search { PATH_SEARCH_ALL, PATH_SEARCH_FOLD };

/* Ends with NULL; NULL: empty. Owned by the settings. */
typedef char **string_list;

struct settings_output {
	bool fields_set; /* else `fields` is a copy of [output] fields */
	key_set fields;
	enum path_search path_search;
	string_list filter[FILTER_KEY_MAX]; /* checked: filter_add() accepts each entry */
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
		char *group;	 /* NULL: leave as is */
		int group_error; /* settings_find_group(): 0; -ESRCH: there is no such group; -errno */
		gid_t gid;	 /* the group's; (gid_t)-1: leave as is */
		bool snapshot;
		uint64_t max_subscribers;
		uint64_t per_user; /* 0: a quarter of max_subscribers */
		uint64_t queue;
		uint64_t snapshot_memory;
		enum slow slow;
		uint64_t mark;	/* seconds; 0: none */
		uint64_t named; /* subscriptions that outlive their connections */
		struct settings_output output;
	} socket;
	struct {
		bool enabled;
		bool snapshot;
		uint64_t queue;
		uint64_t args_limit; /* of one entry */
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

/*
 * A problem, "FILE:LINE: what is wrong" without a newline; "FILE: what is wrong" where it is in no
 * line. LOG_ERR; or LOG_WARNING, with "warning: ", for a value that is valid and probably not what
 * was meant.
 */
typedef void (*settings_complain)(void *userdata, int level, const char *message);

/* The built-in defaults. */
int settings_new(struct settings **ret);
struct settings *settings_free(struct settings *settings);
DEFINE_CLEANUP(struct settings *, settings_free);

/*
 * Defaults, then `file` (which may be absent if !must_exist), then FILE.d/ *.conf in order of their
 * names (strcmp). Each overrides the keys that it has; a key that may be given more than once
 * ([redact] pattern) begins a new list in each file. -EINVAL if there are problems; all are
 * reported first. A file that cannot be read is reported too.
 */
int settings_load(struct settings **ret, const char *file, bool must_exist, settings_complain complain, void *userdata);

/* One file from memory, for tests and fuzzers. */
int settings_parse(struct settings **ret, const char *name, const char *data, size_t size, settings_complain complain,
		   void *userdata);

/* Writes a complete file that is read back to the same settings. */
int settings_dump(const struct settings *settings, FILE *out);

/* Calls differ() for each key that differs and takes a restart to change, with both values as a
 * file would have them. -ENOMEM. */
typedef void (*settings_differ)(void *userdata, const char *section, const char *name, const char *in_force,
				const char *asked);
int settings_compare(const struct settings *in_force, const struct settings *asked, settings_differ differ,
		     void *userdata);

/* The same fields and filter entries, and searches folded or not. */
bool settings_output_equal(const struct settings_output *a, const struct settings_output *b);

int settings_filter(const struct settings_output *output, struct filter **ret);

/* Looks up the socket's group. This may wait for a server (nsswitch.conf(5)), so the event loop may not call it. */
void settings_find_group(struct settings *settings);
