/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's list is read while processes come and go, and records of them wait in the ring buffer. What makes the
 * result right all the same:
 *
 * At the start, with the probes of exit, exec and fork attached in this order, then the list read, /proc asked for each process in it,
 * and the ring drained up to where it is written by then, all in silence:
 *
 *  - A process that forked before the fork probe was attached is in the list, unless it had no living thread by then; one that forked
 *    later has a record, which says nothing new if it is in the list too.
 *  - One in the list ends later, so after the exit probe was attached: the record is there, and is read after the list was.
 *  - One that had no living thread (RUNNING_F_ENDING) may have its record yet to come. It has begun before the list was read
 *    (pipeline_set_listed()), is put in no table, and its end is no event and no loss.
 *  - self_exec_id says which exec the list saw. What came before it is known. A later one has a record. One under way is either half
 *    way, and then the list says the exec before (tasklist.bpf.h), or marked (RUNNING_F_EXECING): its record, with this exec_id, is
 *    an event if it comes later.
 *
 * Later, after a loss:
 *
 *  1. The table's clock is noted, then the list is read, in pieces, and the ring goes on being drained.
 *  2. Once the list is complete, the ring is drained up to where it is written by then. The table then knows of everything that was
 *     recorded while the list was read.
 *  3. A process of the list that is not in the table was missed, unless its end has passed meanwhile: ends are noted
 *     from 1 on. One that is in the table with an older exec_id has an exec that was missed, unless one is still under way:
 *     then the table is compared again; and so if a process of the table was ending.
 *  4. A process that was in the table at 1 and is not in the list may be gone. (Or the kernel hides it, as sandboxes do
 *     with their init.) So /proc is asked, where a zombie has its record behind it.
 *  5. Once all have been asked for, the ring is drained up to where it is written by then. Whose end is recorded is out of the table by
 *     then; who is not is gone, and the record is lost.
 *
 * To drain up to a position, and not until nothing more comes: a record that is reserved and not committed holds up what is behind it. As
 * long as it does, the comparison waits. Doing it again changes nothing.
 */
#include "pipeline/resync.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "kernel/lookup.h"
#include "pipeline/decode.h"
#include "util/clock.h"

/* In one step: */
#define READ_MAX 1024	 /* processes read from the kernel's list, 1 to 2 us each */
#define COMPARE_MAX 8192 /* compared with the table */
#define LOOKUP_WAIT_MS 1 /* waited for what is looked up in /proc, 30 to 100 us each */

#define PUT_OFF_MAX 8 /* comparisons one after another in which an exec under way is left for the next one */

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
	uint64_t clock; /* of the table, when the reading began */
	struct task_list *running;
	struct record_running *found; /* sorted by birth once it is complete */
	size_t count, room;
	struct identity *ended; /* since the reading began; later: who may be gone, then who is */
	size_t ended_count, ended_room;
	struct lookup_query queries[LOOKUP_MAX];
	size_t query_count, query_answered;
	const struct lookup_answer *answers; /* that wait to be announced */
	size_t reply_count;
	const struct record_running *again[LOOKUP_MAX]; /* whose arguments could not be read */
	size_t again_count;
	bool insists;
	size_t sorted;	     /* the first of `ended`, which came before COMPARING */
	size_t at;	     /* how far COMPARING, ENDING or BURYING is */
	size_t dead;	     /* the first of `ended`, which are */
	uint64_t settled_at; /* position in the ring: what it held when SETTLING or BURYING began */
	bool puts_off;	     /* an exec or an end that is under way */
	unsigned put_off;    /* comparisons that did, until now */
	int broken;	     /* an end could not be noted */
};

static int compare(uint64_t x_start, uint32_t x, uint64_t y_start, uint32_t y)
{
	if (x_start != y_start)
		return x_start < y_start ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_birth(const void *a, const void *b)
{
	const struct record_running *x = a, *y = b;

	return compare(x->process.start, x->process.tgid, y->process.start, y->process.tgid);
}

static int by_identity(const void *a, const void *b)
{
	const struct identity *x = a, *y = b;

	return compare(x->start, x->tgid, y->start, y->tgid);
}

static int identity_add(struct resync *c, const struct process *process)
{
	if (c->ended_count == c->ended_room) {
		size_t room = c->ended_room ? c->ended_room * 2 : 256;
		struct identity *ended = reallocarray(c->ended, room, sizeof(*ended));

		if (!ended)
			return -ENOMEM;
		c->ended = ended;
		c->ended_room = room;
	}
	c->ended[c->ended_count++] = (struct identity){ process->start, process->tgid };
	return 0;
}

static int found_add(struct resync *c, const struct record_running *processes, size_t count)
{
	if (c->room - c->count < count) {
		size_t room = c->room ? c->room * 2 : 1024;
		struct record_running *found = reallocarray(c->found, room, sizeof(*found));

		if (!found)
			return -ENOMEM;
		c->found = found;
		c->room = room;
	}
	memcpy(c->found + c->count, processes, count * sizeof(*processes));
	c->count += count;
	return 0;
}

static bool is_found(const struct resync *c, uint32_t tgid, uint64_t start)
{
	const struct record_running key = { .process = { .tgid = tgid, .start = start } };

	return c->count > 0 && bsearch(&key, c->found, c->count, sizeof(c->found[0]), by_birth);
}

static bool has_ended(const struct resync *c, uint32_t tgid, uint64_t start)
{
	const struct identity key = { start, tgid };

	for (size_t i = c->sorted; i < c->ended_count; i++)
		if (by_identity(&key, &c->ended[i]) == 0)
			return true;
	return c->sorted > 0 && bsearch(&key, c->ended, c->sorted, sizeof(c->ended[0]), by_identity);
}

/* Nothing under way, nothing held. */
static void finish(struct resync *c)
{
	c->running = task_list_free(c->running);
	free(c->found);
	free(c->ended);
	c->found = NULL;
	c->ended = NULL;
	c->count = c->room = c->ended_count = c->ended_room = c->sorted = c->at = c->dead = 0;
	c->query_count = c->query_answered = c->reply_count = c->again_count = 0;
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

	if ((c->state == LISTING || c->state == DRAINING || c->state == COMPARING) && identity_add(c, process) < 0)
		c->broken = -ENOMEM;
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

static bool is_full(const struct resync *c)
{
	return c->query_count == LOOKUP_MAX;
}

static struct lookup_query *query_add(struct resync *c, enum lookup_kind kind)
{
	struct lookup_query *query = &c->queries[c->query_count];

	*query = (struct lookup_query){ .kind = kind };
	c->query_count++;
	return query;
}

/*
 * A kernel may keep a process out of its list, and yet its children name it. Then its identity is theirs to tell, and
 * /proc knows the rest.
 */
static void ask_for_hidden_parent(struct resync *c, const struct record_process *child)
{
	if (child->ppid == 0 || is_found(c, child->ppid, child->parent_start) ||
	    proctable_find(pipeline_table(c->pipeline), child->ppid, 0))
		return;
	for (size_t i = 0; i < c->query_count; i++)
		if (c->queries[i].process.tgid == child->ppid)
			return;
	query_add(c, LOOKUP_HIDDEN)->process = (struct process){
		.tgid = child->ppid,
		.start = child->parent_start,
		.source = SOURCE_PROC,
		.loginuid = PROCESS_UNSET,
		.session_id = PROCESS_UNSET,
		.comm = { child->parent_comm, strnlen(child->parent_comm, RECORD_COMM_SIZE) },
	};
}

/* What it runs, by /proc and by what the list says of the program's file. */
static void ask_for_listed(struct resync *c, const struct record_running *record, enum source source)
{
	struct lookup_query *query = query_add(c, LOOKUP_LISTED);

	query->listed = *record;
	decode_process(&query->process, &record->process);
	query->process.execing = record->flags & RUNNING_F_EXECING;
	query->process.source = source;
	query->insist = c->insists || source == SOURCE_RESYNC;
}

static void note_again(struct resync *c, const struct process *process)
{
	const struct record_running key = { .process = { .tgid = process->tgid, .start = process->start } };

	if (process->image.incomplete & INCOMPLETE_BIT(INCOMPLETE_ARGS) && !c->insists && c->again_count < LOOKUP_MAX)
		c->again[c->again_count++] = bsearch(&key, c->found, c->count, sizeof(c->found[0]), by_birth);
}

/* At the start, what is gone by now goes in without an image: its end waits in the ring. */
static int put_in(struct resync *c, const struct lookup_answer *answer, bool is_hidden)
{
	if (is_hidden && answer->result < 0)
		return 0;
	if (!is_hidden)
		note_again(c, &answer->process);
	return pipeline_found(c->pipeline, &answer->process, answer->process.start);
}

static int put_in_asked(struct resync *c)
{
	const struct lookup_answer *answers;
	int r = c->query_count > 0 ? lookup_ask(c->lookup, c->queries, c->query_count) : 0;

	while (r == 0 && lookup_pending(c->lookup) > 0) {
		size_t n = lookup_wait(c->lookup, INT_MAX, &answers);

		for (size_t i = 0; r == 0 && i < n; i++)
			r = put_in(c, &answers[i], c->queries[c->query_answered++].kind == LOOKUP_HIDDEN);
	}
	c->query_count = c->query_answered = 0;
	return r;
}

/* Whose memory was locked: by now it may be free, as it is soon of all but those that are stuck. */
static int put_in_again(struct resync *c)
{
	int r;

	c->insists = true;
	for (size_t i = 0; i < c->again_count; i++)
		ask_for_listed(c, c->again[i], SOURCE_PROC);
	r = put_in_asked(c);
	c->insists = false;
	return r;
}

/* Later, what is gone by now had its end already, or has it in the ring: it is not to come back. */
static int announce(struct resync *c, const struct lookup_answer *answer, uint64_t boot_time)
{
	struct proctable *table = pipeline_table(c->pipeline);
	struct entry *entry;
	int r;

	if ((!answer->alive && answer->result != -ETIMEDOUT) ||
	    has_ended(c, answer->process.tgid, answer->process.start))
		return 0;
	r = pipeline_found(c->pipeline, &answer->process, boot_time);
	entry = r == 0 ? proctable_find(table, answer->process.tgid, answer->process.start) : NULL;
	if (entry)
		entry->seen = true;
	return r;
}

/*
 * /proc was asked after the list was read: if another exec came between, its record is in the ring by now, and its arguments may be in the answer.
 * So the ring is drained up to here first. An exec that is known by then is not announced (pipeline_found()).
 */
static int announce_all(struct resync *c, uint64_t boot_time)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->reply_count; i++)
		r = announce(c, &c->answers[i], boot_time);
	c->reply_count = 0;
	return r;
}

/* Takes what answers there are. 1: there are more to come, or to be announced. */
static int take_answers(struct resync *c, uint64_t boot_time)
{
	const struct lookup_answer *answers;
	int r = announce_all(c, boot_time);
	size_t n = r == 0 ? lookup_wait(c->lookup, LOOKUP_WAIT_MS, &answers) : 0;

	c->query_answered += n;
	if (n > 0 && c->state == COMPARING) {
		c->answers = answers;
		c->reply_count = n;
		c->settled_at = ringbuf_produced(c->ring);
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		if (!answers[i].alive && answers[i].result != -ETIMEDOUT)
			c->ended[c->dead++] = (struct identity){ answers[i].process.start, answers[i].process.tgid };
	if (r == 0 && lookup_pending(c->lookup) > 0)
		return 1;
	c->query_count = c->query_answered = 0;
	return r;
}

/* Reads up to `most`; *ret_end: there are no more. */
static int read_list(struct resync *c, size_t most, bool *ret_end)
{
	const struct record_running *processes;
	size_t done = 0;
	int n = 1;

	while (done < most) {
		n = task_list_read(c->running, &processes);
		if (n <= 0)
			break;
		if (found_add(c, processes, (size_t)n) < 0)
			return -ENOMEM;
		done += (size_t)n;
	}
	*ret_end = n == 0;
	if (n == 0 && c->count > 0)
		qsort(c->found, c->count, sizeof(c->found[0]), by_birth);
	return n < 0 ? n : 0;
}

int resync_load(struct resync *c, uint64_t before)
{
	bool end = false;
	int r;

	pipeline_set_listed(c->pipeline, clock_ns(CLOCK_BOOTTIME));
	r = c->list_tasks(c->probe, &c->running);
	while (r == 0 && !end)
		r = read_list(c, READ_MAX, &end);
	for (size_t i = 0; r == 0 && i < c->count; i++) {
		if (c->found[i].process.start >= before)
			break; /* by birth */
		if (c->found[i].flags & RUNNING_F_ENDING)
			continue;
		ask_for_hidden_parent(c, &c->found[i].process);
		if (is_full(c))
			r = put_in_asked(c);
		if (r == 0)
			ask_for_listed(c, &c->found[i], SOURCE_PROC);
		if (r == 0 && is_full(c))
			r = put_in_asked(c);
	}
	if (r == 0)
		r = put_in_asked(c);
	if (r == 0)
		r = put_in_again(c);
	finish(c);
	return r;
}

int resync_begin(struct resync *c)
{
	int r;

	if (c->state != IDLE)
		return 0;
	r = c->list_tasks(c->probe, &c->running);
	if (r < 0)
		return r;
	c->clock = proctable_clock(pipeline_table(c->pipeline));
	c->puts_off = false;
	c->broken = 0;
	c->state = LISTING;
	return 0;
}

bool resync_is_under_way(const struct resync *c)
{
	return c->state != IDLE;
}

/* From now on: until all that the ring holds now is in the table. */
static void settle(struct resync *c, enum state state)
{
	c->settled_at = ringbuf_produced(c->ring);
	c->at = 0;
	c->state = state;
}

bool resync_waits(const struct resync *c)
{
	return (c->state == DRAINING || c->state == REMOVING || c->reply_count > 0) &&
	       ringbuf_consumed(c->ring) < c->settled_at;
}

static int step_reading(struct resync *c)
{
	bool end;
	int r = read_list(c, READ_MAX, &end);

	if (r == 0 && end) {
		c->running = task_list_free(c->running);
		settle(c, DRAINING);
	}
	return r;
}

static int step_settling(struct resync *c)
{
	if (c->ended_count > 0)
		qsort(c->ended, c->ended_count, sizeof(c->ended[0]), by_identity);
	c->sorted = c->ended_count;
	c->at = 0;
	c->state = COMPARING;
	return 0;
}

/* Who was in the table all the time and is not in the list. */
static int list_missing(struct resync *c)
{
	struct proctable *table = pipeline_table(c->pipeline);

	c->ended_count = 0;
	for (struct entry *entry = proctable_next(table, NULL); entry; entry = proctable_next(table, entry)) {
		if (!entry->seen && entry->born <= c->clock && identity_add(c, &entry->process) < 0)
			return -ENOMEM;
		entry->seen = false;
	}
	c->at = c->dead = 0;
	c->state = VERIFYING;
	return 0;
}

/* As it is, or it has ended since. */
static bool is_known(const struct resync *c, const struct record_process *record, const struct entry *entry)
{
	return entry ? entry->process.exec_id >= record->exec_id : has_ended(c, record->tgid, record->start);
}

/* Its record is yet to come, unless it is lost: then the next comparison, or the one after that, finds the exec over, or the process gone. */
static bool put_off(struct resync *c, const struct record_running *running, const struct entry *entry)
{
	if (running->flags & RUNNING_F_ENDING) {
		c->puts_off |= entry != NULL;
		return true;
	}
	if (!(running->flags & RUNNING_F_EXECING) || c->put_off >= PUT_OFF_MAX || is_known(c, &running->process, entry))
		return false;
	c->puts_off = true;
	return true;
}

static int step_comparing(struct resync *c, uint64_t boot_time)
{
	struct proctable *table = pipeline_table(c->pipeline);
	int r = c->broken < 0 ? c->broken : take_answers(c, boot_time);

	if (r != 0)
		return r < 0 ? r : 0;
	for (size_t n = 0; c->at < c->count && n < COMPARE_MAX && !is_full(c); c->at++, n++) {
		const struct record_running *running = &c->found[c->at];
		const struct record_process *record = &running->process;
		struct entry *entry = proctable_find(table, record->tgid, record->start);

		if (entry)
			entry->seen = true;
		if (put_off(c, running, entry) || is_known(c, record, entry))
			continue;
		ask_for_listed(c, running, SOURCE_RESYNC);
	}
	if (c->query_count > 0)
		return lookup_ask(c->lookup, c->queries, c->query_count);
	return c->at < c->count ? 0 : list_missing(c);
}

static int step_ending(struct resync *c)
{
	int r = take_answers(c, 0);

	if (r != 0)
		return r < 0 ? r : 0;
	for (; c->at < c->ended_count && !is_full(c); c->at++) {
		struct identity identity = c->ended[c->at];
		struct process *process;

		if (!proctable_find(pipeline_table(c->pipeline), identity.tgid, identity.start))
			continue;
		process = &query_add(c, LOOKUP_ALIVE)->process;
		process->tgid = identity.tgid;
		process->start = identity.start;
	}
	if (c->query_count > 0)
		return lookup_ask(c->lookup, c->queries, c->query_count);
	settle(c, REMOVING);
	return 0;
}

static int step_burying(struct resync *c, uint64_t boot_time)
{
	for (size_t n = 0; c->at < c->dead && n < COMPARE_MAX; c->at++, n++) {
		struct entry *entry =
			proctable_find(pipeline_table(c->pipeline), c->ended[c->at].tgid, c->ended[c->at].start);

		if (entry)
			pipeline_gone(c->pipeline, entry, boot_time);
	}
	if (c->at < c->dead)
		return 0;
	finish(c);
	c->put_off = c->puts_off ? c->put_off + 1 : 0;
	return c->puts_off ? RESYNC_AGAIN : 0;
}

int resync_step(struct resync *c, uint64_t boot_time)
{
	int r = 0;

	if (resync_waits(c))
		return 0;
	switch (c->state) {
	case IDLE:
		break;
	case LISTING:
		r = step_reading(c);
		break;
	case DRAINING:
		r = step_settling(c);
		break;
	case COMPARING:
		r = step_comparing(c, boot_time);
		break;
	case VERIFYING:
		r = step_ending(c);
		break;
	case REMOVING:
		r = step_burying(c, boot_time);
		break;
	}
	if (r < 0)
		finish(c);
	return r;
}
