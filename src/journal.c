/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two sides and what lies between them.
 *
 * The event loop's side (struct journal) has the filter and the keys, and makes of an event a finished entry: one block
 * of memory with the fields and the iovec that names them. It never waits for journald.
 *
 * The thread's side sends the entries, one after the other, and may be blocked in that for ever: a stopped journald
 * leaves its socket full. Nothing can be done to end it then (cancellation would leave locks of the library
 * behind), so it is left alone: what lies between (struct shared) has two references, and whoever goes last frees it.
 *
 * Loss. The stream in the journal has an entry or, at its place, a `lost` that counts it:
 *  - The queue is full, or there is no memory: from that entry on all are dropped, and counted in `dropped`. When the
 *    queue is half empty (or empty) again, the thread puts the `lost` at its end, and only then entries are
 *    taken again. The thread does it, since it makes the room; no later event is needed for it.
 *  - journald is not there or refuses an entry: after TRIES tries it is counted in `refused`, whose `lost` must be sent
 *    before the next entry. That is tried for ever, with pauses, so a journald that is gone is asked once
 *    in PAUSE_MS_LONG while the queue fills up.
 * An entry that is being sent stays in the queue until it is gone: it counts as memory, and as the place of a loss.
 *
 * Wake-ups: events come in bursts, so the thread is woken by flush, or before it when WAKE_SIZE bytes wait.
 *
 * Entries of the snapshot do not count against the limit of the queue: the table that they are made from is bounded
 * itself, and they would push out the events that come behind them.
 *
 * Which `exited` are written: those of processes that this stream was told of (event.h: born, told, position).
 */
#include "journal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "message_id.h"
#include "quote.h"

#define MESSAGE_SIZE 2048
#define ARGS_MAX 100	  /* EXECSNOOP_ARG fields; the contract's number */
#define ANCESTORS_MAX 100 /* EXECSNOOP_ANCESTOR fields */

/*
 * journald refuses entries of more than 1,024 fields, but sd_journal_sendv gives up earlier: it makes 2 iovecs of a
 * field, 5 if there is a newline in it, and where these are more than the kernel takes at once (UIO_MAXIOV), sendmsg
 * and writev both fail. So what is repeated shares what the other fields leave over. Arguments come first, and there is
 * room for all 100; environment variables leave enough for the ancestors that follow them.
 */
#define IOVECS_MAX 1024
#define IOVECS_PLAIN 2
#define IOVECS_NEWLINE 5
#define IOVECS_ANCESTORS ((ANCESTORS_MAX + INCOMPLETE_) * IOVECS_PLAIN) /* and INCOMPLETE, which is as plain */
#define FIELDS_OWN 4 /* MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER */
#define BYTES_KEYS 9 /* what can have a newline: comms, paths, units, ARGS */
#define IOVECS_SINGLE (IOVECS_PLAIN * (FIELDS_OWN + KEYS_) + (IOVECS_NEWLINE - IOVECS_PLAIN) * BYTES_KEYS)
#define IOVECS_REPEATED (IOVECS_MAX - IOVECS_SINGLE)
_Static_assert(ARGS_MAX *IOVECS_NEWLINE + IOVECS_ANCESTORS < IOVECS_REPEATED, "room for every list");
#define FIELDS_MAX (IOVECS_MAX / IOVECS_PLAIN)

#define SCRATCH_KEPT (64 * 1024)
#define WAKE_SIZE (64 * 1024)
#define TRIES 4
#define PAUSE_MS 100
#define PAUSE_MS_LONG 1000

#define SOCKET "/run/systemd/journal/socket" /* of sd_journal_sendv */

/* Events that were lost: how many, which, when the last of them was. */
struct loss {
	uint64_t count, first_seq, last_seq;
	uint64_t time;
};

struct entry_block {
	struct entry_block *next;
	struct loss loss; /* what is lost if this entry is */
	bool is_lost;	  /* it says itself that this was lost */
	bool is_free;	  /* of charge: of the snapshot */
	size_t size;	  /* of the whole block */
	int n;
	struct iovec fields[]; /* and behind them the bytes */
};

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the thread */
	pthread_cond_t done; /* for journal_free */
	unsigned refs;
	int (*send)(const struct iovec *iov, int n);
	uint64_t boot;

	struct entry_block *head, **tail;
	size_t limit;
	size_t charged, peak; /* bytes in the queue, of them those of charge */
	size_t size;
	struct loss dropped, refused;
	uint64_t written, lost;
	bool idle;	/* the thread waits for work */
	bool stop;	/* when the queue is empty, and without pauses */
	bool abandoned; /* at once */
	bool ended;
};

/* An entry in the making: fields one behind the other; where each ends. */
struct builder {
	char *data;
	size_t size, room;
	size_t ends[FIELDS_MAX];
	size_t n;
	size_t repeated; /* iovecs of IOVECS_REPEATED that are used up */
};

struct journal {
	struct sink sink;
	struct shared *shared;
	pthread_t thread;
	key_set keys;
	struct filter *filter; /* may be NULL */
	bool snapshot;
	uint64_t boot;
	struct proctable *table; /* NULL: it has not joined */
	uint64_t joined;	 /* the table's clock then */
	bool behind;		 /* the filter does not know all of its tree: there was no memory */
	struct builder builder;
};

static const struct {
	const char *id, *priority;
} kinds[EVENT_TYPES_] = {
	[EVENT_STARTED] = { "MESSAGE_ID=" MESSAGE_ID_STARTED, "PRIORITY=6" },
	[EVENT_EXITED] = { "MESSAGE_ID=" MESSAGE_ID_EXITED, "PRIORITY=6" },
	[EVENT_ERROR] = { "MESSAGE_ID=" MESSAGE_ID_ERROR, "PRIORITY=5" },
	[EVENT_FORKED] = { "MESSAGE_ID=" MESSAGE_ID_FORKED, "PRIORITY=6" },
	[EVENT_LOST] = { "MESSAGE_ID=" MESSAGE_ID_LOST, "PRIORITY=4" },
};

/* Building an entry. */

/* Room for `size` more bytes; NULL without memory. What is written there counts once builder->size has grown. */
static char *builder_reserve(struct builder *b, size_t size)
{
	if (b->room - b->size < size) {
		size_t room = b->room ? b->room : 4096;
		char *data;

		while (room - b->size < size)
			room *= 2;
		data = realloc(b->data, room);
		if (!data)
			return NULL;
		b->data = data;
		b->room = room;
	}
	return b->data + b->size;
}

static void builder_end_field(struct builder *b, const char *end)
{
	ASSERT(b->n < FIELDS_MAX);
	b->size = (size_t)(end - b->data);
	b->ends[b->n++] = b->size;
}

static int builder_text(struct builder *b, const char *field)
{
	size_t size = strlen(field);
	char *to = builder_reserve(b, size);

	if (!to)
		return -ENOMEM;
	builder_end_field(b, (char *)mempcpy(to, field, size));
	return 0;
}

/* "EXECSNOOP_EXE=" and so on, made once: they come with every entry. */
#define PREFIX "EXECSNOOP_"
static struct {
	char text[sizeof(PREFIX) + 32];
	size_t size;
} names[KEYS_];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void make_names(void)
{
	for (unsigned key = 0; key < KEYS_; key++) {
		const char *name = key_name((enum key)key);
		char *to = names[key].text;

		ASSERT(strlen(name) < 32);
		to = (char *)mempcpy(to, PREFIX, sizeof(PREFIX) - 1);
		for (; *name; name++)
			*to++ = *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
		*to++ = '=';
		names[key].size = (size_t)(to - names[key].text);
	}
}

static struct bytes name_of(enum key key)
{
	return (struct bytes){ names[key].text, names[key].size };
}

/* "NAME=" and room for a value of `size` bytes: where that goes. NULL without memory. */
static char *builder_field(struct builder *b, struct bytes name, size_t size)
{
	char *to = builder_reserve(b, name.size + size);

	return to ? (char *)mempcpy(to, name.data, name.size) : NULL;
}

static int builder_bytes(struct builder *b, struct bytes name, struct bytes value)
{
	char *to = builder_field(b, name, value.size);

	if (!to)
		return -ENOMEM;
	builder_end_field(b, (char *)mempcpy(to, value.data, value.size));
	return 0;
}

static int on_number(void *userdata, enum key key, int64_t value)
{
	char digits[EVENT_NUMBER_SIZE];
	size_t size = event_number_format(digits, key, value);

	return builder_bytes(userdata, name_of(key), (struct bytes){ digits, size });
}

static int on_truth(void *userdata, enum key key)
{
	return builder_bytes(userdata, name_of(key), BYTES("true"));
}

static int on_text(void *userdata, enum key key, const char *value)
{
	return builder_bytes(userdata, name_of(key), bytes_of(value));
}

static int on_time(void *userdata, enum key key, uint64_t ns)
{
	char time[EVENT_TIME_SIZE];

	event_time_format(time, ns);
	return builder_bytes(userdata, name_of(key), bytes_of(time));
}

static int on_bytes(void *userdata, enum key key, struct bytes value)
{
	return builder_bytes(userdata, name_of(key), value);
}

/* The first `most` items, each a field of that name, as long as `spare` iovecs stay for what comes later. */
static int builder_repeat(struct builder *b, struct bytes name, struct bytes items, size_t most, size_t spare)
{
	struct bytes item;

	for (size_t at = 0, i = 0; i < most && args_next(items, &at, &item); i++) {
		size_t iovecs = memchr(item.data, '\n', item.size) ? IOVECS_NEWLINE : IOVECS_PLAIN;
		int r;

		if (b->repeated + iovecs + spare > IOVECS_REPEATED)
			break;
		r = builder_bytes(b, name, item);
		if (r < 0)
			return r;
		b->repeated += iovecs;
	}
	return 0;
}

static int on_list(void *userdata, enum key key, struct bytes items)
{
	struct builder *b = userdata;
	char *to;

	if (key == KEY_INCOMPLETE)
		return builder_repeat(b, name_of(key), items, INCOMPLETE_, 0);
	if (key != KEY_ARGS)
		return builder_repeat(b, BYTES(PREFIX "ANCESTOR="), items, ANCESTORS_MAX, 0);
	to = builder_field(b, name_of(key), quote_args_size(items));
	if (!to)
		return -ENOMEM;
	builder_end_field(b, quote_args(to, items));
	return builder_repeat(b, BYTES(PREFIX "ARG="), items, ARGS_MAX, IOVECS_ANCESTORS);
}

/* EXECSNOOP_ENV=NAME=VALUE for each chosen variable, as many as there is room for (77 at least): a field can come
 * more than once, and a field's name may not have the small letters that a variable's may. */
static int on_object(void *userdata, enum key key, struct bytes items)
{
	return builder_repeat(userdata, name_of(key), items, SIZE_MAX, IOVECS_ANCESTORS);
}

static const struct event_visitor visitor = {
	.number = on_number,
	.truth = on_truth,
	.text = on_text,
	.time = on_time,
	.bytes = on_bytes,
	.list = on_list,
	.object = on_object,
};

static int builder_message(struct builder *b, const struct event *event)
{
	char *to = builder_reserve(b, sizeof("MESSAGE=") + MESSAGE_SIZE);

	if (!to)
		return -ENOMEM;
	to = (char *)mempcpy(to, "MESSAGE=", sizeof("MESSAGE=") - 1);
	journal_message(to, MESSAGE_SIZE, event);
	builder_end_field(b, to + strlen(to));
	return 0;
}

static int builder_fill(struct builder *b, const struct event *event, key_set keys)
{
	int r;

	b->size = 0;
	b->n = 0;
	b->repeated = 0;
	r = builder_message(b, event);
	if (r == 0)
		r = builder_text(b, kinds[event->type].id);
	if (r == 0)
		r = builder_text(b, kinds[event->type].priority);
	if (r == 0)
		r = builder_text(b, "SYSLOG_IDENTIFIER=execsnoopd");
	if (r == 0)
		r = event_visit(event, keys, &visitor, b);
	return r;
}

static int block_new(struct entry_block **ret, const struct builder *b)
{
	size_t size = sizeof(struct entry_block) + b->n * sizeof(struct iovec) + b->size, begin = 0;
	struct entry_block *block = malloc(size);
	char *data;

	if (!block)
		return -ENOMEM;
	*block = (struct entry_block){ .size = size, .n = (int)b->n };
	data = (char *)&block->fields[b->n];
	memcpy(data, b->data, b->size);
	for (size_t i = 0; i < b->n; i++) {
		block->fields[i] = (struct iovec){ data + begin, b->ends[i] - begin };
		begin = b->ends[i];
	}
	*ret = block;
	return 0;
}

static int block_build(struct entry_block **ret, struct builder *b, const struct event *event, key_set keys)
{
	int r = builder_fill(b, event, keys);

	if (r == 0)
		r = block_new(ret, b);
	/* A long command line now and then shall not be held for ever. */
	if (b->room > SCRATCH_KEPT) {
		free(TAKE_PTR(b->data));
		b->room = 0;
	}
	return r;
}

/* Losses. */

static void loss_add(struct loss *loss, const struct loss *more)
{
	loss->count += more->count;
	if (loss->first_seq == 0)
		loss->first_seq = more->first_seq;
	if (more->last_seq != 0)
		loss->last_seq = more->last_seq;
	loss->time = more->time;
}

static struct loss loss_of_event(const struct event *event)
{
	return (struct loss){ .count = 1, .first_seq = event->seq, .last_seq = event->seq, .time = event->time };
}

/* In the thread, with its own builder. */
static int lost_build(struct entry_block **ret, struct builder *b, const struct shared *s, const struct loss *loss)
{
	struct event event = {
		.type = EVENT_LOST,
		.time = loss->time,
		.boot = s->boot,
		.lost = {
			.where = LOST_JOURNAL,
			.count = loss->count,
			.first_seq = loss->first_seq,
			.last_seq = loss->last_seq,
		},
	};
	struct entry_block *block;
	int r = block_build(&block, b, &event, KEYS_ALL);

	if (r < 0)
		return r;
	block->loss = *loss;
	block->is_lost = true;
	*ret = block;
	return 0;
}

/* The queue; s->lock is held in all of these. */

static void queue_push(struct shared *s, struct entry_block *block)
{
	*s->tail = block;
	s->tail = &block->next;
	s->size += block->size;
	if (!block->is_free)
		s->charged += block->size;
	if (s->size > s->peak)
		s->peak = s->size;
}

static struct entry_block *queue_pop(struct shared *s)
{
	struct entry_block *block = s->head;

	s->head = block->next;
	if (!s->head)
		s->tail = &s->head;
	s->size -= block->size;
	if (!block->is_free)
		s->charged -= block->size;
	return block;
}

static void queue_drop(struct shared *s, const struct loss *loss)
{
	loss_add(&s->dropped, loss);
	s->lost += loss->count;
}

static void wake(struct shared *s)
{
	if (s->idle && (s->head || s->dropped.count > 0)) {
		s->idle = false;
		pthread_cond_signal(&s->work);
	}
}

/* Ends a time of dropping: the `lost` goes where the dropped entries would have gone. */
static int queue_end_dropping(struct shared *s, struct builder *b)
{
	struct entry_block *block;
	int r = lost_build(&block, b, s, &s->dropped);

	if (r < 0)
		return r;
	s->dropped = (struct loss){ 0 };
	queue_push(s, block);
	return 0;
}

/* The thread. */

static void shared_free(struct shared *s)
{
	while (s->head)
		free(queue_pop(s));
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->done);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct timespec deadline_in(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Cut short by the stop, and then none. */
static void pause_for(struct shared *s, unsigned ms)
{
	struct timespec deadline = deadline_in(ms);

	while (!s->stop && pthread_cond_timedwait(&s->work, &s->lock, &deadline) != ETIMEDOUT)
		;
}

/* sd_journal_sendv says 0 where there is no journald to send to; that is loss like any other. */
static int send_to_journald(const struct iovec *iov, int n)
{
	if (access(SOCKET, F_OK) < 0)
		return -errno;
	return sd_journal_sendv(iov, n);
}

/* Sends without the lock. 0 or -errno. */
static int send_once(struct shared *s, const struct entry_block *block)
{
	int r;

	pthread_mutex_unlock(&s->lock);
	r = s->send(block->fields, block->n);
	pthread_mutex_lock(&s->lock);
	return r < 0 ? r : 0;
}

static int send_patiently(struct shared *s, const struct entry_block *block)
{
	int r = send_once(s, block);

	for (unsigned i = 1; r < 0 && i < TRIES && !s->stop; i++) {
		pause_for(s, i * PAUSE_MS);
		r = send_once(s, block);
	}
	return r;
}

/* Says what was refused, which comes before all that waits. */
static int send_refused(struct shared *s, struct builder *b)
{
	struct entry_block *block;
	int r = lost_build(&block, b, s, &s->refused);

	if (r < 0)
		return r;
	r = send_once(s, block);
	free(block);
	if (r < 0)
		return r;
	s->written++;
	s->refused = (struct loss){ 0 };
	return 0;
}

static void send_head(struct shared *s)
{
	int r = send_patiently(s, s->head);
	struct entry_block *block = queue_pop(s);

	if (r == 0) {
		s->written++;
	} else {
		loss_add(&s->refused, &block->loss);
		if (!block->is_lost)
			s->lost += block->loss.count;
	}
	free(block);
}

static void wait_for_work(struct shared *s)
{
	s->idle = true;
	pthread_cond_wait(&s->work, &s->lock);
	s->idle = false;
}

static void run_locked(struct shared *s, struct builder *b)
{
	while (!s->abandoned) {
		int r = 0;

		if (s->dropped.count > 0 && s->charged <= s->limit / 2)
			r = queue_end_dropping(s, b);
		if (r == 0 && s->refused.count > 0)
			r = send_refused(s, b);
		if (r < 0) {
			/* No memory, or no journald. */
			if (s->stop)
				return;
			pause_for(s, PAUSE_MS_LONG);
		} else if (s->head) {
			send_head(s);
		} else if (s->stop) {
			return;
		} else {
			wait_for_work(s);
		}
	}
}

static void *run(void *userdata)
{
	struct builder builder = { 0 };
	struct shared *s = userdata;
	bool last;

	pthread_mutex_lock(&s->lock);
	run_locked(s, &builder);
	free(builder.data);
	s->ended = true;
	last = --s->refs == 0;
	pthread_cond_signal(&s->done);
	pthread_mutex_unlock(&s->lock);
	if (last)
		shared_free(s);
	return NULL;
}

/* The event loop's side. */

/* One alone is always taken, whatever its size. */
static bool has_room(const struct shared *s, const struct entry_block *block)
{
	return block->is_free || s->charged == 0 || (s->charged < s->limit && block->size <= s->limit - s->charged);
}

/* Takes an entry of that loss, or drops it. block NULL: it could not be made. */
static void offer(struct shared *s, struct entry_block *block, const struct loss *loss)
{
	pthread_mutex_lock(&s->lock);
	if (!block || s->dropped.count > 0 || !has_room(s, block)) {
		queue_drop(s, loss);
	} else {
		queue_push(s, TAKE_PTR(block));
		if (s->size >= WAKE_SIZE)
			wake(s);
	}
	pthread_mutex_unlock(&s->lock);
	free(block);
}

/* While entries are dropped, no entry is made. */
static bool drops(struct shared *s, const struct loss *loss)
{
	bool dropping;

	pthread_mutex_lock(&s->lock);
	dropping = s->dropped.count > 0;
	if (dropping)
		queue_drop(s, loss);
	pthread_mutex_unlock(&s->lock);
	return dropping;
}

static void journal_write(struct journal *journal, const struct event *event)
{
	struct loss loss = loss_of_event(event);
	struct entry_block *block = NULL;

	if (drops(journal->shared, &loss))
		return;
	if (block_build(&block, &journal->builder, event, journal->keys) == 0) {
		block->loss = loss;
		block->is_free = event->snapshot;
	}
	offer(journal->shared, block, &loss);
}

static void follow(struct journal *journal)
{
	journal->behind = journal->filter && filter_follow(journal->filter, journal->table) < 0;
}

static bool was_told(const struct journal *journal, const struct event *event)
{
	return event->told > journal->joined || (journal->snapshot && event->born <= journal->joined);
}

static struct journal *journal_of(struct sink *sink)
{
	return (struct journal *)((char *)sink - offsetof(struct journal, sink));
}

static void sink_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct journal *journal = journal_of(sink);

	(void)encoder;
	if (!journal->table || event->type == EVENT_LIVE)
		return;
	if (journal->behind)
		follow(journal);
	if (event->type == EVENT_EXITED && !was_told(journal, event))
		return;
	if (journal->filter && !filter_pass(journal->filter, event))
		return;
	journal_write(journal, event);
}

static void sink_flush(struct sink *sink)
{
	struct journal *journal = journal_of(sink);

	pthread_mutex_lock(&journal->shared->lock);
	wake(journal->shared);
	pthread_mutex_unlock(&journal->shared->lock);
}

static void sink_fork(struct sink *sink, const struct process *child)
{
	struct journal *journal = journal_of(sink);

	if (journal->table && journal->filter && filter_note_fork(journal->filter, child) < 0)
		journal->behind = true;
}

static void sink_exit(struct sink *sink, const struct process *process)
{
	struct journal *journal = journal_of(sink);

	if (journal->filter)
		filter_note_exit(journal->filter, process);
}

static const struct sink_ops ops = {
	.event = sink_event,
	.flush = sink_flush,
	.fork = sink_fork,
	.exit = sink_exit,
};

static int shared_new(struct shared **ret, const struct journal_config *config)
{
	struct shared *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return -ENOMEM;
	/* None of these can fail in glibc but for arguments that are wrong. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &attr);
	pthread_cond_init(&s->done, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&s->lock, NULL);
	s->refs = 1;
	s->send = config->send ? config->send : send_to_journald;
	s->boot = config->boot;
	s->limit = config->queue;
	s->tail = &s->head;
	*ret = s;
	return 0;
}

/* The signals are the event loop's: a thread inherits the mask that is in force when it is made. */
static int start_thread(struct journal *journal)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	journal->shared->refs++;
	r = pthread_create(&journal->thread, NULL, run, journal->shared);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		journal->shared->refs--;
		return -r;
	}
	pthread_setname_np(journal->thread, "journal");
	return 0;
}

int journal_new(struct journal **ret, const struct journal_config *config)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	int r;

	if (!journal)
		return -ENOMEM;
	pthread_once(&names_once, make_names);
	journal->sink.ops = &ops;
	journal->keys = config->keys;
	journal->snapshot = config->snapshot;
	journal->boot = config->boot;
	r = shared_new(&journal->shared, config);
	if (r < 0) {
		free(journal);
		return r;
	}
	r = start_thread(journal);
	if (r < 0) {
		shared_free(journal->shared);
		free(journal);
		return r;
	}
	journal->filter = config->filter;
	*ret = journal;
	return 0;
}

struct journal *journal_free(struct journal *journal, unsigned timeout_ms)
{
	struct timespec deadline = deadline_in(timeout_ms);
	struct shared *s;
	bool last;
	int r = 0;

	if (!journal)
		return NULL;
	s = journal->shared;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->work);
	while (!s->ended && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&s->done, &s->lock, &deadline);
	s->abandoned = true;
	last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (last) {
		pthread_join(journal->thread, NULL);
		shared_free(s);
	} else {
		pthread_detach(journal->thread);
	}
	filter_free(journal->filter);
	free(journal->builder.data);
	free(journal);
	return NULL;
}

struct sink *journal_sink(struct journal *journal)
{
	return &journal->sink;
}

static int write_snapshot(struct journal *journal)
{
	_cleanup_(proctable_cursor_free_p) struct proctable_cursor *cursor = NULL;
	const struct entry *entry;
	int r = proctable_cursor_new(&cursor, journal->table);

	if (r < 0)
		return r;
	journal->joined = proctable_cursor_clock(cursor);
	while ((entry = proctable_cursor_next(cursor))) {
		struct event event = {
			.type = EVENT_STARTED,
			.snapshot = true,
			.time = entry->process.start_time,
			.boot = journal->boot,
			.process = &entry->process,
			.source = entry->process.source,
			.position = journal->joined,
			.born = entry->born,
			.told = entry->told,
		};

		if (!journal->filter || filter_pass(journal->filter, &event))
			journal_write(journal, &event);
	}
	sink_flush(&journal->sink);
	return 0;
}

int journal_join(struct journal *journal, struct proctable *table)
{
	journal->table = table;
	journal->joined = proctable_clock(table);
	follow(journal);
	return journal->snapshot ? write_snapshot(journal) : 0;
}

void journal_set_queue(struct journal *journal, size_t queue)
{
	pthread_mutex_lock(&journal->shared->lock);
	journal->shared->limit = queue;
	pthread_mutex_unlock(&journal->shared->lock);
}

void journal_configure(struct journal *journal, key_set keys, struct filter *filter)
{
	journal->keys = keys;
	filter_free(journal->filter);
	journal->filter = filter;
	if (journal->table)
		follow(journal);
}

void journal_stats(struct journal *journal, struct journal_stats *ret)
{
	struct shared *s = journal->shared;

	pthread_mutex_lock(&s->lock);
	*ret = (struct journal_stats){
		.written = s->written,
		.lost = s->lost,
		.queue = s->size,
		.queue_peak = s->peak,
	};
	pthread_mutex_unlock(&s->lock);
}
