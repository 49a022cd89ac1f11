/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash table of groups by the text of their keys, and one of the processes that run, by their id: an exec moves a
 * process from one group to another, and its failed execs are distinguished from a search along $PATH.
 */
#include "ctl/collect/groups.h"

#include <errno.h>
#include <stdlib.h>

#include "ctl/collect/group_process.h"
#include "ctl/text/event_text.h"
#include "ctl/text/mask.h"
#include "util/hash.h"

#define NAMES_SIZE 1024 /* of all keys of one group */
#define COMMAND_SIZE 256
#define BUCKETS 4096 /* a power of two */
#define NS_PER_S UINT64_C(1000000000)

struct groups {
	struct groups_options options;
	struct group *buckets[BUCKETS];
	struct group **all; /* options.max; sorted as groups_sort() left them */
	size_t count;
	struct group other; /* part of `all` in groups_sort() only */
	struct sums total;
	uint64_t running;
	struct group_processes *processes;
};

static const char *const key_names[] = { "exe",	 "unit",   "user", "spawner", "container", "args",
					 "comm", "status", "host", "program", "command" };

const char *group_key_name(enum group_key key)
{
	return key_names[key];
}

bool group_key_by_name(struct bytes name, enum group_key *ret)
{
	for (enum group_key key = 0; key < GROUP_KEYS; key++) {
		if (bytes_equal(name, bytes_of(key_names[key]))) {
			*ret = key;
			return true;
		}
	}
	return false;
}

int groups_new(struct groups **ret, const struct groups_options *options)
{
	_cleanup_(groups_free_p) struct groups *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->options = *options;
	if (g->options.max == 0)
		g->options.max = GROUPS_MAX;
	g->all = calloc(g->options.max + 1, sizeof(struct group *));
	if (!g->all)
		return -ENOMEM;
	r = group_processes_new(&g->processes);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(g);
	return 0;
}

static void clear_commands(struct group *group)
{
	free(group->longest);
	free(group->largest);
	group->longest = group->largest = NULL;
}

static void group_free(struct group *group)
{
	clear_commands(group);
	free((char *)group->names[0]);
	free(group);
}

struct groups *groups_free(struct groups *g)
{
	if (!g)
		return NULL;
	for (size_t i = 0; i < g->count; i++)
		group_free(g->all[i]);
	clear_commands(&g->other);
	group_processes_free(g->processes);
	free(g->all);
	free(g);
	return NULL;
}

const struct sums *groups_total(const struct groups *g)
{
	return &g->total;
}

uint64_t groups_running(const struct groups *g)
{
	return g->running;
}

const struct groups_options *groups_options(const struct groups *g)
{
	return &g->options;
}

static void write_key(const struct groups *g, struct text *text, enum group_key key, const struct parsed *parsed)
{
	const struct process *process = &parsed->process;
	const struct image *image = &process->image;
	char status[64];

	switch (key) {
	case GROUP_EXE:
		if (image->exe.size > 0)
			text_name(text, image->exe);
		else if (process->comm.size > 0)
			text_command(text, process);
		break;
	case GROUP_UNIT:
		text_name(text, image->unit);
		break;
	case GROUP_USER:
		if (parsed_has(parsed, KEY_UID))
			text_user(text, process->uid, g->options.numeric);
		break;
	case GROUP_SPAWNER:
		text_name(text, process->parent_comm);
		if (parsed_has(parsed, KEY_PPID))
			text_printf(text, "(%u)", process->ppid);
		break;
	case GROUP_CONTAINER:
		text_name(text, image->container_id);
		break;
	case GROUP_ARGS:
		text_command(text, process);
		break;
	case GROUP_COMM:
		text_name(text, process->comm);
		break;
	case GROUP_STATUS:
		parsed_status(parsed, status, sizeof(status));
		text_string(text, status);
		break;
	default:
		text_name(text, parsed->host);
	}
}

static void write_masked(const struct groups *g, struct text *text, enum group_key key, const struct parsed *parsed)
{
	char plain[NAMES_SIZE], masked[NAMES_SIZE];
	struct text from;

	/* A masked text is not longer. */
	text_begin(&from, plain, text->size - 4);
	write_key(g, &from, key == GROUP_PROGRAM ? GROUP_EXE : GROUP_ARGS, parsed);
	mask_text(masked, sizeof(masked), plain);
	text_string(text, masked);
}

/* The texts of all keys, each with its NUL. Returns their size. */
static size_t write_names(const struct groups *g, char *names, const struct parsed *parsed)
{
	size_t used = 0, each = NAMES_SIZE / g->options.key_count;
	struct text text;

	for (size_t i = 0; i < g->options.key_count; i++) {
		text_begin(&text, names + used, each);
		if (g->options.keys[i] >= GROUP_PROGRAM)
			write_masked(g, &text, g->options.keys[i], parsed);
		else
			write_key(g, &text, g->options.keys[i], parsed);
		if (text.used == 0)
			text_string(&text, "-");
		used += text.used + 1;
	}
	return used;
}

static uint64_t failures(const struct sums *sums)
{
	return sums->failed + sums->errors;
}

/* Moves the command line with the largest value. */
static void keep_larger(uint64_t *value, char **command, uint64_t other, char **other_command)
{
	if (other <= *value)
		return;
	*value = other;
	free(*command);
	*command = TAKE_PTR(*other_command);
}

static void sums_add(struct group *to, struct group *from)
{
	struct sums *sum = &to->sums;
	const struct sums *other = &from->sums;

	sum->started += other->started;
	sum->ended += other->ended;
	sum->failed += other->failed;
	sum->errors += other->errors;
	sum->searched += other->searched;
	sum->below_100ms += other->below_100ms;
	sum->below_1s += other->below_1s;
	sum->cpu_ns += other->cpu_ns;
	sum->below_1s_cpu_ns += other->below_1s_cpu_ns;
	sum->running_ns += other->running_ns;
	sum->read_bytes += other->read_bytes;
	sum->write_bytes += other->write_bytes;
	keep_larger(&sum->longest_ns, &to->longest, other->longest_ns, &from->longest);
	keep_larger(&sum->rss, &to->largest, other->rss, &from->largest);
	to->running += from->running;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0;
}

/* How much it counts in any list. */
static void weigh(struct groups *g, struct group *group)
{
	const struct sums *sums = &group->sums;

	group->weight = share(sums->started, g->total.started) + share(sums->cpu_ns, g->total.cpu_ns) +
			share(failures(sums), failures(&g->total)) + share(sums->longest_ns, g->total.longest_ns) +
			share(sums->rss, g->total.rss) + share(group->running, g->running);
}

static int compare_weight(const void *a, const void *b)
{
	const struct group *x = *(const struct group *const *)a, *y = *(const struct group *const *)b;
	int r;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	r = memcmp(x->names[0], y->names[0], x->names_size < y->names_size ? x->names_size : y->names_size);
	return r != 0 ? r : (x->names_size > y->names_size) - (x->names_size < y->names_size);
}

static void unlink_hash(struct groups *g, struct group *group)
{
	struct group **at = &g->buckets[group->hash & (BUCKETS - 1)];

	while (*at != group)
		at = &(*at)->next_of_hash;
	*at = group->next_of_hash;
}

/* Takes those of `all` from `first` on away. */
static void merge_from(struct groups *g, size_t first)
{
	for (size_t i = first; i < g->count; i++) {
		g->all[i]->gone = true;
		sums_add(&g->other, g->all[i]);
		unlink_hash(g, g->all[i]);
	}
	group_processes_replace(g->processes, &g->other);
	for (size_t i = first; i < g->count; i++)
		group_free(g->all[i]);
	g->count = first;
}

static void merge_least(struct groups *g)
{
	for (size_t i = 0; i < g->count; i++)
		weigh(g, g->all[i]);
	qsort(g->all, g->count, sizeof(*g->all), compare_weight);
	merge_from(g, g->count / 2);
}

static struct group *find(const struct groups *g, uint64_t hash, const char *names, size_t size)
{
	struct group *group = g->buckets[hash & (BUCKETS - 1)];

	while (group && (group->hash != hash || group->names_size != size || memcmp(group->names[0], names, size) != 0))
		group = group->next_of_hash;
	return group;
}

static struct group *insert(struct groups *g, uint64_t hash, const char *names, size_t size)
{
	struct group *group = calloc(1, sizeof(*group)), **head = &g->buckets[hash & (BUCKETS - 1)];
	char *copy = malloc(size);

	if (!group || !copy) {
		free(group);
		free(copy);
		return NULL;
	}
	memcpy(copy, names, size);
	group->hash = hash;
	group->names_size = size;
	for (size_t i = 0; i < g->options.key_count; i++) {
		group->names[i] = copy;
		copy += strlen(copy) + 1;
	}
	group->next_of_hash = *head;
	*head = group;
	g->all[g->count++] = group;
	return group;
}

static struct group *get(struct groups *g, const struct parsed *parsed)
{
	char names[NAMES_SIZE];
	size_t size = write_names(g, names, parsed);
	uint64_t hash = bytes_hash((struct bytes){ names, size });
	struct group *group = find(g, hash, names, size);

	if (group)
		return group;
	if (g->count == g->options.max)
		merge_least(g);
	return insert(g, hash, names, size);
}

/* A failed exec that turns out to be a step of a search. */
static void forgive(struct groups *g, struct group_process *process)
{
	if (!process->failed_in)
		return;
	process->failed_in->sums.errors--;
	process->failed_in->sums.searched++;
	g->total.errors--;
	g->total.searched++;
}

static uint64_t program_hash(struct bytes path)
{
	const char *slash = path.size ? memrchr(path.data, '/', path.size) : NULL;

	if (slash)
		path = (struct bytes){ slash + 1, path.size - (size_t)(slash + 1 - path.data) };
	return bytes_hash(path);
}

/* What execvp(3) takes as a reason to try the next directory; glibc's __execvpe_common(). */
static bool is_step(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES;
}

static void add_error(struct groups *g, struct group *group, struct group_process *process, const struct parsed *parsed)
{
	uint64_t program = program_hash(parsed->process.image.exe);

	group->sums.errors++;
	g->total.errors++;
	if (!process)
		return;
	if (process->program == program)
		forgive(g, process);
	process->failed_in = is_step(parsed->event.error) ? group : NULL;
	process->program = process->failed_in ? program : 0;
}

static void move(struct groups *g, struct group_process *process, struct group *to)
{
	if (process->runs_in)
		process->runs_in->running--;
	else
		g->running++;
	process->runs_in = to;
	to->running++;
}

static void add_start(struct groups *g, struct group *group, struct group_process *process, const struct parsed *parsed)
{
	const struct image *image = &parsed->process.image;

	if (process) {
		if (process->program == program_hash(image->filename.data ? image->filename : image->exe))
			forgive(g, process);
		process->failed_in = NULL;
		process->program = 0;
		move(g, process, group);
	}
	/* Those that were there already have started before. */
	if (parsed->event.snapshot || parsed->event.source == SOURCE_PROC)
		return;
	group->sums.started++;
	g->total.started++;
}

static int keep_command(const struct groups *g, char **to, uint64_t *value, uint64_t other, const struct parsed *parsed)
{
	char command[COMMAND_SIZE], *copy;
	struct text text;

	if (other <= *value)
		return 0;
	*value = other;
	if (!g->options.commands)
		return 0;
	text_begin(&text, command, sizeof(command));
	text_command(&text, &parsed->process);
	copy = strdup(command);
	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static void sums_end(struct sums *sums, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	uint64_t cpu = event->end.cpu_known ? event->end.cpu_user_ns + event->end.cpu_system_ns : 0;

	sums->ended++;
	sums->failed += parsed_failed(parsed);
	sums->below_100ms += event->end.running_ns < NS_PER_S / 10;
	sums->cpu_ns += cpu;
	if (event->end.running_ns < NS_PER_S) {
		sums->below_1s++;
		sums->below_1s_cpu_ns += cpu;
	}
	sums->running_ns += event->end.running_ns;
	sums->read_bytes += event->end.io_known ? event->end.read_bytes : 0;
	sums->write_bytes += event->end.io_known ? event->end.write_bytes : 0;
}

static int add_end(struct groups *g, struct group *group, struct group_process *process, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	int r;

	if (process && process->runs_in) {
		process->runs_in->running--;
		g->running--;
	}
	if (process)
		group_processes_remove(g->processes, process);
	sums_end(&group->sums, parsed);
	sums_end(&g->total, parsed);
	if (event->end.running_ns > g->total.longest_ns)
		g->total.longest_ns = event->end.running_ns;
	if (event->end.max_rss_bytes > g->total.rss)
		g->total.rss = event->end.max_rss_bytes;
	r = keep_command(g, &group->longest, &group->sums.longest_ns, event->end.running_ns, parsed);
	return r < 0 ? r : keep_command(g, &group->largest, &group->sums.rss, event->end.max_rss_bytes, parsed);
}

int groups_add(struct groups *g, const struct parsed *parsed)
{
	enum event_type type = parsed->event.type;
	struct group_process *process = NULL;
	struct group *group;

	if (type != EVENT_STARTED && type != EVENT_EXITED && type != EVENT_ERROR)
		return 0;
	group = get(g, parsed);
	if (!group)
		return -ENOMEM;
	if (parsed->id.size > 0)
		process = group_processes_get(g->processes, bytes_hash(parsed->id));
	if (parsed->event.path_tries > 1) {
		group->sums.searched += parsed->event.path_tries - 1;
		g->total.searched += parsed->event.path_tries - 1;
	}
	if (type == EVENT_STARTED)
		add_start(g, group, process, parsed);
	else if (type == EVENT_ERROR)
		add_error(g, group, process, parsed);
	else
		return add_end(g, group, process, parsed);
	return 0;
}

void groups_reset(struct groups *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct group *group = g->all[i];

		if (group->running > 0) {
			group->sums = (struct sums){ 0 };
			clear_commands(group);
			g->all[i] = g->all[kept];
			g->all[kept++] = group;
		}
	}
	merge_from(g, kept);
	group_processes_forget_failures(g->processes);
	g->other.sums = g->total = (struct sums){ 0 };
	clear_commands(&g->other);
}

static bool is_empty(const struct group *group)
{
	return group->running == 0 && group->sums.started == 0 && group->sums.ended == 0 && group->sums.errors == 0 &&
	       group->sums.searched == 0;
}

static int compare(const void *a, const void *b, void *order)
{
	return group_compare(*(const struct group *const *)a, *(const struct group *const *)b,
			     *(const enum group_order *)order);
}

struct group *const *groups_sort(struct groups *g, enum group_order order, size_t *ret_count)
{
	qsort_r(g->all, g->count, sizeof(*g->all), compare, &order);
	g->all[g->count] = &g->other;
	*ret_count = g->count + !is_empty(&g->other);
	return g->all;
}

static int copy_group(struct groups *to, const struct group *from)
{
	const char *last = from->names[to->options.key_count - 1];
	size_t size = (size_t)(last - from->names[0]) + strlen(last) + 1;
	struct group *group = insert(to, from->hash, from->names[0], size);

	if (!group)
		return -ENOMEM;
	group->sums = from->sums;
	group->running = from->running;
	return 0;
}

int groups_copy(const struct groups *g, struct groups **ret)
{
	_cleanup_(groups_free_p) struct groups *copy = NULL;
	int r = groups_new(&copy, &g->options);

	for (size_t i = 0; i < g->count && r >= 0; i++)
		r = copy_group(copy, g->all[i]);
	if (r < 0)
		return r;
	copy->other.sums = g->other.sums;
	copy->other.running = g->other.running;
	copy->total = g->total;
	copy->running = g->running;
	*ret = TAKE_PTR(copy);
	return 0;
}
