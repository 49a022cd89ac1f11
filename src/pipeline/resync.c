/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's list is read while processes come and go, and records of them wait in the ring
 * buffer. Why the result is right all the same:
 *
 * At the start the probes of exit, exec and fork are attached in this order, then the list is read,
 * /proc is asked for each process in it, and the ring is drained up to where it is written by then,
 * all without events:
 *
 *  - A process that forked before the fork probe was attached is in the list, unless it had no
 *    living thread by then; one that forked later has a record, which adds nothing if it is in the
 *    list too.
 *  - One in the list ends later, so after the exit probe was attached: the record exists, and is
 *    read after the list was.
 *  - One that had no living thread (RUNNING_F_ENDING) may have its record yet to come. It has begun
 *    before the list was read (pipeline_set_listed()), is not added to the table, and its end is no
 *    event and no loss.
 *  - self_exec_id shows which exec the list saw. What came before it is known. A later one has a
 *    record. One under way is either half way, and then the list has the exec before
 *    (tasklist.bpf.h), or marked (RUNNING_F_EXECING): its record, with this exec_id, is an event if
 *    it comes later.
 *
 * Later, after a loss:
 *
 *  1. LISTING: the table's clock is saved, then the list is read, in parts, and the ring continues
 *     to be drained.
 *  2. DRAINING: once the list is complete, the ring is drained up to where it is written by then.
 *     The table then knows everything that was recorded while the list was read.
 *  3. COMPARING: a process of the list that is not in the table was missed, unless its end has
 *     passed in the meantime: ends are collected from 1 on. One that is in the table with an older
 *     exec_id has an exec that was missed, unless one is still under way: then the table is
 *     compared again; and so if a process of the table was ending.
 *  4. VERIFYING: a process that was in the table at 1 and is not in the list may be gone. (Or the
 *     kernel hides it, as sandboxes do with their init.) So /proc is asked, where a zombie has
 *     recorded its end.
 *  5. REMOVING: once all have been asked for, the ring is drained up to where it is written by
 *     then. A process whose end is recorded is out of the table by then; one that is not is gone,
 *     and the record is lost.
 *
 * To drain up to a position, and not until nothing more comes: a record that is reserved and not
 * committed holds up what follows it. As long as it does, the comparison waits. Doing it again
 * changes nothing.
 */
#include "pipeline/resync.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "kernel/lookup.h"
#include "pipeline/decode.h"
#include "util/array.h"
#include "util/clock.h"

/* In one step: */
#define READ_MAX 1024	 /* processes read from the kernel's list, 1 to 2 us each */
#define COMPARE_MAX 8192 /* compared with the table */
#define LOOKUP_WAIT_MS 1 /* waited for what is looked up in /proc, 30 to 100 us each */

#define PENDING_MAX 8 /* comparisons one after another in which an exec under way is left for the next one */

enum state { IDLE, LISTING, DRAINING, COMPARING, VERIFYING, REMOVING };

struct identity {
	uint64_t start;
	uint32_t tgid;
};

struct resync {
	struct sink sink;
	const struct ringbuf *ring;
	int (*list_tasks)(struct probe *probe, struct task_list **ret);
	struct probe *probe;
	struct pipeline *pipeline;
	struct lookup *lookup;
	int proc;

	enum state state;
	uint64_t clock;	   /* of the table, when LISTING began */
	uint64_t drain_to; /* position in the ring up to which it is drained before the next step */
	size_t next;	   /* how far COMPARING, VERIFYING or REMOVING is */
	struct task_list *tasks;
	struct record_running *listed; /* sorted by birth once it is complete */
	size_t listed_count, listed_capacity;
	struct identity *ended; /* since LISTING began; from VERIFYING on: which may be gone */
	size_t ended_count, ended_capacity;
	size_t ended_sorted; /* the first of `ended`, from before COMPARING */
	size_t gone_count;   /* the first of `ended`, which /proc does not know */
	struct lookup_query queries[LOOKUP_MAX];
	size_t query_count;
	const struct lookup_answer *answers; /* that wait to be announced */
	size_t answer_count;
	const struct record_running *retries[LOOKUP_MAX]; /* whose arguments could not be read */
	size_t retry_count;
	bool has_pending;	/* an exec or an end that is under way */
	unsigned pending_count; /* comparisons that had one, until now */
	int error;		/* an end could not be added */
};

static int by_identity(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->tgid < y->tgid ? -1 : x->tgid > y->tgid;
}

static int by_birth(const void *a, const void *b)
{
	const struct record_process *x = &((const struct record_running *)a)->process;
	const struct record_process *y = &((const struct record_running *)b)->process;

	return by_identity(&(struct identity){ x->start, x->tgid }, &(struct identity){ y->start, y->tgid });
}

static int add_ended(struct resync *c, const struct process *process)
{
	int r = ARRAY_RESERVE(c->ended, c->ended_capacity, c->ended_count + 1);

	if (r < 0)
		return r;
	c->ended[c->ended_count++] = (struct identity){ process->start, process->tgid };
	return 0;
}

static int add_listed(struct resync *c, const struct record_running *processes, size_t count)
{
	int r = ARRAY_RESERVE(c->listed, c->listed_capacity, c->listed_count + count);

	if (r < 0)
		return r;
	memcpy(c->listed + c->listed_count, processes, count * sizeof(*processes));
	c->listed_count += count;
	return 0;
}

static const struct record_running *find_listed(const struct resync *c, uint32_t tgid, uint64_t start)
{
	const struct record_running key = { .process = { .tgid = tgid, .start = start } };

	return c->listed_count == 0 ? NULL : bsearch(&key, c->listed, c->listed_count, sizeof(c->listed[0]), by_birth);
}

static bool has_ended(const struct resync *c, uint32_t tgid, uint64_t start)
{
	const struct identity key = { start, tgid };

	for (size_t i = c->ended_sorted; i < c->ended_count; i++)
		if (by_identity(&key, &c->ended[i]) == 0)
			return true;
	return c->ended_sorted > 0 && bsearch(&key, c->ended, c->ended_sorted, sizeof(c->ended[0]), by_identity);
}

/* Back to IDLE, without memory that grows with the list. */
static void finish(struct resync *c)
{
	c->tasks = task_list_free(c->tasks);
	free(c->listed);
	free(c->ended);
	c->listed = NULL;
	c->ended = NULL;
	c->listed_count = c->listed_capacity = c->ended_count = c->ended_capacity = c->ended_sorted = 0;
	c->next = c->gone_count = c->query_count = c->answer_count = c->retry_count = 0;
	if (c->lookup)
		lookup_rest(c->lookup);
	c->state = IDLE;
}

/* The sink: only ends matter, as long as they may be of a process in the list. */

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
}

static void on_exit_of(struct sink *sink, const struct process *process)
{
	struct resync *c = (struct resync *)sink;

	if ((c->state == LISTING || c->state == DRAINING || c->state == COMPARING) && add_ended(c, process) < 0)
		c->error = -ENOMEM;
}

static const struct sink_ops ops = { .event = on_event, .exit = on_exit_of };

int resync_new(struct resync **ret, const struct resync_config *config)
{
	_cleanup_(resync_free_p) struct resync *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->sink.ops = &ops;
	c->ring = config->ring;
	c->list_tasks = config->list_tasks;
	c->probe = config->probe;
	c->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->proc < 0)
		return -errno;
	r = lookup_new(&c->lookup, c->proc, config->settings->probes.args_limit, config->settings->probes.env != NULL);
	if (r < 0)
		return r;
	pipeline_add_sink(config->pipeline, &c->sink);
	c->pipeline = config->pipeline;
	*ret = TAKE_PTR(c);
	return 0;
}

struct resync *resync_free(struct resync *c)
{
	if (!c)
		return NULL;
	if (c->pipeline)
		pipeline_remove_sink(c->pipeline, &c->sink);
	finish(c);
	lookup_free(c->lookup);
	if (c->proc >= 0)
		close(c->proc);
	free(c);
	return NULL;
}

/* Queries. */

static struct lookup_query *add_query(struct resync *c, enum lookup_kind kind)
{
	struct lookup_query *query = &c->queries[c->query_count++];

	*query = (struct lookup_query){ .kind = kind };
	return query;
}

/*
 * A kernel may leave a process out of its list, and yet its children name it. Then they have its
 * identity, and /proc has the rest.
 */
static void ask_for_hidden_parent(struct resync *c, const struct record_process *child)
{
	if (child->ppid == 0 || find_listed(c, child->ppid, child->parent_start) ||
	    proctable_find(pipeline_table(c->pipeline), child->ppid, 0))
		return;
	for (size_t i = 0; i < c->query_count; i++)
		if (c->queries[i].process.tgid == child->ppid)
			return;
	add_query(c, LOOKUP_HIDDEN)->process = (struct process){
		.tgid = child->ppid,
		.start = child->parent_start,
		.source = SOURCE_PROC,
		.loginuid = PROCESS_UNSET,
		.session_id = PROCESS_UNSET,
		.comm = { child->parent_comm, strnlen(child->parent_comm, RECORD_COMM_SIZE) },
	};
}

/* For what it runs, by /proc and by what the list has of the program's file. insist: lookup.h. */
static void ask_for_listed(struct resync *c, const struct record_running *record, enum source source, bool insist)
{
	struct lookup_query *query = add_query(c, LOOKUP_LISTED);

	query->listed = *record;
	decode_process(&query->process, &record->process);
	query->process.execing = record->flags & RUNNING_F_EXECING;
	query->process.source = source;
	query->insist = insist;
}

/* The start. */

/* A process that is gone by now is added without an image: its end waits in the ring. */
static int add_answer(struct resync *c, const struct lookup_answer *answer, bool is_hidden)
{
	const struct process *process = &answer->process;

	if (is_hidden && answer->result < 0)
		return 0;
	if (!is_hidden && process->image.incomplete & INCOMPLETE_BIT(INCOMPLETE_ARGS) && c->retry_count < LOOKUP_MAX)
		c->retries[c->retry_count++] = find_listed(c, process->tgid, process->start);
	return pipeline_found(c->pipeline, process, process->start);
}

static int add_queried(struct resync *c)
{
	const struct lookup_answer *answers;
	size_t answered = 0;
	int r;

	if (c->query_count == 0)
		return 0;
	r = lookup_ask(c->lookup, c->queries, c->query_count);
	if (r < 0)
		return r;
	while (lookup_pending(c->lookup) > 0) {
		size_t n = lookup_wait(c->lookup, INT_MAX, &answers);

		for (size_t i = 0; i < n; i++, answered++) {
			r = add_answer(c, &answers[i], c->queries[answered].kind == LOOKUP_HIDDEN);
			if (r < 0)
				return r;
		}
	}
	c->query_count = 0;
	return 0;
}

/* The memory of these processes was locked: by now it may be free, as it is soon of all but those that are stuck. */
static int add_retries(struct resync *c)
{
	for (size_t i = 0; i < c->retry_count; i++)
		ask_for_listed(c, c->retries[i], SOURCE_PROC, true);
	return add_queried(c);
}

/* Reads up to `max`; *ret_end: there are no more. */
static int read_list(struct resync *c, size_t max, bool *ret_end)
{
	const struct record_running *processes;
	size_t done = 0;
	int n = 1, r;

	while (done < max) {
		n = task_list_read(c->tasks, &processes);
		if (n <= 0)
			break;
		r = add_listed(c, processes, (size_t)n);
		if (r < 0)
			return r;
		done += (size_t)n;
	}
	*ret_end = n == 0;
	if (n == 0 && c->listed_count > 0)
		qsort(c->listed, c->listed_count, sizeof(c->listed[0]), by_birth);
	return n < 0 ? n : 0;
}

static int load(struct resync *c, uint64_t before)
{
	bool end = false;
	int r;

	pipeline_set_listed(c->pipeline, clock_ns(CLOCK_BOOTTIME));
	r = c->list_tasks(c->probe, &c->tasks);
	while (r == 0 && !end)
		r = read_list(c, READ_MAX, &end);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->listed_count && c->listed[i].process.start < before; i++) {
		if (c->listed[i].flags & RUNNING_F_ENDING)
			continue;
		ask_for_hidden_parent(c, &c->listed[i].process);
		ask_for_listed(c, &c->listed[i], SOURCE_PROC, false);
		if (c->query_count + 2 <= LOOKUP_MAX)
			continue;
		r = add_queried(c);
		if (r < 0)
			return r;
	}
	r = add_queried(c);
	return r < 0 ? r : add_retries(c);
}

int resync_load(struct resync *c, uint64_t before)
{
	int r = load(c, before);

	finish(c);
	return r;
}

/* The comparison after a loss. */

int resync_begin(struct resync *c)
{
	int r;

	if (c->state != IDLE)
		return 0;
	r = c->list_tasks(c->probe, &c->tasks);
	if (r < 0)
		return r;
	c->clock = proctable_clock(pipeline_table(c->pipeline));
	c->has_pending = false;
	c->error = 0;
	c->state = LISTING;
	return 0;
}

bool resync_is_under_way(const struct resync *c)
{
	return c->state != IDLE;
}

static void drain_before(struct resync *c, enum state state)
{
	c->drain_to = ringbuf_produced(c->ring);
	c->next = 0;
	c->state = state;
}

bool resync_waits(const struct resync *c)
{
	return (c->state == DRAINING || c->state == REMOVING || c->answer_count > 0) &&
	       ringbuf_consumed(c->ring) < c->drain_to;
}

static int step_listing(struct resync *c, uint64_t boot_time)
{
	bool end;
	int r = read_list(c, READ_MAX, &end);

	if (r < 0 || !end)
		return r;
	c->tasks = task_list_free(c->tasks);
	drain_before(c, DRAINING);
	return 0;
}

static int step_draining(struct resync *c, uint64_t boot_time)
{
	if (c->ended_count > 0)
		qsort(c->ended, c->ended_count, sizeof(c->ended[0]), by_identity);
	c->ended_sorted = c->ended_count;
	c->state = COMPARING;
	return 0;
}

/* A process that is gone by now had its end already, or has it in the ring: it is not to come back. */
static int announce(struct resync *c, const struct lookup_answer *answer, uint64_t boot_time)
{
	const struct process *process = &answer->process;
	struct entry *entry;
	int r;

	if ((!answer->alive && answer->result != -ETIMEDOUT) || has_ended(c, process->tgid, process->start))
		return 0;
	r = pipeline_found(c->pipeline, process, boot_time);
	if (r < 0)
		return r;
	entry = proctable_find(pipeline_table(c->pipeline), process->tgid, process->start);
	if (entry)
		entry->seen = true;
	return 0;
}

/*
 * /proc was asked after the list was read: if another exec came between, its record is in the ring
 * by now, and its arguments may be in the answer. So the ring is drained up to here first. An exec
 * that is known by then is not announced (pipeline_found()).
 */
static int announce_answers(struct resync *c, uint64_t boot_time)
{
	for (size_t i = 0; i < c->answer_count; i++) {
		int r = announce(c, &c->answers[i], boot_time);

		if (r < 0)
			return r;
	}
	c->answer_count = 0;
	return 0;
}

/* What was in the table all the time and is not in the list. */
static int list_missing(struct resync *c)
{
	struct proctable *table = pipeline_table(c->pipeline);

	c->ended_count = 0;
	for (struct entry *entry = proctable_next(table, NULL); entry; entry = proctable_next(table, entry)) {
		if (!entry->seen && entry->born <= c->clock && add_ended(c, &entry->process) < 0)
			return -ENOMEM;
		entry->seen = false;
	}
	c->next = c->gone_count = 0;
	c->state = VERIFYING;
	return 0;
}

/* As it is, or it has ended since. */
static bool is_known(const struct resync *c, const struct record_process *record, const struct entry *entry)
{
	return entry ? entry->process.exec_id >= record->exec_id : has_ended(c, record->tgid, record->start);
}

/* Its record is yet to come, unless it is lost: then the next comparison, or the one after that,
 * finds the exec over, or the process gone. */
static bool is_pending(const struct resync *c, const struct record_running *running, const struct entry *entry)
{
	if (running->flags & RUNNING_F_ENDING)
		return true;
	return running->flags & RUNNING_F_EXECING && c->pending_count < PENDING_MAX &&
	       !is_known(c, &running->process, entry);
}

static int step_comparing(struct resync *c, uint64_t boot_time)
{
	int r = c->error < 0 ? c->error : announce_answers(c, boot_time);

	if (r < 0)
		return r;
	if (lookup_pending(c->lookup) > 0) {
		c->answer_count = lookup_wait(c->lookup, LOOKUP_WAIT_MS, &c->answers);
		c->drain_to = ringbuf_produced(c->ring);
		return 0;
	}
	c->query_count = 0;
	for (size_t n = 0; c->next < c->listed_count && n < COMPARE_MAX && c->query_count < LOOKUP_MAX;
	     c->next++, n++) {
		const struct record_running *running = &c->listed[c->next];
		const struct record_process *record = &running->process;
		struct entry *entry = proctable_find(pipeline_table(c->pipeline), record->tgid, record->start);

		if (entry)
			entry->seen = true;
		if (is_pending(c, running, entry))
			c->has_pending |= entry || !(running->flags & RUNNING_F_ENDING);
		else if (!is_known(c, record, entry))
			ask_for_listed(c, running, SOURCE_RESYNC, true);
	}
	if (c->query_count > 0)
		return lookup_ask(c->lookup, c->queries, c->query_count);
	return c->next < c->listed_count ? 0 : list_missing(c);
}

static void collect_gone(struct resync *c)
{
	const struct lookup_answer *answers;
	size_t n = lookup_wait(c->lookup, LOOKUP_WAIT_MS, &answers);

	for (size_t i = 0; i < n; i++)
		if (!answers[i].alive && answers[i].result != -ETIMEDOUT)
			c->ended[c->gone_count++] =
				(struct identity){ answers[i].process.start, answers[i].process.tgid };
}

static int step_verifying(struct resync *c, uint64_t boot_time)
{
	if (lookup_pending(c->lookup) > 0) {
		collect_gone(c);
		return 0;
	}
	c->query_count = 0;
	for (; c->next < c->ended_count && c->query_count < LOOKUP_MAX; c->next++) {
		struct identity identity = c->ended[c->next];
		struct process *process;

		if (!proctable_find(pipeline_table(c->pipeline), identity.tgid, identity.start))
			continue;
		process = &add_query(c, LOOKUP_ALIVE)->process;
		process->tgid = identity.tgid;
		process->start = identity.start;
	}
	if (c->query_count > 0)
		return lookup_ask(c->lookup, c->queries, c->query_count);
	drain_before(c, REMOVING);
	return 0;
}

static int step_removing(struct resync *c, uint64_t boot_time)
{
	for (size_t n = 0; c->next < c->gone_count && n < COMPARE_MAX; c->next++, n++) {
		struct identity identity = c->ended[c->next];
		struct entry *entry = proctable_find(pipeline_table(c->pipeline), identity.tgid, identity.start);

		if (entry)
			pipeline_gone(c->pipeline, entry, boot_time);
	}
	if (c->next < c->gone_count)
		return 0;
	finish(c);
	c->pending_count = c->has_pending ? c->pending_count + 1 : 0;
	return c->has_pending ? RESYNC_AGAIN : 0;
}

int resync_step(struct resync *c, uint64_t boot_time)
{
	static int (*const steps[])(struct resync * c, uint64_t boot_time) = {
		[LISTING] = step_listing,     [DRAINING] = step_draining, [COMPARING] = step_comparing,
		[VERIFYING] = step_verifying, [REMOVING] = step_removing,
	};
	int r = c->state == IDLE || resync_waits(c) ? 0 : steps[c->state](c, boot_time);

	if (r < 0)
		finish(c);
	return r;
}
