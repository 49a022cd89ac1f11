/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For each host and stream: are all its events there, and which are missing? */
#include <errno.h>
#include <inttypes.h>

#include "ctl/collect/verify.h"
#include "ctl/command/commands.h"
#include "ctl/text/event_text.h"

#define HOLES_SHOWN 100

static void put_time(const struct terminal *terminal, const struct options *options, uint64_t ns)
{
	char time[64];
	struct text text;

	text_begin(&text, time, sizeof(time));
	text_time(&text, ns, true, options->view.utc);
	fputs(time, terminal->out);
}

static void put_name(const struct terminal *terminal, const char *before, const char *name)
{
	char safe[256];
	struct text text;

	text_begin(&text, safe, sizeof(safe));
	text_name(&text, bytes_of(name));
	if (*name)
		fprintf(terminal->out, "%s%s", before, safe);
}

static void put_head(const struct terminal *terminal, const struct verify_stream *stream)
{
	bool missing = verify_is_missing(stream);

	terminal_color(terminal, missing ? COLOR_RED : stream->is_proved ? COLOR_GREEN : COLOR_YELLOW);
	fputs(terminal->utf8 ? "●" : "*", terminal->out);
	terminal_color(terminal, COLOR_NONE);
	put_name(terminal, " ", stream->host);
	put_name(terminal, " stream ", stream->id);
	fprintf(terminal->out, ": %s\n",
		missing		    ? "events are missing"
		: stream->is_proved ? "complete"
				    : "cannot be proved complete");
}

static void put_hole(const struct terminal *terminal, const struct options *options, const struct verify_hole *hole)
{
	fprintf(terminal->out, " Missing: ");
	if (hole->exact && hole->first == hole->last)
		fprintf(terminal->out, "seq %" PRIu64, hole->first);
	else
		fprintf(terminal->out, "%s seq %" PRIu64 " to %" PRIu64, hole->exact ? "all of" : "one or more of",
			hole->first, hole->last);
	if (hole->after > 0) {
		fputs(", after ", terminal->out);
		put_time(terminal, options, hole->after);
	}
	if (hole->before > 0) {
		fputs(", before ", terminal->out);
		put_time(terminal, options, hole->before);
	}
	fputc('\n', terminal->out);
}

static void put_missing(const struct terminal *terminal, const struct options *options,
			const struct verify_stream *stream)
{
	for (size_t i = 0; i < stream->hole_count && i < HOLES_SHOWN; i++)
		put_hole(terminal, options, &stream->holes[i]);
	if (stream->hole_count > HOLES_SHOWN)
		fprintf(terminal->out, "          and in %zu more places\n", stream->hole_count - HOLES_SHOWN);
	if (stream->missing_lines > 0)
		fprintf(terminal->out, " Missing: %" PRIu64 " lines, as marks count them\n", stream->missing_lines);
	if (!verify_is_missing(stream) && stream->is_proved)
		fputs(" Missing: nothing\n", terminal->out);
	if (!stream->is_proved && stream->reason)
		fprintf(terminal->out, "    Note: %s\n", stream->reason);
	if (stream->starts_after > 0)
		fprintf(terminal->out,
			"    Note: it begins after seq %" PRIu64
			", which is not here: it was removed, or is elsewhere\n",
			stream->starts_after);
	if (stream->repeated > 0)
		fprintf(terminal->out, "    Note: %" PRIu64 " events are there more than once\n", stream->repeated);
}

static void put_stream(const struct terminal *terminal, const struct options *options,
		       const struct verify_stream *stream)
{
	put_head(terminal, stream);
	fprintf(terminal->out, "  Events: %" PRIu64, stream->events);
	if (stream->first_seq > 0)
		fprintf(terminal->out, ", seq %" PRIu64 " to %" PRIu64, stream->first_seq, stream->last_seq);
	if (stream->first_time > 0) {
		fputs(", from ", terminal->out);
		put_time(terminal, options, stream->first_time);
		fputs(" to ", terminal->out);
		put_time(terminal, options, stream->last_time);
	}
	fprintf(terminal->out,
		"\n    Lost: %" PRIu64 " in the kernel, %" PRIu64 " by a reader, %" PRIu64
		" by the journal, as reported\n",
		stream->lost[LOST_KERNEL], stream->lost[LOST_SUBSCRIBER], stream->lost[LOST_JOURNAL]);
	put_missing(terminal, options, stream);
}

static int read_all(struct verify *verify, struct event_source *source, const struct options *options)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_next(source, &parsed)) > 0) {
		uint64_t time = parsed->event.time;

		if (time > 0 && (time < options->since || (options->until > 0 && time >= options->until)))
			continue;
		r = verify_add(verify, parsed);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : verify_end(verify);
}

int command_verify(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(verify_free_p) struct verify *verify = NULL;
	const struct verify_stream *stream;
	struct terminal terminal;
	bool missing = false;
	int r;

	if (options->arguments[0] || options->from_socket) {
		fprintf(stderr, "execsnoopctl: verify takes a journal or a file, and all of its events\n");
		return CTL_USAGE;
	}
	r = options_open(options, false, true, &source);
	if (r > 0)
		return r;
	if (verify_new(&verify) < 0 || read_all(verify, source, options) < 0)
		return CTL_FAILED;
	terminal_open(&terminal, options->color, !options->no_pager, options->full);
	for (stream = verify_first(verify); stream; stream = STAILQ_NEXT(stream, next)) {
		put_stream(&terminal, options, stream);
		missing |= verify_is_missing(stream);
	}
	if (terminal_close(&terminal) < 0)
		return CTL_FAILED;
	if (!verify_first(verify))
		fprintf(stderr, "execsnoopctl: there are no events\n");
	if (source->bad > 0)
		return CTL_DATA;
	return missing || !verify_first(verify) ? CTL_NOTHING : CTL_OK;
}
