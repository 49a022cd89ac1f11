/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that groups.c follows: a hash table by (the hash of) their id, of bounded size. */
#pragma once

#include <stdint.h>

struct group;
struct group_processes;

struct group_process {
	uint64_t id;		 /* 0: the place is free */
	struct group *runs_in;	 /* NULL: no start was seen */
	struct group *failed_in; /* of its last failed exec, if that can be a step of a search; NULL: none */
	uint64_t program;	 /* hash of the name that was searched for */
};

int group_processes_new(struct group_processes **ret);
struct group_processes *group_processes_free(struct group_processes *processes);

/* The process, a new one if there was none; valid until the next call. NULL: there are too many. */
struct group_process *group_processes_get(struct group_processes *processes, uint64_t id);
void group_processes_remove(struct group_processes *processes, struct group_process *process);
/* Groups that are gone become this one. */
void group_processes_replace(struct group_processes *processes, struct group *with);
/* No failed exec so far turns out to be a step of a search. */
void group_processes_forget_failures(struct group_processes *processes);
