/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/quote.h"

static uint64_t bad;

uint64_t sources_bad(void)
{
	return bad;
}

void sources_add_bad(void)
{
	bad++;
}

void source_begin_message(void)
{
	struct stat out, err;

	/* Not where standard output is the pipe of a pager: it would draw them now, and the message would be drawn
	 * over. */
	if (fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 && out.st_dev == err.st_dev &&
	    out.st_ino == err.st_ino)
		fflush(stdout);
}

char *source_safe_name(const char *name)
{
	size_t size = 4 * strlen(name) + 16;
	char *safe = malloc(size);
	struct text text;

	if (!safe)
		return NULL;
	text_begin(&text, safe, size);
	text_name(&text, bytes_of(name));
	return safe;
}

bool source_is_unknown(const struct parsed *parsed)
{
	static const char *const others[] = { "subscribed", "rejected", "stats", "mark" };

	if (parsed->event.type != EVENT_TYPE_MAX)
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (bytes_equal(parsed->type, bytes_of(others[i])))
			return false;
	return true;
}

static void report_unknown(struct event_source *source, const struct parsed *parsed)
{
	struct unknown_types *types = &source->types;
	char name[sizeof(types->list[0].name)];
	struct text text;
	size_t i;

	text_begin(&text, name, sizeof(name));
	text_name(&text, parsed->type);
	for (i = 0; i < types->count && strcmp(types->list[i].name, name) != 0; i++)
		;
	if (i == UNKNOWN_TYPES_MAX) {
		types->list[i - 1].count++;
		return;
	}
	if (i == types->count) {
		source_begin_message();
		types->count++;
		strcpy(types->list[i].name, i + 1 < UNKNOWN_TYPES_MAX ? name : "");
		fputs(source->name, stderr);
		if (source->line > 0)
			fprintf(stderr, ":%" PRIu64, source->line);
		else if (parsed->event.seq > 0)
			fprintf(stderr, ": seq %" PRIu64, parsed->event.seq);
		fprintf(stderr, ": \"%s\" is no type of event that this version knows\n", name);
	}
	types->list[i].count++;
}

/* Those after the first. */
static void report_counts(const struct event_source *source)
{
	source_begin_message();
	for (size_t i = 0; i < source->types.count; i++) {
		uint64_t more = source->types.list[i].count - 1;
		const char *name = source->types.list[i].name;

		if (more > 0)
			fprintf(stderr, "%s: %" PRIu64 " more event%s of %s%s%s\n", source->name, more,
				more == 1 ? "" : "s", *name ? "the type \"" : "other unknown types", name,
				*name ? "\"" : "");
	}
}

int source_next(struct event_source *source, const struct parsed **ret)
{
	int r = source->ops->next(source, ret);

	if (r > 0 && !source->passes_unknown && source_is_unknown(*ret))
		report_unknown(source, *ret);
	return r;
}

int source_wait(struct event_source *source, int timeout_ms)
{
	return source->ops->wait(source, timeout_ms);
}

struct event_source *source_free(struct event_source *source)
{
	if (!source)
		return NULL;
	report_counts(source);
	source->ops->free(source);
	return NULL;
}
