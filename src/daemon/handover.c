/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/handover.h"

#include <string.h>

#include "daemon/unit_job.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/notify.h"

#define STORE_MS 500 /* for systemd to take the probes into its store, at the start */
#define DRAIN_MS 100 /* for outputs to write what is queued, before the rest is archived */
#define JOB_MS 200   /* for systemd to report what it is about to do */
#define TRIES_MAX 4  /* starts from one checkpoint; systemd gives up after five in ten seconds */

#define ARCHIVE_STATE "state"
#define ARCHIVE_JOURNAL "journal"
#define ARCHIVE_SUBSCRIBERS "subscribers"
#define CHECKPOINT "ledger"

/* The start. */

/* NULL: there is none of that name, or it can't be read. It leaves systemd's store, so that a daemon that crashes on it
 * does not get it twice. */
static struct archive *take_archive(struct handover *h, const char *name)
{
	_cleanup_close_ int fd = fdstore_take(h->store, name);
	struct archive *archive = NULL;
	int r;

	if (fd < 0)
		return NULL;
	fdstore_forget(name);
	r = archive_open(&archive, fd);
	if (r < 0)
		log_warning("state \"%s\" of the previous daemon: %s", name, strerror(-r));
	return r < 0 ? NULL : archive;
}

/* The previous daemon's checkpoint, to continue in. NULL: there is none, or too many have started from it. */
static struct checkpoint *take_checkpoint(struct handover *h, uint64_t boot)
{
	_cleanup_close_ int fd = fdstore_take(h->store, CHECKPOINT);
	struct checkpoint *checkpoint;
	int r;

	if (fd < 0)
		return NULL;
	r = checkpoint_open(&checkpoint, fd, boot);
	if (r < 0) {
		log_warning("state \"%s\" of the previous daemon: %s", CHECKPOINT, strerror(-r));
		return NULL;
	}
	TAKE_FD(fd);
	h->previous = checkpoint_previous(checkpoint);
	if (h->previous->tries++ < TRIES_MAX) {
		h->checkpoint_is_stored = true;
		return checkpoint;
	}
	h->previous = NULL;
	return checkpoint_free(checkpoint);
}

/* CLOCK_BOOTTIME of the first record that waits; 0: there is none. */
static uint64_t first_record_time(const struct record_source *source)
{
	const void *data;
	size_t size;

	return ringbuf_peek(source->ring, &data, &size) && size >= sizeof(struct record_head)
		       ? ((const struct record_head *)data)->time
		       : 0;
}

int handover_open(struct handover *h, struct checkpoint **ret, uint64_t boot)
{
	struct checkpoint *checkpoint = take_checkpoint(h, boot);
	uint64_t now = clock_ns(CLOCK_BOOTTIME), first;
	int r = checkpoint ? 0 : checkpoint_new(&checkpoint, boot);

	if (r < 0)
		return r;
	checkpoint_note_faults(checkpoint);
	*ret = checkpoint;
	if (!h->previous)
		return 0;
	r = record_source_restore(&h->source, h->store, h->previous->counters.probes);
	if (r < 0)
		log_warning("the probes of the previous daemon cannot be used: %s", strerror(-r));
	if (!h->source)
		return 0;
	first = first_record_time(h->source);
	h->backlog_ns = first > 0 ? first : now;
	/* The state first: without it the others are not used. */
	h->state = take_archive(h, ARCHIVE_STATE);
	h->subscribers = take_archive(h, ARCHIVE_SUBSCRIBERS);
	h->journal = take_archive(h, ARCHIVE_JOURNAL);
	h->kind = h->state ? HANDOVER_CLEAN : HANDOVER_CRASHED;
	return 0;
}

void handover_close(struct handover *h)
{
	archive_free(h->state);
	archive_free(h->subscribers);
	archive_free(h->journal);
	record_source_free(h->source);
	fdstore_free(h->store);
}

void handover_reject_state(struct handover *h)
{
	h->state = archive_free(h->state);
	h->kind = HANDOVER_CRASHED;
}

int handover_archive_state(struct archive *archive, struct daemon *d)
{
	uint64_t boot = d->boot;
	int r;

	ARCHIVE(archive, boot);
	if (boot != d->boot)
		archive_fail(archive);
	r = pipeline_archive(d->pipeline, archive);
	return r < 0 ? r : consumer_archive(d->consumer, archive);
}

void handover_commit_checkpoint(struct handover *h, struct checkpoint *checkpoint)
{
	checkpoint_commit(checkpoint);
	if (h->checkpoint_is_stored)
		return;
	fdstore_forget(CHECKPOINT); /* one that could not be used */
	fdstore_keep(CHECKPOINT, checkpoint_fd(checkpoint));
}

void handover_commit_probes(struct handover *h, struct checkpoint *checkpoint, struct probe *probe)
{
	struct checkpoint_counters *counters = &checkpoint_page(checkpoint)->counters;
	uint32_t last = counters->probes;

	h->source = record_source_free(h->source);
	h->previous = NULL;
	checkpoint_forget_previous(checkpoint);
	probe_store(probe, counters->reads);
	/* If systemd has not got them, the next daemon starts as if there had been none. */
	if (!notify_flush(STORE_MS))
		log_warning("systemd has not stored the probes yet: a crash would lose events");
	__atomic_store_n(&counters->probes, counters->reads, __ATOMIC_RELEASE);
	record_source_forget(last);
}

/* The end. */

static int store_archive(struct daemon *d, const char *name, int (*write)(struct archive *archive, struct daemon *d))
{
	_cleanup_(archive_free_p) struct archive *archive = NULL;
	_cleanup_close_ int fd = -1;
	int r = archive_new(&archive);

	if (r < 0)
		return r;
	r = write(archive, d);
	if (r < 0)
		return r;
	r = archive_seal(archive, &fd);
	if (r < 0)
		return r;
	fdstore_keep(name, fd);
	return 0;
}

static int write_journal(struct archive *archive, struct daemon *d)
{
	return journal_archive(d->journal, pipeline_table(d->pipeline), archive);
}

static int write_subscribers(struct archive *archive, struct daemon *d)
{
	return server_archive(d->server, archive, NULL);
}

static int store_archives(struct daemon *d)
{
	int r;

	if (d->journal) {
		r = store_archive(d, ARCHIVE_JOURNAL, write_journal);
		if (r < 0)
			return r;
	}
	if (d->server) {
		r = store_archive(d, ARCHIVE_SUBSCRIBERS, write_subscribers);
		if (r < 0)
			return r;
	}
	/* Last: a daemon that is killed before this has crashed for the next one. */
	return store_archive(d, ARCHIVE_STATE, handover_archive_state);
}

/* Where systemd does not report whether this is a stop or a restart, all is stored, since after a stop it empties the
 * store; but not the listening socket, whose file would stay. */
void handover_save(struct daemon *d)
{
	enum unit_job job = d->checkpoint ? unit_job(JOB_MS) : UNIT_JOB_STOP;
	int r;

	if (job == UNIT_JOB_STOP)
		return;
	if (d->server)
		server_drain(d->server, DRAIN_MS);
	r = store_archives(d);
	if (d->journal)
		pipeline_remove_sink(d->pipeline, journal_sink(d->journal));
	d->journal = journal_free(d->journal, 0);
	if (r < 0)
		log_error("the state for the next daemon could not be saved: %s", strerror(-r));
	else if (d->server) {
		pipeline_remove_sink(d->pipeline, server_sink(d->server));
		d->server = server_hand_over(d->server, job == UNIT_JOB_RESTART);
	}
}
