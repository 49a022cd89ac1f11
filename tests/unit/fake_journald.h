/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the tests of the journal output: a journald that keeps what is sent to it, blocks while its gate is shut and
 * refuses entries on demand; events to send; and what an entry has.
 */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "output/journal.h"
#include "tap.h"

struct sent {
	struct iovec *fields;
	int n;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct sent *sent;
static size_t n_sent;
static unsigned n_calls, n_inside, to_refuse;
static bool shut;
static sigset_t mask_of_thread;
static uint64_t marked; /* the number in the last mark, which is not among what was sent; 0: there was none */

static inline uint64_t mark_of(const struct iovec *iov, int n)
{
	static const char type[] = "EXECSNOOP_TYPE=mark", last[] = "EXECSNOOP_LAST_SEQ=";
	bool is_mark = false;
	uint64_t seq = 0;

	for (int i = 0; i < n; i++) {
		struct bytes one = { iov[i].iov_base, iov[i].iov_len };
		char number[24];

		is_mark |= bytes_equal(one, BYTES(type));
		if (one.size <= strlen(last) || memcmp(one.data, last, strlen(last)) != 0)
			continue;
		snprintf(number, sizeof(number), "%.*s", (int)(one.size - strlen(last)), one.data + strlen(last));
		seq = strtoull(number, NULL, 10);
	}
	return is_mark ? seq : 0;
}

static inline struct sent copy_of(const struct iovec *iov, int n)
{
	struct sent copy = { calloc((unsigned)n, sizeof(struct iovec)), n };

	for (int i = 0; i < n; i++) {
		char *data = malloc(iov[i].iov_len + 1);

		memcpy(data, iov[i].iov_base, iov[i].iov_len);
		data[iov[i].iov_len] = '\0';
		copy.fields[i] = (struct iovec){ data, iov[i].iov_len };
	}
	return copy;
}

static inline int fake_send(const struct iovec *iov, int n)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	n_calls++;
	n_inside++;
	pthread_sigmask(SIG_SETMASK, NULL, &mask_of_thread);
	pthread_cond_broadcast(&changed);
	while (shut)
		pthread_cond_wait(&changed, &lock);
	if (to_refuse > 0) {
		to_refuse--;
		r = -ECONNREFUSED;
	} else if (mark_of(iov, n) > 0) {
		marked = mark_of(iov, n);
		n_calls--;
	} else {
		sent = reallocarray(sent, n_sent + 1, sizeof(*sent));
		sent[n_sent++] = copy_of(iov, n);
	}
	n_inside--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return r;
}

static inline void set_gate(bool to)
{
	pthread_mutex_lock(&lock);
	shut = to;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static inline void refuse(unsigned times)
{
	pthread_mutex_lock(&lock);
	to_refuse = times;
	pthread_mutex_unlock(&lock);
}

static inline void wait_until_inside(void)
{
	pthread_mutex_lock(&lock);
	while (n_inside == 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static inline void wait_for_sent(size_t n)
{
	tap_limit(30);
	pthread_mutex_lock(&lock);
	while (n_sent < n)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* The value of the field's i-th occurrence, *ret_size if not NULL; NULL: it is not there. */
static inline const char *nth(const struct sent *entry, const char *field, size_t i, size_t *ret_size)
{
	size_t size = strlen(field);

	for (int k = 0; k < entry->n; k++) {
		const char *data = entry->fields[k].iov_base;

		if (strncmp(data, field, size) != 0 || data[size] != '=' || i-- > 0)
			continue;
		if (ret_size)
			*ret_size = entry->fields[k].iov_len - size - 1;
		return data + size + 1;
	}
	return NULL;
}

static inline const char *field(const struct sent *entry, const char *name)
{
	CHECK(nth(entry, name, 1, NULL) == NULL);
	return nth(entry, name, 0, NULL);
}

static inline uint64_t number(const struct sent *entry, const char *name)
{
	const char *value = field(entry, name);

	CHECK(value != NULL);
	return strtoull(value, NULL, 10);
}

static inline size_t count(const struct sent *entry, const char *name)
{
	size_t n = 0;

	while (nth(entry, name, n, NULL))
		n++;
	return n;
}

static inline bool has_bytes(const struct sent *entry, const char *name, size_t i, struct bytes value)
{
	size_t size = 0;
	const char *data = nth(entry, name, i, &size);

	return data && bytes_equal((struct bytes){ data, size }, value);
}

static inline struct journal *journal_with(size_t queue, bool snapshot, struct filter *filter)
{
	struct journal_config config = {
		.queue = queue,
		.args_limit = UINT64_MAX,
		.keys = KEYS_ALL,
		.filter = filter,
		.snapshot = snapshot,
		.boot = 0xb007,
		.send = fake_send,
	};
	struct journal *journal = NULL;

	CHECK_INT(journal_new(&journal, &config), 0);
	return journal;
}

static struct proctable *table;

static inline struct journal *joined(size_t queue)
{
	struct journal *journal = journal_with(queue, false, NULL);

	if (!table)
		CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(journal_join(journal, table), 0);
	return journal;
}

static inline void write_event(struct journal *journal, const struct event *event)
{
	struct sink *sink = journal_sink(journal);

	sink->ops->event(sink, event, NULL);
}

static inline void flush(struct journal *journal)
{
	struct sink *sink = journal_sink(journal);

	sink->ops->flush(sink, false);
}

#define ARGS(literal) ((struct bytes){ (literal), sizeof(literal) }) /* its last NUL is the last argument's */

static inline struct process curl(void)
{
	return (struct process){
		.tgid = 22022,
		.start = 123456789,
		.start_time = UINT64_C(1509722216890551865),
		.ppid = 15785,
		.parent_start = 1,
		.uid = 1000,
		.gid = 100,
		.loginuid = PROCESS_UNSET,
		.session_id = PROCESS_UNSET,
		.comm = BYTES("curl"),
		.parent_comm = BYTES("bash"),
		.ancestors = ARGS("bash\0sshd\0systemd"),
		.image = {
			.exe = BYTES("/usr/bin/curl"),
			.filename = BYTES("/bin/curl"),
			.args = ARGS("curl\0-O\0https://x.y/z"),
			.argc = 3,
			.args_size = 22,
			.cwd = BYTES("/root"),
			.env = ARGS("PATH=/bin\0a.b=c=d"),
		},
	};
}

static inline struct event event_of(enum event_type type, const struct process *process)
{
	static uint64_t seq;

	return (struct event){
		.type = type,
		.seq = ++seq,
		.time = UINT64_C(1509722216890551865),
		.process = process,
		.announced = UINT64_MAX,
	};
}

static inline void write_started(struct journal *journal, unsigned times)
{
	const struct process process = curl();

	while (times-- > 0) {
		struct event event = event_of(EVENT_STARTED, &process);

		write_event(journal, &event);
	}
}

/* One event through a journal: its entry. */
static inline const struct sent *entry_of_keys(const struct event *event, key_set keys)
{
	struct journal *journal = joined(1 << 20);
	size_t n = n_sent;

	journal_configure(journal, keys, false, NULL);
	write_event(journal, event);
	flush(journal);
	wait_for_sent(n + 1);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, n + 1);
	return &sent[n];
}

static inline const struct sent *entry_of(const struct event *event)
{
	return entry_of_keys(event, KEYS_ALL);
}

enum { MANY = 100000 };

static inline struct bytes many(const char *two)
{
	static char data[MANY * 3];

	for (size_t i = 0; i < MANY; i++)
		memcpy(data + 3 * i, two, 3);
	return (struct bytes){ data, sizeof(data) };
}
