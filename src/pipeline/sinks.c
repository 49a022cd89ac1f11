/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/sinks.h"

void sinks_add(struct sinks *sinks, struct sink *sink)
{
	struct sink **last = &sinks->first;

	while (*last)
		last = &(*last)->next;
	sink->next = NULL;
	*last = sink;
}

void sinks_remove(struct sinks *sinks, struct sink *sink)
{
	for (struct sink **at = &sinks->first; *at; at = &(*at)->next) {
		if (*at == sink) {
			*at = sink->next;
			sink->next = NULL;
			return;
		}
	}
}

void sinks_event(struct sinks *sinks, const struct event *event)
{
	sinks->encoder.event = event;
	for (struct sink *sink = sinks->first; sink; sink = sink->next)
		sink->ops->event(sink, event, &sinks->encoder);
	encoder_clear(&sinks->encoder);
}

void sinks_fork(struct sinks *sinks, const struct process *child)
{
	for (struct sink *sink = sinks->first; sink; sink = sink->next)
		if (sink->ops->fork)
			sink->ops->fork(sink, child);
}

void sinks_exit(struct sinks *sinks, const struct process *process)
{
	for (struct sink *sink = sinks->first; sink; sink = sink->next)
		if (sink->ops->exit)
			sink->ops->exit(sink, process);
}

void sinks_search_end(struct sinks *sinks, unsigned search, bool found)
{
	for (struct sink *sink = sinks->first; sink; sink = sink->next)
		if (sink->ops->search_end)
			sink->ops->search_end(sink, search, found);
}

void sinks_flush(struct sinks *sinks, bool behind)
{
	for (struct sink *sink = sinks->first; sink; sink = sink->next)
		if (sink->ops->flush)
			sink->ops->flush(sink, behind);
}

bool sinks_fold(const struct sinks *sinks)
{
	for (struct sink *sink = sinks->first; sink; sink = sink->next)
		if (sink->ops->folds && sink->ops->folds(sink))
			return true;
	return false;
}
