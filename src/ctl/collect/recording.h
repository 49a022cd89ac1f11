/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The programs of a set of events, each whole and with what started it. Reports and exports are made of it. A process
 * that calls exec twice runs two programs, one after the other; what it used is counted for the last one.
 */
#pragma once

#include <sys/queue.h>

#include "ctl/event/parsed.h"
#include "util/cleanup.h"
#include "util/quote.h"

enum outcome {
	OUTCOME_RUNNING,  /* it had not ended when the recording did */
	OUTCOME_REPLACED, /* its process called exec again */
	OUTCOME_SUCCESS,
	OUTCOME_EXIT_CODE,
	OUTCOME_SIGNAL,
	OUTCOME_UNKNOWN, /* the end was found by a resync */
};

struct program {
	STAILQ_ENTRY(program) in_order, sibling;
	STAILQ_HEAD(, program) children; /* programs that it started; of each process the first one */
	struct program *parent;		 /* NULL: not in the recording */
	struct program *previous, *next; /* of the same process */
	struct program *first;		 /* of the same process */
	size_t number;			 /* in order, from 0 on */
	uint64_t start, end;		 /* ns since the epoch; of one that runs: the end of the recording */
	uint64_t exec_time;		 /* 0: not in the recording */
	enum outcome outcome;
	char status[32]; /* "0", "exit 2", "SIGKILL", "" */
	uint32_t pid, ppid, uid;
	bool has_exec;	 /* else a fork that runs what its parent ran */
	bool background; /* it was there before, and nothing happened to it */
	bool args_truncated;
	uint64_t cpu_user_ns, cpu_system_ns, rss, read_bytes, written_bytes;
	uint64_t alone_ns;	      /* see alone.h */
	uint64_t path_ns, path_start; /* see critical_path.h */
	size_t lane, depth;	      /* see lanes.h */
	uint64_t drawn_start, drawn_end;
	/* Owned by the recording; data NULL: not known. */
	struct bytes id, args, exe, filename, cwd, comm, unit;
};

/* An exec that failed. */
struct failure {
	STAILQ_ENTRY(failure) in_order;
	struct program *by; /* the program of its process, or of its parent; NULL: not in the recording */
	uint64_t time;
	int error; /* positive errno */
	uint32_t pid;
	bool search; /* another file of that name was tried next: execvp(3) searches PATH */
	bool args_truncated;
	struct bytes filename, args, cwd;
};

STAILQ_HEAD(program_list, program);
STAILQ_HEAD(failure_list, failure);

struct recording {
	struct program_list programs; /* parents first, as far as events come in order */
	struct failure_list failures;
	size_t count, failure_count, search_count;
	size_t truncated;    /* programs that have not all of their arguments */
	uint64_t lost;	     /* events */
	uint64_t begin, end; /* of all that is in it; 0: nothing is */
	struct process_table *processes;
};

int recording_new(struct recording **ret);
struct recording *recording_free(struct recording *recording);
DEFINE_CLEANUP(struct recording *, recording_free);

/* 0 or -ENOMEM. Events must come in order. */
int recording_add(struct recording *recording, const struct parsed *parsed);
/* After the last event. Programs that only ran in the background, and started nothing, are then left out. */
void recording_close(struct recording *recording);
/* Processes with a program that have not ended. */
size_t recording_running(const struct recording *recording);

/* The last component of the script or the executable; the comm where neither is known. */
struct bytes program_name(const struct program *program);
/* The command line for people. */
void program_command(struct text *text, const struct program *program);
void failure_command(struct text *text, const struct failure *failure);
bool program_failed(const struct program *program);

/* The file name after the last slash. */
struct bytes path_base(struct bytes path);
