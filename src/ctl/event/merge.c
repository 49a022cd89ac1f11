/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/event/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "ctl/event/event_parser.h"

/* Beyond these the oldest is due: a storm of programs that do not end; and of large command lines. */
#define HELD_MAX 4096
#define HELD_BYTES_MAX (16U << 20)

struct start {
	TAILQ_ENTRY(start) entry;
	uint64_t time;
	struct bytes id;
	size_t size;
	char line[]; /* and the id after it */
};

struct merge {
	TAILQ_HEAD(start_list, start) starts;
	size_t count, bytes;
	struct start *given; /* to the caller */
	struct event_parser *parser;
	struct parsed parsed;
};

int merge_new(struct merge **ret)
{
	_cleanup_(merge_free_p) struct merge *merge = calloc(1, sizeof(*merge));
	int r;

	if (!merge)
		return -ENOMEM;
	TAILQ_INIT(&merge->starts);
	r = event_parser_new(&merge->parser);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(merge);
	return 0;
}

static struct start *take(struct merge *merge, struct start *start)
{
	TAILQ_REMOVE(&merge->starts, start, entry);
	merge->count--;
	merge->bytes -= start->size;
	return start;
}

struct merge *merge_free(struct merge *merge)
{
	if (!merge)
		return NULL;
	while (!TAILQ_EMPTY(&merge->starts))
		free(take(merge, TAILQ_FIRST(&merge->starts)));
	free(merge->given);
	event_parser_free(merge->parser);
	free(merge);
	return NULL;
}

static int hold(struct merge *merge, const struct parsed *parsed)
{
	struct start *start = malloc(sizeof(*start) + parsed->line.size + parsed->id.size);

	if (!start)
		return -ENOMEM;
	start->time = parsed->event.time;
	start->size = parsed->line.size;
	memcpy(start->line, parsed->line.data, parsed->line.size);
	memcpy(start->line + start->size, parsed->id.data, parsed->id.size);
	start->id = (struct bytes){ start->line + start->size, parsed->id.size };
	TAILQ_INSERT_TAIL(&merge->starts, start, entry);
	merge->count++;
	merge->bytes += start->size;
	return 1;
}

int merge_add(struct merge *merge, const struct parsed *parsed)
{
	struct start *start;

	if (!parsed->id.data || !parsed->line.data)
		return 0;
	if (parsed->event.type == EVENT_STARTED && !parsed->event.snapshot)
		return hold(merge, parsed);
	if (parsed->event.type != EVENT_EXITED)
		return 0;
	/* The newest of it: an exec before that is a line of its own. */
	TAILQ_FOREACH_REVERSE(start, &merge->starts, start_list, entry)
	{
		if (bytes_equal(start->id, parsed->id)) {
			free(take(merge, start));
			break;
		}
	}
	return 0;
}

int merge_due(struct merge *merge, uint64_t now_ns, const struct parsed **ret)
{
	struct start *start = TAILQ_FIRST(&merge->starts);
	const char *reason;
	int r;

	free(merge->given);
	merge->given = NULL;
	if (!start || (merge->count <= HELD_MAX && merge->bytes <= HELD_BYTES_MAX && now_ns != UINT64_MAX &&
		       start->time + MERGE_NS > now_ns))
		return 0;
	merge->given = take(merge, start);
	r = event_parser_line(merge->parser, (struct bytes){ start->line, start->size }, &merge->parsed, &reason);
	*ret = &merge->parsed;
	return r < 0 ? r : 1;
}

bool merge_is_empty(const struct merge *merge)
{
	return TAILQ_EMPTY(&merge->starts);
}
