/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one daemon to the next, by way of systemd's file descriptor store. The probes and their ring buffer are there as long
 * as the daemon runs, the connections of the subscribers soon after they are made, and the checkpoint. A daemon that ends in order
 * leaves three archives besides. So:
 *
 *  - after a restart or an upgrade the table and all queues go on; nobody notices;
 *  - after a crash the table is read anew, what waits in the ring is told, and what was in the queues is told as lost.
 */
#include <errno.h>
#include <string.h>

#include "daemon/daemon_internal.h"
#include "daemon/unit_job.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/notify.h"

#define KEEP_MS 500    /* for systemd to take what it is to keep, at the start */
#define LEAVE_MS 100   /* for outputs to take what is queued, before the rest goes to the next daemon */
#define GRACE_US 20000 /* both sets of probes see all: calls that had begun before the second did have ended */

#define ARCHIVE_STATE "state"
#define ARCHIVE_JOURNAL "journal"
#define ARCHIVE_SUBSCRIBERS "subscribers"
#define LEDGER "ledger"

#define PATIENCE_MS 1000 /* for readers, while what waited in the last daemon's ring is told */
#define JOB_MS 200	 /* for systemd to say what it is about to do */
#define TRIES 4		 /* of going on from one checkpoint; systemd gives up after five starts in ten seconds */

/* What was left under that name; NULL: nothing, or nothing that can be read. Once: what the daemon dies of is not given
 * to the next one again. */
static struct archive *take_archive(struct daemon *d, const char *name)
{
	_cleanup_close_ int fd = fdstore_take(d->store, name);
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

void daemon_resume_subscribers(struct daemon *d)
{
	_cleanup_(archive_free_p) struct archive *archive = take_archive(d, ARCHIVE_SUBSCRIBERS);
	int r = archive && d->previous && !d->crashed ? server_archive(d->server, archive, d->store) : 0;

	if (r < 0)
		log_warning("some subscribers could not be restored: %s", strerror(-r));
	if (d->crashed)
		log_info("%u subscribers stay connected", server_resume(d->server, d->left, d->store));
	proctable_settle(pipeline_table(d->pipeline));
	/* What waits in the last daemon's ring may be more than their queues hold. */
	server_set_drain_budget(d->server, d->previous ? PATIENCE_MS : 0);
}

bool daemon_resume_journal(struct daemon *d)
{
	_cleanup_(archive_free_p) struct archive *archive = take_archive(d, ARCHIVE_JOURNAL);
	int r;

	if (d->crashed && d->left->journal.joined) {
		journal_resume(d->journal, pipeline_table(d->pipeline), &d->left->journal);
		return true;
	}
	if (!archive || !d->previous || d->crashed)
		return false;
	r = journal_archive(d->journal, pipeline_table(d->pipeline), archive);
	if (r < 0)
		log_warning("entries that waited for the journal could not be restored: %s", strerror(-r));
	return r == 0;
}

static int state_archive(struct daemon *d, struct archive *archive)
{
	uint64_t boot = d->boot;
	int r;

	ARCHIVE(archive, boot);
	if (boot != d->boot)
		archive_fail(archive);
	r = pipeline_archive(d->pipeline, archive);
	return r < 0 ? r : consumer_archive(d->consumer, archive);
}

static int leave_archive(const char *name, struct archive *archive)
{
	_cleanup_close_ int fd = -1;
	int r = archive_seal(archive, &fd);

	if (r == 0)
		fdstore_keep(name, fd);
	return r;
}

static int leave_state(struct daemon *d)
{
	_cleanup_(archive_free_p) struct archive *archive = NULL;
	int r = archive_new(&archive);

	if (r == 0)
		r = state_archive(d, archive);
	return r < 0 ? r : leave_archive(ARCHIVE_STATE, archive);
}

static int leave_journal(struct daemon *d)
{
	_cleanup_(archive_free_p) struct archive *archive = NULL;
	int r = archive_new(&archive);

	if (r == 0)
		r = journal_archive(d->journal, pipeline_table(d->pipeline), archive);
	return r < 0 ? r : leave_archive(ARCHIVE_JOURNAL, archive);
}

static int leave_subscribers(struct daemon *d)
{
	_cleanup_(archive_free_p) struct archive *archive = NULL;
	int r = archive_new(&archive);

	if (r == 0)
		r = server_archive(d->server, archive, d->store);
	return r < 0 ? r : leave_archive(ARCHIVE_SUBSCRIBERS, archive);
}

/* Where nobody says whether this is a stop or a restart all is left, since after a stop systemd closes all of its store;
 * but for the file of the listening socket, which would stay. */
void daemon_leave(struct daemon *d)
{
	enum unit_job job = d->checkpoint ? unit_job(JOB_MS) : UNIT_JOB_STOP;
	int r;

	if (job == UNIT_JOB_STOP)
		return;
	if (d->server)
		server_drain(d->server, LEAVE_MS);
	r = d->journal ? leave_journal(d) : 0;
	if (r == 0 && d->server)
		r = leave_subscribers(d);
	/* Last: without it, what one that was killed meanwhile has left is read as after any crash. */
	if (r == 0)
		r = leave_state(d);
	d->journal = journal_free(d->journal, 0);
	if (r < 0)
		log_error("the state for the next daemon could not be saved: %s", strerror(-r));
	else
		d->server = server_leave(d->server, job == UNIT_JOB_RESTART);
}

void daemon_keep_checkpoint(struct daemon *d)
{
	if (!d->checkpoint)
		return;
	checkpoint_commit(d->checkpoint);
	if (d->checkpoint_is_kept)
		return;
	fdstore_forget(LEDGER); /* one that was no use */
	fdstore_keep(LEDGER, checkpoint_fd(d->checkpoint));
}

/* Where the last daemon ended: first what its probes saw since, then ours in their place. */
static int go_on(struct daemon *d)
{
	int r;

	d->loaded_processes = (unsigned)proctable_count(pipeline_table(d->pipeline));
	if (daemon_start_outputs(d) < 0)
		return DAEMON_FAILED;
	r = consumer_set_previous(d->consumer, d->previous);
	if (r == 0)
		r = consumer_settle(d->consumer);
	if (r == 0)
		r = daemon_start_probe(d);
	if (r > 0)
		return r;
	if (r == 0) {
		usleep(GRACE_US);
		r = consumer_set_source(d->consumer, probe_source(d->probe));
	}
	if (r == 0)
		r = daemon_make_resync(d);
	if (r < 0) {
		log_error("taking over from the previous daemon: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	d->previous = record_source_free(d->previous);
	return DAEMON_OK;
}

/* When the last stream joined that was shown all that was there. */
static uint64_t last_snapshot(const struct checkpoint_page *left)
{
	uint64_t last = left->journal.joined && left->journal.had_snapshot ? left->journal.joined_ns : 0;

	for (size_t i = 0; i < CHECKPOINT_SUBSCRIBERS; i++) {
		const struct checkpoint_subscriber *subscriber = &left->subscribers[i];

		if (subscriber->slot != 0 && subscriber->stream.had_snapshot && subscriber->stream.joined_ns > last)
			last = subscriber->stream.joined_ns;
	}
	return last;
}

/*
 * After a crash. What the table was then: who was there before the first record that waits, as they are now; the records make
 * the rest of it, and its events. Who died between is not known any more: those ends are told as lost.
 */
static int rebuild(struct daemon *d, uint64_t before)
{
	const struct checkpoint_page *left = d->left;
	int r = daemon_make_pipeline(d);

	if (r < 0)
		return r;
	consumer_resume(d->consumer, &left->counters);
	r = daemon_make_resync(d);
	if (r == 0)
		r = resync_load(d->resync, before);
	if (r < 0)
		return r;
	pipeline_resume(d->pipeline, &left->counters, last_snapshot(left));
	d->loaded_processes = (unsigned)proctable_count(pipeline_table(d->pipeline));
	pipeline_go_live(d->pipeline);
	return 0;
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

static int resume_after_crash(struct daemon *d)
{
	uint64_t before = first_record_time(d->previous);
	int r;

	if (before == 0)
		before = clock_ns(CLOCK_BOOTTIME);
	log_notice("the previous daemon did not shut down cleanly; resuming after event %llu",
		   (unsigned long long)d->left->counters.seq);
	r = daemon_start_probe(d);
	if (r != DAEMON_OK)
		return r;
	r = rebuild(d, before);
	if (r == 0 && daemon_start_outputs(d) < 0)
		return DAEMON_FAILED;
	if (r == 0) {
		usleep(GRACE_US);
		pipeline_set_replay(d->pipeline, true);
		r = consumer_set_previous(d->consumer, d->previous);
		if (r == 0)
			r = consumer_set_source(d->consumer, probe_source(d->probe));
		pipeline_set_replay(d->pipeline, false);
	}
	if (r < 0) {
		log_error("taking over from the previous daemon: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	d->previous = record_source_free(d->previous);
	return DAEMON_OK;
}

/* The table and all that goes with it; false: there is none, and nothing of it is left. */
static bool resume_state(struct daemon *d)
{
	_cleanup_(archive_free_p) struct archive *archive = take_archive(d, ARCHIVE_STATE);
	int r;

	if (!archive || !d->previous)
		return false;
	r = daemon_make_pipeline(d);
	if (r == 0)
		r = state_archive(d, archive);
	if (r == 0)
		return true;
	log_warning("the state of the previous daemon cannot be read: %s", strerror(-r));
	d->consumer = consumer_free(d->consumer);
	d->pipeline = pipeline_free(d->pipeline);
	return false;
}

int daemon_make_checkpoint(struct daemon *d)
{
	_cleanup_close_ int fd = fdstore_take(d->store, LEDGER);
	int r = fd < 0 ? -ENOENT : checkpoint_open(&d->checkpoint, fd, d->boot);

	if (r == 0) {
		TAKE_FD(fd);
		d->left = checkpoint_left(d->checkpoint);
		/* What daemons die of is not for all that come after. */
		if (d->left->tries++ < TRIES) {
			d->checkpoint_is_kept = true;
			checkpoint_note_faults(d->checkpoint);
			return 0;
		}
		d->left = NULL;
		d->checkpoint = checkpoint_free(d->checkpoint);
	} else if (fd >= 0) {
		log_warning("state \"%s\" of the previous daemon: %s", LEDGER, strerror(-r));
	}
	r = checkpoint_new(&d->checkpoint, d->boot);
	if (r == 0)
		checkpoint_note_faults(d->checkpoint);
	return r;
}

static int resume(struct daemon *d)
{
	if (resume_state(d))
		return go_on(d);
	d->crashed = d->left && d->previous;
	return d->crashed ? resume_after_crash(d) : daemon_begin(d);
}

/* Those of the last daemon are there until all of ours are, and the checkpoint says so. */
static void keep_probes(struct daemon *d)
{
	struct checkpoint_counters *counters = &checkpoint_page(d->checkpoint)->counters;
	uint32_t last = counters->probes;

	probe_store(d->probe, counters->reads);
	/* From then on a crash is gone on from with ours. If systemd has not got them yet, it is a start as any other. */
	if (!notify_flush(KEEP_MS))
		log_warning("systemd has not stored the probes yet: a crash would lose events");
	__atomic_store_n(&counters->probes, counters->reads, __ATOMIC_RELEASE);
	record_source_forget(last);
}

int daemon_begin_or_go_on(struct daemon *d)
{
	size_t strange;
	int r = d->left ? record_source_restore(&d->previous, d->store, d->left->counters.probes) : 0;

	if (r < 0)
		log_warning("the probes of the previous daemon cannot be used: %s", strerror(-r));
	r = resume(d);
	if (d->server)
		server_set_drain_budget(d->server, 0);
	d->left = NULL;
	d->crashed = false;
	strange = fdstore_discard(d->store);
	if (strange > 0)
		log_info("closed %zu unknown file descriptors from the fd store", strange);
	if (r == DAEMON_OK && d->checkpoint) {
		checkpoint_forget_left(d->checkpoint);
		keep_probes(d);
	}
	return r;
}
