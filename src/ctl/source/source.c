/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/source.h"

int source_next(struct event_source *source, const struct parsed **ret)
{
	return source->ops->next(source, ret);
}

int source_wait(struct event_source *source, int timeout_ms)
{
	return source->ops->wait(source, timeout_ms);
}

struct event_source *source_free(struct event_source *source)
{
	if (source)
		source->ops->free(source);
	return NULL;
}
