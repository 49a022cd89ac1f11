/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/recording.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "ctl/text/event_text.h"
#include "util/hash.h"
#include "util/nulstr.h"

#define TABLE_FIRST 1024
#define FOLDED_MAX 100000 /* of one search: more is no number of folders in PATH */

struct process_entry {
	LIST_ENTRY(process_entry) in_running; /* while it has a program and has not ended */
	struct process_entry *next_of_hash;
	struct program *last; /* NULL: it has not called exec yet */
	struct program *starter;
	struct failure *failure; /* the last exec, if that failed */
	uint32_t pid;
	size_t ancestors; /* how many; 0: not known */
	bool ended;
	char id[];
};

/* A hash table by id; size is a power of two. */
struct process_table {
	struct process_entry **heads;
	size_t size, count, running;
	LIST_HEAD(, process_entry) running_list; /* the newest first */
};

int recording_new(struct recording **ret)
{
	_cleanup_(recording_free_p) struct recording *recording = calloc(1, sizeof(*recording));

	if (!recording)
		return -ENOMEM;
	STAILQ_INIT(&recording->programs);
	STAILQ_INIT(&recording->failures);
	recording->processes = calloc(1, sizeof(*recording->processes));
	if (!recording->processes)
		return -ENOMEM;
	recording->processes->heads = calloc(TABLE_FIRST, sizeof(struct process_entry *));
	if (!recording->processes->heads)
		return -ENOMEM;
	recording->processes->size = TABLE_FIRST;
	*ret = TAKE_PTR(recording);
	return 0;
}

static void table_free(struct process_table *table)
{
	for (size_t i = 0; table && i < table->size; i++) {
		struct process_entry *next, *entry = table->heads[i];

		for (; entry; entry = next) {
			next = entry->next_of_hash;
			free(entry);
		}
	}
	if (table)
		free(table->heads);
	free(table);
}

static void free_strings(struct program *program)
{
	const struct bytes strings[] = { program->id,  program->args, program->exe, program->filename,
					 program->cwd, program->comm, program->unit };

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		free((char *)strings[i].data);
	program->id = program->args = program->exe = program->filename = BYTES_NONE;
	program->cwd = program->comm = program->unit = BYTES_NONE;
}

static void free_program(struct program *program)
{
	free_strings(program);
	free(program);
}

static void free_failure(struct failure *failure)
{
	free((char *)failure->filename.data);
	free((char *)failure->args.data);
	free((char *)failure->cwd.data);
	free(failure);
}

struct recording *recording_free(struct recording *recording)
{
	struct program *program;
	struct failure *failure;

	if (!recording)
		return NULL;
	while ((program = STAILQ_FIRST(&recording->programs))) {
		STAILQ_REMOVE_HEAD(&recording->programs, in_order);
		free_program(program);
	}
	while ((failure = STAILQ_FIRST(&recording->failures))) {
		STAILQ_REMOVE_HEAD(&recording->failures, in_order);
		free_failure(failure);
	}
	table_free(recording->processes);
	free(recording);
	return NULL;
}

static struct process_entry *find(const struct process_table *table, struct bytes id)
{
	struct process_entry *entry = table->heads[bytes_hash(id) & (table->size - 1)];

	while (entry && !bytes_equal(id, bytes_of(entry->id)))
		entry = entry->next_of_hash;
	return entry;
}

static void insert(struct process_entry **heads, size_t size, struct process_entry *entry)
{
	struct process_entry **head = &heads[bytes_hash(bytes_of(entry->id)) & (size - 1)];

	entry->next_of_hash = *head;
	*head = entry;
}

static int grow(struct process_table *table)
{
	struct process_entry **heads = calloc(2 * table->size, sizeof(struct process_entry *));

	if (!heads)
		return -ENOMEM;
	for (size_t i = 0; i < table->size; i++) {
		struct process_entry *next, *entry = table->heads[i];

		for (; entry; entry = next) {
			next = entry->next_of_hash;
			insert(heads, 2 * table->size, entry);
		}
	}
	free(table->heads);
	table->heads = heads;
	table->size *= 2;
	return 0;
}

/* The program of a parent that was there at this time. */
static struct program *program_at(struct program *program, uint64_t time)
{
	while (program && program->previous && program->start > time)
		program = program->previous;
	return program;
}

/* The program of that process from which another process came. */
static struct program *starter_in(const struct process_entry *entry, const struct parsed *parsed)
{
	struct program *program = entry->last;

	while (program && program->exec_time != parsed->process.starter_exec_time)
		program = program->previous;
	return program ? program : program_at(entry->last, parsed->process.start_time);
}

static size_t count_ancestors(const struct process *process)
{
	struct bytes name;
	size_t count = 0;

	if (process->image.incomplete & INCOMPLETE_BIT(INCOMPLETE_ANCESTORS))
		return 0;
	for (size_t at = 0; nulstr_next(process->ancestors, &at, &name);)
		count++;
	return count;
}

/*
 * A process that has not called exec, such as a subshell, is reported with `forks` only. If the parent is one, and
 * there is no starter_id, that which forked it is the nearest of the ancestors that is known: by its name and its
 * distance from pid 1. Of several that could be it, the one that started last is taken.
 */
static struct program *guess_starter(const struct process_table *table, const struct process *process)
{
	size_t count = count_ancestors(process), level = 0;
	struct process_entry *entry;
	struct bytes name;

	for (size_t at = 0; nulstr_next(process->ancestors, &at, &name) && level < count; level++) {
		LIST_FOREACH (entry, &table->running_list, in_running) {
			if (level > 0 && entry->ancestors == count - level - 1 &&
			    bytes_equal(entry->last->comm, name) && entry->last->first->start <= process->start_time)
				return program_at(entry->last, process->start_time);
		}
	}
	return NULL;
}

static struct process_entry *get(struct process_table *table, const struct parsed *parsed)
{
	const struct process *process = &parsed->process;
	struct process_entry *entry = find(table, parsed->id), *parent;

	if (entry)
		return entry;
	if (table->count >= table->size && grow(table) < 0)
		return NULL;
	entry = calloc(1, sizeof(*entry) + parsed->id.size + 1);
	if (!entry)
		return NULL;
	memcpy(entry->id, parsed->id.data, parsed->id.size);
	entry->pid = process->tgid;
	parent = parsed->parent_id.data ? find(table, parsed->parent_id) : NULL;
	if (!parent && parsed->starter_id.data)
		parent = find(table, parsed->starter_id);
	if (parent)
		entry->starter = parent->last ? starter_in(parent, parsed) : parent->starter;
	else if (parsed->starter_id.data)
		; /* it is known, and not in the recording */
	else if (parsed->parent_id.data && process->ppid > 1)
		entry->starter = guess_starter(table, process);
	entry->ancestors = count_ancestors(process);
	insert(table->heads, table->size, entry);
	table->count++;
	return entry;
}

static int copy(struct bytes *to, struct bytes from)
{
	char *data;

	if (!from.data)
		return 0;
	data = malloc(from.size + 1);
	if (!data)
		return -ENOMEM;
	memcpy(data, from.data, from.size);
	data[from.size] = '\0';
	*to = (struct bytes){ data, from.size };
	return 0;
}

static int copy_strings(struct program *program, const struct parsed *parsed)
{
	const struct image *image = &parsed->process.image;

	free_strings(program);
	program->args_truncated = image->args_truncated;
	if (copy(&program->id, parsed->id) < 0 || copy(&program->args, image->args) < 0 ||
	    copy(&program->exe, image->exe) < 0 || copy(&program->filename, image->filename) < 0 ||
	    copy(&program->cwd, image->cwd) < 0 || copy(&program->comm, parsed->process.comm) < 0 ||
	    copy(&program->unit, image->unit) < 0)
		return -ENOMEM;
	return 0;
}

/* execvp(3) tries the next directory after these. */
static bool is_of_search(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES;
}

static void close_search(struct recording *recording, struct process_entry *entry, struct bytes filename)
{
	struct failure *failure = entry->failure;

	entry->failure = NULL;
	if (!failure || !filename.data || !is_of_search(failure->error) ||
	    !bytes_equal(path_base(failure->filename), path_base(filename)))
		return;
	failure->search = true;
	recording->search_count++;
}

/* Links a new program of the process to the one that it replaces, or to the one that started the process. */
static void link_program(struct recording *recording, struct process_entry *entry, struct program *program)
{
	struct program *before = entry->last;

	STAILQ_INIT(&program->children);
	program->number = recording->count++;
	program->previous = before;
	program->first = before ? before->first : program;
	program->parent = before ? before->parent : entry->starter;
	if (before) {
		before->next = program;
		before->outcome = OUTCOME_REPLACED;
		before->end = program->start;
		before->background = false;
	} else if (program->parent) {
		STAILQ_INSERT_TAIL(&program->parent->children, program, sibling);
	}
	if (!before && !entry->ended) {
		LIST_INSERT_HEAD(&recording->processes->running_list, entry, in_running);
		recording->processes->running++;
	}
	entry->last = program;
	STAILQ_INSERT_TAIL(&recording->programs, program, in_order);
}

static void widen(struct recording *recording, uint64_t time)
{
	if (time == 0)
		return;
	if (recording->begin == 0 || time < recording->begin)
		recording->begin = time;
	if (time > recording->end)
		recording->end = time;
}

/* From the fork on, where what forked is known: else it may lie far back. */
static uint64_t start_of(const struct process_entry *entry, const struct event *event, const struct program *program)
{
	uint64_t start = program->exec_time > 0 && (entry->last || !entry->starter) ? program->exec_time
										    : event->process->start_time;
	const struct program *before = entry->last ? entry->last : entry->starter;

	return before && start < before->start ? before->start : start;
}

static int add_program(struct recording *recording, struct process_entry *entry, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	const struct process *process = &parsed->process;
	struct program *program = calloc(1, sizeof(*program));

	if (!program)
		return -ENOMEM;
	if (copy_strings(program, parsed) < 0) {
		free_program(program);
		return -ENOMEM;
	}
	program->pid = process->tgid;
	program->ppid = process->ppid;
	program->uid = process->uid;
	program->has_exec = event->type == EVENT_STARTED || process->image.filename.data;
	program->background = event->snapshot || event->source == SOURCE_PROC;
	program->exec_time = event->type == EVENT_STARTED && !program->background ? event->time : 0;
	program->start = start_of(entry, event, program);
	link_program(recording, entry, program);
	recording->truncated += program->args_truncated;
	if (program->exec_time > 0)
		widen(recording, program->start);
	return 0;
}

/* The first exec of a process that was reported as `forked`. */
static int set_program(struct recording *recording, struct program *program, const struct parsed *parsed)
{
	recording->truncated += parsed->process.image.args_truncated;
	program->has_exec = true;
	program->exec_time = parsed->event.time;
	return copy_strings(program, parsed);
}

/* A `started` or `forked`; or an end without one. */
static int add_start(struct recording *recording, struct process_entry *entry, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	close_search(recording, entry, parsed->process.image.filename);
	if (entry->last && (event->snapshot || event->source == SOURCE_PROC || event->type == EVENT_FORKED))
		return 0;
	if (entry->last && !entry->last->has_exec)
		return set_program(recording, entry->last, parsed);
	return add_program(recording, entry, parsed);
}

static void add_end(struct program *program, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	int status = (int)event->end.status;

	if (!event->end.status_known)
		program->outcome = OUTCOME_UNKNOWN;
	else if (WIFSIGNALED(status))
		program->outcome = OUTCOME_SIGNAL;
	else
		program->outcome = WEXITSTATUS(status) == 0 ? OUTCOME_SUCCESS : OUTCOME_EXIT_CODE;
	parsed_status(parsed, program->status, sizeof(program->status));
	program->end = parsed->event.time > program->start ? parsed->event.time : program->start;
	program->cpu_user_ns = event->end.cpu_user_ns;
	program->cpu_system_ns = event->end.cpu_system_ns;
	program->rss = event->end.max_rss_bytes;
	program->read_bytes = event->end.read_bytes;
	program->written_bytes = event->end.write_bytes;
	program->background = false;
}

static int add_failure(struct recording *recording, struct process_entry *entry, const struct parsed *parsed)
{
	const struct image *image = &parsed->process.image;
	struct bytes path = image->filename.data ? image->filename : image->exe;
	struct failure *failure = calloc(1, sizeof(*failure));

	if (!failure)
		return -ENOMEM;
	if (copy(&failure->filename, path) < 0 || copy(&failure->args, image->args) < 0 ||
	    copy(&failure->cwd, image->cwd) < 0) {
		free_failure(failure);
		return -ENOMEM;
	}
	close_search(recording, entry, path);
	failure->by = entry->last ? entry->last : entry->starter;
	failure->time = parsed->event.time;
	failure->error = parsed->event.error;
	failure->pid = parsed->process.tgid;
	failure->args_truncated = image->args_truncated;
	entry->failure = failure;
	STAILQ_INSERT_TAIL(&recording->failures, failure, in_order);
	recording->failure_count++;
	return 0;
}

/* What a source that folds searches has left out. */
static void add_folded(struct recording *recording, const struct parsed *parsed)
{
	uint64_t tries = parsed->event.path_tries;

	if (!parsed_has(parsed, KEY_PATH_TRIES) || parsed->event.type == EVENT_EXITED || tries == 0 ||
	    tries > FOLDED_MAX)
		return;
	recording->failure_count += tries - 1;
	recording->search_count += tries - 1;
}

int recording_add(struct recording *recording, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	struct process_entry *entry;
	int r;

	if (event->type == EVENT_LOST)
		recording->lost += event->lost.count;
	if (event->type >= EVENT_LOST || !parsed->id.data)
		return 0;
	if (!event->snapshot && event->source != SOURCE_PROC)
		widen(recording, event->time);
	entry = get(recording->processes, parsed);
	if (!entry)
		return -ENOMEM;
	add_folded(recording, parsed);
	if (event->type == EVENT_ERROR)
		return add_failure(recording, entry, parsed);
	if (event->type != EVENT_EXITED || !entry->last) {
		r = add_start(recording, entry, parsed);
		if (r < 0)
			return r;
	}
	if (event->type == EVENT_EXITED) {
		add_end(entry->last, parsed);
		if (!entry->ended) {
			recording->processes->running--;
			LIST_REMOVE(entry, in_running);
		}
		entry->ended = true;
	}
	return 0;
}

/* Those to which something happened, and what is above them. */
static void mark_kept(const struct recording *recording)
{
	struct program *program;
	const struct failure *failure;

	STAILQ_FOREACH(program, &recording->programs, in_order)
	if (!program->background)
		for (struct program *up = program->parent; up && up->background; up = up->parent)
			up->background = false;
	STAILQ_FOREACH(failure, &recording->failures, in_order)
	for (struct program *up = failure->by; up && up->background; up = up->parent)
		up->background = false;
}

static void leave_out_background(struct recording *recording)
{
	struct program_list all = STAILQ_HEAD_INITIALIZER(all);
	struct program *program;

	mark_kept(recording);
	STAILQ_CONCAT(&all, &recording->programs);
	STAILQ_FOREACH(program, &all, in_order)
	STAILQ_INIT(&program->children);
	recording->count = 0;
	while ((program = STAILQ_FIRST(&all))) {
		STAILQ_REMOVE_HEAD(&all, in_order);
		if (program->background) {
			free_program(program);
			continue;
		}
		program->number = recording->count++;
		STAILQ_INSERT_TAIL(&recording->programs, program, in_order);
		if (program->parent && !program->previous)
			STAILQ_INSERT_TAIL(&program->parent->children, program, sibling);
	}
}

void recording_close(struct recording *recording)
{
	struct program *program;

	leave_out_background(recording);
	STAILQ_FOREACH(program, &recording->programs, in_order)
	{
		if (program->start < recording->begin)
			program->start = recording->begin;
		if (program->outcome == OUTCOME_RUNNING || program->end > recording->end)
			program->end = recording->end;
		if (program->end < program->start)
			program->end = program->start;
	}
}

size_t recording_running(const struct recording *recording)
{
	return recording->processes->running;
}

struct bytes path_base(struct bytes path)
{
	const char *slash = path.size > 0 ? memrchr(path.data, '/', path.size) : NULL;

	return slash ? (struct bytes){ slash + 1, path.size - (size_t)(slash + 1 - path.data) } : path;
}

struct bytes program_name(const struct program *program)
{
	struct bytes name = path_base(program->filename.size > 0 ? program->filename : program->exe);

	return name.size > 0 ? name : program->comm;
}

void program_command(struct text *text, const struct program *program)
{
	const struct process process = {
		.comm = program->comm,
		.image = { .args = program->args, .exe = program->exe, .args_truncated = program->args_truncated },
	};

	text_command(text, &process);
}

void failure_command(struct text *text, const struct failure *failure)
{
	const struct process process = {
		.image = { .args = failure->args, .args_truncated = failure->args_truncated },
	};

	text_command(text, &process);
}

bool program_failed(const struct program *program)
{
	return program->outcome == OUTCOME_EXIT_CODE || program->outcome == OUTCOME_SIGNAL;
}
