/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of the pipeline for the next daemon: in the archive at a clean stop, in the checkpoint as it changes. */
#include "pipeline/pipeline_internal.h"

void pipeline_write_checkpoint(struct pipeline *p)
{
	struct checkpoint_counters *checkpoint = p->config.checkpoint;

	if (!checkpoint)
		return;
	checkpoint->stream = p->stream.id;
	checkpoint->seq = p->stream.last_seq;
	checkpoint->unreported = p->unreported;
	checkpoint->listed = p->listed;
	checkpoint_loss(checkpoint)->lost_events = p->lost_events;
	checkpoint_loss(checkpoint)->lost_forks = p->lost_forks;
}

void pipeline_resume(struct pipeline *p, const struct checkpoint_counters *left, uint64_t shown)
{
	struct entry *entry = proctable_next(p->table, NULL);

	for (; entry; entry = proctable_next(p->table, entry))
		if (entry->process.execed || p->config.forks)
			entry->announced = proctable_clock(p->table);
	p->stream.id = left->stream;
	p->stream.last_seq = left->seq;
	p->shown = shown;
	p->unreported = left->unreported;
	p->listed = left->listed;
	p->lost_events = left->losses[left->probes].lost_events;
	p->lost_forks = left->losses[left->probes].lost_forks;
	pipeline_write_checkpoint(p);
}

void pipeline_set_lost(struct pipeline *p, uint32_t lost_events, uint32_t lost_forks)
{
	p->lost_events = lost_events;
	p->lost_forks = lost_forks;
	pipeline_write_checkpoint(p);
}

static void remove_kernel_threads(struct pipeline *p)
{
	struct entry *entry = proctable_next(p->table, NULL), *next;

	for (; entry; entry = next) {
		next = proctable_next(p->table, entry);
		if (entry->process.kernel_thread)
			proctable_remove(p->table, entry);
	}
}

int pipeline_archive(struct pipeline *p, struct archive *a)
{
	int r;

	ARCHIVE(a, p->stream.id);
	ARCHIVE(a, p->stream.last_seq);
	ARCHIVE(a, p->stats);
	ARCHIVE(a, p->lost_events);
	ARCHIVE(a, p->lost_forks);
	ARCHIVE(a, p->unreported);
	ARCHIVE(a, p->listed);
	ARCHIVE(a, p->shown);
	ARCHIVE(a, p->ended);
	r = path_search_archive(p->searches, a);
	if (r < 0)
		return r;
	r = arg_chunks_archive(p->enricher.chunks, a);
	if (r < 0)
		return r;
	r = proctable_archive(p->table, a, enrich_restored, &p->enricher);
	if (r < 0)
		return r;
	if (archive_is_reading(a)) {
		if (!p->config.kernel_threads)
			remove_kernel_threads(p);
		p->mode = LIVE;
		pipeline_write_checkpoint(p);
	}
	return 0;
}
