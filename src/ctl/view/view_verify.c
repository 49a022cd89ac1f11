/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view/view_verify.h"

#include <inttypes.h>

#include "ctl/text/event_text.h"

#define HOLES_SHOWN 100

static void put_time(const struct terminal *terminal, bool utc, uint64_t ns)
{
	char time[64];
	struct text text;

	text_begin(&text, time, sizeof(time));
	text_time(&text, ns, true, utc);
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
	if (!*stream->host && !*stream->id)
		fputs(" stream", terminal->out);
	fprintf(terminal->out, ": %s\n",
		missing		    ? "events are missing"
		: stream->is_proved ? "complete"
				    : "cannot be proved complete");
}

static void put_hole(const struct terminal *terminal, bool utc, const struct verify_hole *hole)
{
	fprintf(terminal->out, " Missing: ");
	if (hole->exact && hole->first == hole->last)
		fprintf(terminal->out, "seq %" PRIu64, hole->first);
	else
		fprintf(terminal->out, "%s seq %" PRIu64 " to %" PRIu64, hole->exact ? "all of" : "one or more of",
			hole->first, hole->last);
	if (hole->after > 0) {
		fputs(", after ", terminal->out);
		put_time(terminal, utc, hole->after);
	}
	if (hole->before > 0) {
		fputs(", before ", terminal->out);
		put_time(terminal, utc, hole->before);
	}
	fputc('\n', terminal->out);
}

static void put_missing(const struct terminal *terminal, bool utc, const struct verify_stream *stream)
{
	for (size_t i = 0; i < stream->hole_count && i < HOLES_SHOWN; i++)
		put_hole(terminal, utc, &stream->holes[i]);
	if (stream->hole_count > HOLES_SHOWN)
		fprintf(terminal->out, "          and in %zu more places\n", stream->hole_count - HOLES_SHOWN);
	if (stream->missing_lines > 0)
		fprintf(terminal->out, " Missing: %" PRIu64 " lines, as marks count them\n", stream->missing_lines);
	if (!verify_is_missing(stream) && stream->is_proved)
		fputs(" Missing: nothing\n", terminal->out);
	if (stream->proved_seq > 0) {
		fprintf(terminal->out, "  Proved: up to seq %" PRIu64, stream->proved_seq);
		if (stream->proved_time > 0) {
			fputs(", ", terminal->out);
			put_time(terminal, utc, stream->proved_time);
		}
		if (stream->written_seq > 0)
			fprintf(terminal->out, "; the daemon had written up to seq %" PRIu64 " when it was asked\n",
				stream->written_seq);
		else
			fputs(stream->is_ended ? ", where the daemon stopped\n"
					       : "; what came after it would not be noticed\n",
			      terminal->out);
	}
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

void view_verify(const struct terminal *terminal, bool utc, const struct verify_stream *stream)
{
	put_head(terminal, stream);
	fprintf(terminal->out, "  Events: %" PRIu64, stream->events);
	if (stream->first_seq > 0)
		fprintf(terminal->out, ", seq %" PRIu64 " to %" PRIu64, stream->first_seq, stream->last_seq);
	if (stream->first_time > 0) {
		fputs(", from ", terminal->out);
		put_time(terminal, utc, stream->first_time);
		fputs(" to ", terminal->out);
		put_time(terminal, utc, stream->last_time);
	}
	fprintf(terminal->out,
		"\n    Lost: %" PRIu64 " in the kernel, %" PRIu64 " by a reader, %" PRIu64
		" by the journal, as reported\n",
		stream->lost[LOST_KERNEL], stream->lost[LOST_SUBSCRIBER], stream->lost[LOST_JOURNAL]);
	put_missing(terminal, utc, stream);
}
