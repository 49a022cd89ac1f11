/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one daemon to the next, by way of systemd's file descriptor store. The store holds the probes and their ring
 * buffer as long as a daemon runs, the connections of its subscribers soon after they are made, and its checkpoint. A
 * daemon that ends in order adds three archives. So:
 *
 *  - after a restart or an upgrade the table and all queues continue where they were;
 *  - after a crash the table is read again, what waits in the ring makes events, and what was in the queues is reported
 * as lost.
 *
 * What the previous daemon stored stays in the store until all that replaces it is there, and one store to the
 * checkpoint's memory decides which of the two counts: a daemon may be killed at any moment of its start.
 */
#pragma once

#include "daemon/daemon_internal.h"
#include "handover/archive.h"
#include "handover/fdstore.h"
#include "kernel/record_source.h"

enum handover_kind {
	HANDOVER_FRESH,	  /* there is nothing to continue from */
	HANDOVER_CLEAN,	  /* the previous daemon ended in order */
	HANDOVER_CRASHED, /* it did not */
};

struct handover {
	enum handover_kind kind;
	struct fdstore *store; /* what systemd passed */
	struct checkpoint_page
		*previous; /* of the previous daemon; NULL: there is none. FRESH: its listening socket at most */
	bool checkpoint_is_stored;    /* in systemd's store: it was the previous daemon's */
	struct record_source *source; /* its probes and their ring; NULL: FRESH */
	uint64_t backlog_ns;	      /* when the first record that waits there was made, else now; CLOCK_BOOTTIME */
	struct archive *state;	      /* CLEAN. Table, pipeline and consumer: see handover_archive_state() */
	struct archive *journal, *subscribers; /* NULL: there is none */
};

/* What is in the store, which has to be set; the rest has to be zero. *ret: the checkpoint to write, the caller's;
 * `previous` is part of it. 0 or -errno. */
int handover_open(struct handover *handover, struct checkpoint **ret, uint64_t boot);
/* Frees what is in it; systemd's store stays as it is. */
void handover_close(struct handover *handover);

/* The state could not be read: CRASHED. */
void handover_reject_state(struct handover *handover);
/* 0 or -errno, also of the archive; -EBADMSG too where it is of another boot. */
int handover_archive_state(struct archive *archive, struct daemon *daemon);

/* From now on the next daemon continues from the page that this one writes. */
void handover_commit_checkpoint(struct handover *handover, struct checkpoint *checkpoint);
/* And with the probes of this one. Those of the previous one end, as does all else that it left. */
void handover_commit_probes(struct handover *handover, struct checkpoint *checkpoint, struct probe *probe);

/* The end: adds the archives, if a next daemon is expected, and frees the outputs that are in them. */
void handover_save(struct daemon *daemon);
