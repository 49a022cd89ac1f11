/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One event, and the one list of its keys: their names, their order, and which each event has.
 * The encoders (json, journal) walk over an event by event_visit() and know no keys.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "handover/archive.h"
#include "model/process.h"
#include "util/bytes.h"

enum event_type { EVENT_STARTED, EVENT_EXITED, EVENT_ERROR, EVENT_FORKED, EVENT_LOST, EVENT_LIVE, EVENT_TYPE_MAX };

enum lost_where {
	LOST_KERNEL,
	LOST_SUBSCRIBER,
	LOST_JOURNAL,
};

/* How a process ended: SERVICE_RESULT in systemd.exec(5). */
enum result { RESULT_UNKNOWN, RESULT_SUCCESS, RESULT_EXIT_CODE, RESULT_SIGNAL, RESULT_CORE_DUMP, RESULT_MAX };

/* The keys of execsnoopd-events(7), in its order. The raw variants go with their key. */
enum key {
	KEY_TYPE,
	KEY_SEQ,
	KEY_TIME,
	KEY_SNAPSHOT,
	KEY_SOURCE,
	KEY_ID,
	KEY_PARENT_ID,
	KEY_START_TIME,
	KEY_PPID,
	KEY_PARENT_COMM,
	KEY_PID,
	KEY_UID,
	KEY_GID,
	KEY_COMM,
	KEY_EXE,
	KEY_FILENAME,
	KEY_ARGS,
	KEY_ARGS_TRUNCATED,
	KEY_ARGC,
	KEY_ARGS_SIZE,
	KEY_ENV,
	KEY_INCOMPLETE,
	KEY_KERNEL_THREAD,
	KEY_EXE_DELETED,
	KEY_EXE_MEMFD,
	KEY_EXE_UPPER,
	KEY_EXE_CTIME,
	KEY_SECUREEXEC,
	KEY_EUID,
	KEY_EGID,
	KEY_CAPS,
	KEY_LOGINUID,
	KEY_SESSION_ID,
	KEY_SID,
	KEY_PGID,
	KEY_TTY,
	KEY_CWD,
	KEY_CGROUP,
	KEY_UNIT,
	KEY_CONTAINER_ID,
	KEY_POD_UID,
	KEY_PID_NS,
	KEY_NS_PID,
	KEY_MNT_NS,
	KEY_NET_NS,
	KEY_USER_NS,
	KEY_UTS_NS,
	KEY_IPC_NS,
	KEY_CGROUP_NS,
	KEY_TIME_NS,
	KEY_EXE_INODE,
	KEY_EXE_DEV,
	KEY_SESSION_LEADER_ID,
	KEY_ANCESTORS,
	KEY_END_TIME,
	KEY_RUNNING_TIME_NS,
	KEY_RESULT,
	KEY_EXIT_CODE,
	KEY_EXIT_SIGNAL,
	KEY_CORE_DUMPED,
	KEY_CPU_USER_NS,
	KEY_CPU_SYSTEM_NS,
	KEY_MAX_RSS_BYTES,
	KEY_READ_BYTES,
	KEY_WRITE_BYTES,
	KEY_ERROR_CODE,
	KEY_ERROR,
	KEY_PATH_TRIES,
	KEY_HOST,
	KEY_USER,
	KEY_GROUP,
	KEY_LOGIN_USER,
	KEY_PARENT_EXE,
	KEY_PARENT_ARGS,
	KEY_PARENT_ARGS_TRUNCATED,
	KEY_STARTER_ID,
	KEY_STARTER_EXEC_TIME,
	KEY_COUNT,
	KEY_WHERE,
	KEY_FIRST_SEQ,
	KEY_LAST_SEQ,
	KEY_MAX
};

/* A set of keys: bit 1 << KEY_x. `type` is in every set; a `lost` has all keys but those on request,
 * which it has if they are in the set. */
__extension__ typedef unsigned __int128 key_set;
#define KEY_BIT(k) ((key_set)1 << (k))
#define KEYS_EVERY (KEY_BIT(KEY_MAX) - 1)
/* In no preset: most outputs do not need them, and they cost more than others (extras.h). */
#define KEYS_ON_REQUEST                                                                            \
	(KEY_BIT(KEY_HOST) | KEY_BIT(KEY_USER) | KEY_BIT(KEY_GROUP) | KEY_BIT(KEY_LOGIN_USER) |    \
	 KEY_BIT(KEY_PARENT_EXE) | KEY_BIT(KEY_PARENT_ARGS) | KEY_BIT(KEY_PARENT_ARGS_TRUNCATED) | \
	 KEY_BIT(KEY_STARTER_ID) | KEY_BIT(KEY_STARTER_EXEC_TIME))
/* The presets of `fields`, execsnoopd.conf(5). */
#define KEYS_ALL (KEYS_EVERY & ~KEYS_ON_REQUEST)
extern const key_set KEYS_BASIC, KEYS_HISTORY;
/* In a set: `time`, except of an `exited`, whose start_time and running_time_ns give it. Only KEYS_HISTORY has it. */
#define KEYS_TIME_BUT_OF_END KEY_BIT(KEY_MAX)

/* The keys of an output: one that does not fold searches reports each try itself. */
static inline key_set keys_of_output(key_set keys, bool folds)
{
	return folds ? keys : keys & ~KEY_BIT(KEY_PATH_TRIES);
}

const char *key_name(enum key key);
bool key_by_name(struct bytes name, enum key *ret);
/* One entry of `fields`: a preset or a key, with the key that says that it is cut. */
bool keys_by_name(struct bytes name, key_set *ret);
const char *event_type_name(enum event_type type);
bool event_type_by_name(struct bytes name, enum event_type *ret);
/* Not for RESULT_UNKNOWN, which is the absence of the key. */
const char *result_name(enum result result);
bool result_by_name(struct bytes name, enum result *ret);

#ifndef SEARCHES_MAX	  /* fuzzers have fewer */
#define SEARCHES_MAX 1024 /* that are open at a time */
#endif

struct event {
	enum event_type type;
	bool snapshot;		       /* a line of a snapshot: no seq */
	uint64_t seq;		       /* 0: none */
	uint64_t time;		       /* ns since the epoch */
	uint64_t boot;		       /* this boot, for ids (process_id_format) */
	const struct process *process; /* NULL in LOST and LIVE; valid for the callback */
	enum source source;	       /* of this event (an exit found by a resync has that) */
	struct extras *extras;	       /* KEYS_ON_REQUEST, made as they are encoded; NULL: there are none */

	/* For sinks, not for encoders; clocks of the table (proctable.h). */
	uint64_t position;  /* of this event */
	uint64_t born;	    /* when the process entered the table */
	uint64_t announced; /* of its first started or forked event; 0: none was */

	struct {
		uint64_t running_ns; /* end - start, on the boot clock */
		bool status_known;   /* not where a resync found the end */
		uint32_t status;     /* as wait(2) gives it */
		enum result result;  /* if !status_known: of an event that was read without its status */
		bool cpu_known, rss_known, io_known;
		uint64_t cpu_user_ns, cpu_system_ns, max_rss_bytes, read_bytes, write_bytes;
	} end;	   /* EVENT_EXITED */
	int error; /* EVENT_ERROR: positive errno */
	/* Of a search along $PATH (pipeline/path_search.h): the execs that this one represents, 0: of none; and in an
	 * error the search that it leaves open, 1 to SEARCHES_MAX, 0: none. */
	uint32_t path_tries;
	unsigned search;
	struct {
		enum lost_where where;
		uint64_t count, first_seq, last_seq; /* the last two not with LOST_KERNEL */
	} lost;					     /* EVENT_LOST */
};

/* Of EVENT_EXITED; of others, and where it is not known, RESULT_UNKNOWN. */
enum result event_result(const struct event *event);

/* How a stream joined: which processes were announced to it. */
struct joined {
	uint64_t clock;	   /* of the table */
	bool had_snapshot; /* of all processes at that time */
	bool resumed;	   /* after a crash: the table was rebuilt, and up to `clock` only boot_ns decides */
	uint64_t boot_ns;  /* CLOCK_BOOTTIME when it joined */
};
/* How many events are missing in a stream that lacks this one: those that a `lost` counts are as unknown then. */
static inline uint64_t event_missing(const struct event *event)
{
	return event->type == EVENT_LOST ? event->lost.count : 1;
}
/* Whether the process of an `exited` was announced to that stream. */
bool event_was_announced(const struct event *event, const struct joined *joined);
void joined_archive(struct joined *joined, struct archive *archive);

/*
 * One callback for each kind of value, in the documented order, for the keys that are in `keys` and
 * have a value. A result other than 0 ends the walk and is returned by event_visit(). Bytes are as
 * the kernel has them: an encoder decides what to do with those that are not UTF-8 (key_has_raw():
 * the key has a raw twin). The first four may be NULL: `bytes` gets such a value as the text that JSON
 * has, and "true" for a flag.
 */
struct event_visitor {
	int (*number)(void *userdata, enum key key, int64_t value);   /* to be written by event_number_format */
	int (*flag)(void *userdata, enum key key);		      /* flags are true or absent */
	int (*text)(void *userdata, enum key key, const char *value); /* ASCII, ours */
	int (*time)(void *userdata, enum key key, uint64_t ns);	      /* since the epoch */
	int (*bytes)(void *userdata, enum key key, struct bytes value);
	int (*list)(void *userdata, enum key key, struct bytes items);	 /* each with its NUL */
	int (*object)(void *userdata, enum key key, struct bytes items); /* NAME=VALUE, each with its NUL */
};
/* The keys of a set that this event may have. */
static inline key_set event_keys(const struct event *event, key_set keys)
{
	if (keys & KEYS_TIME_BUT_OF_END)
		keys = (keys & ~KEYS_TIME_BUT_OF_END) | (event->type == EVENT_EXITED ? 0 : KEY_BIT(KEY_TIME));
	/* The report of a loss always has all its keys. */
	return keys | (event->type == EVENT_LOST ? KEYS_ALL : KEY_BIT(KEY_TYPE));
}
int event_visit(const struct event *event, key_set keys, const struct event_visitor *visitor, void *userdata);

bool key_has_raw(enum key key);

/*
 * The digits of a number of event_visit, with a NUL; returns how many. Only error_code is ever
 * negative: the others are uint64_t (an inode number may be beyond INT64_MAX: overlayfs uses the
 * high bits) whose bits are in value.
 */
#define EVENT_NUMBER_SIZE 21
size_t event_number_format(char ret[static EVENT_NUMBER_SIZE], enum key key, int64_t value);

/* RFC 3339 UTC with nine decimals, EVENT_TIME_SIZE bytes with the NUL. */
#define EVENT_TIME_SIZE 31
void event_time_format(char ret[static EVENT_TIME_SIZE], uint64_t ns);

/* "ENOENT"; NULL for numbers without a name. error is positive. */
const char *errno_name(int error);
/* "SIGKILL", "SIGRTMIN+3", "SIG32"; into ret. */
void signal_name(char *ret, size_t size, int number);
