/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/cat_lines.h"

#include <errno.h>
#include <inttypes.h>

#include "ctl/command/cat_fill.h"
#include "ctl/event/event_parser.h"
#include "util/clock.h"

struct cat_lines {
	struct options *options;
	struct cat_output *output;
	struct lines lines;
	char *text; /* of formats other than the line itself */
	size_t text_size;
	struct event_parser *parser; /* of lines that are made here */
	struct cat_position position;
	uint64_t mark;	       /* last_seq of the last mark */
	struct cat_fill *fill; /* NULL: nothing is being read from the journal */
	char *reply;	       /* what comes after it */
};

int cat_lines_new(struct cat_lines **ret, struct options *options, struct cat_output *output)
{
	_cleanup_(cat_lines_free_p) struct cat_lines *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return CTL_FAILED;
	l->options = options;
	l->output = output;
	r = lines_open(&l->lines, options, false);
	if (r > 0)
		return r;
	/* From here on views print into memory. */
	l->lines.terminal.out = open_memstream(&l->text, &l->text_size);
	if (!l->lines.terminal.out || event_parser_new(&l->parser) < 0)
		return CTL_FAILED;
	if (cat_output_is_peer(output)) {
		l->lines.terminal.is_terminal = l->lines.terminal.is_resizable = l->lines.terminal.colors = false;
		l->lines.terminal.width = 0;
	}
	*ret = TAKE_PTR(l);
	return 0;
}

static void end_fill(struct cat_lines *l)
{
	l->fill = cat_fill_free(l->fill);
	free(l->reply);
	l->reply = NULL;
}

struct cat_lines *cat_lines_free(struct cat_lines *l)
{
	if (!l)
		return NULL;
	if (l->lines.terminal.out && l->lines.terminal.out != stdout)
		fclose(l->lines.terminal.out);
	view_line_free(l->lines.view);
	view_json_free(l->lines.json);
	event_csv_free(l->lines.csv);
	end_fill(l);
	event_parser_free(l->parser);
	free(l->text);
	free(l);
	return NULL;
}

const struct cat_position *cat_lines_position(const struct cat_lines *l)
{
	return &l->position;
}

void cat_lines_go_back(struct cat_lines *l, const struct cat_position *position)
{
	l->position = *position;
	l->mark = 0;
	/* What comes is for another connection. */
	l->lines.headed = false;
	end_fill(l);
}

static int put(struct cat_lines *l, const struct parsed *parsed)
{
	FILE *out = l->lines.terminal.out;
	int r;

	if (l->options->format == FORMAT_JSON && parsed->line.data && !l->lines.terminal.is_terminal) {
		r = cat_output_add(l->output, parsed->line);
		return r < 0 ? r : cat_output_add(l->output, BYTES("\n"));
	}
	r = lines_print(&l->lines, parsed);
	if (r < 0 || fflush(out) != 0)
		return r < 0 ? r : -ENOMEM;
	r = cat_output_add(l->output, (struct bytes){ l->text, l->text_size });
	rewind(out);
	return r;
}

/* Of a line that is made here. */
static int put_text(struct cat_lines *l, const char *line)
{
	const char *reason;
	struct parsed parsed;
	int r = event_parser_line(l->parser, bytes_of(line), &parsed, &reason);

	ASSERT(r != -EBADMSG);
	return r < 0 ? r : put(l, &parsed);
}

/* A line that the daemon could not send: it is what `lost` of where "subscriber" means (execsnoopd-events(7)). */
static int put_lost(struct cat_lines *l, uint64_t first, uint64_t last, uint64_t count)
{
	char line[256], time[EVENT_TIME_SIZE];

	if (count == 0)
		return 0;
	event_time_format(time, clock_ns(CLOCK_REALTIME));
	snprintf(line, sizeof(line),
		 "{\"type\":\"lost\",\"time\":\"%s\",\"count\":%" PRIu64 ",\"where\":\"subscriber\","
		 "\"first_seq\":%" PRIu64 ",\"last_seq\":%" PRIu64 "}",
		 time, count, first, last);
	if (!l->options->quiet)
		fprintf(stderr, "execsnoopctl: missing: seq %" PRIu64 " to %" PRIu64 ", up to %" PRIu64 " event%s\n",
			first, last, count, count == 1 ? "" : "s");
	return put_text(l, line);
}

/* The stream continues after this number. missing: of its events, before that. */
static int put_reply(struct cat_lines *l, const struct parsed *parsed, uint64_t missing)
{
	struct cat_position *position = &l->position;
	uint64_t last = parsed->event.lost.last_seq;
	bool is_same = bytes_equal(bytes_of(position->stream), parsed->stream);
	int r = is_same ? put_lost(l, position->max + 1, last, missing) : 0;

	if (r >= 0 && l->options->format == FORMAT_JSON)
		r = put(l, parsed);
	if (r >= 0 && !is_same)
		r = put_lost(l, 1, last, missing);
	if (!is_same) {
		*position = (struct cat_position){ .changes = position->changes };
		snprintf(position->stream, sizeof(position->stream), "%.*s", (int)parsed->stream.size,
			 parsed->stream.data ?: "");
	}
	if (last > position->max) {
		position->max = last;
		position->time = clock_ns(CLOCK_REALTIME);
	}
	position->last = 0;
	position->changes++;
	l->mark = 0;
	return r;
}

/* The reply to a subscription names the stream, and the event after which it continues. */
static int take_reply(struct cat_lines *l, const struct parsed *parsed)
{
	struct cat_position *position = &l->position;
	uint64_t last = parsed->event.lost.last_seq;
	bool is_first = position->stream[0] == '\0', is_same = bytes_equal(bytes_of(position->stream), parsed->stream);

	end_fill(l);
	if (is_first || (is_same && last <= position->max))
		return put_reply(l, parsed, 0);
	if (!is_same && !l->options->quiet)
		fprintf(stderr, "execsnoopctl: the daemon began another stream%s\n",
			l->options->cursor_file ? "" : ": what happened between the two is missing");
	if (l->options->cursor_file && cat_fill_new(&l->fill, position, parsed->stream, last) >= 0) {
		l->reply = strndup(parsed->line.data, parsed->line.size);
		return l->reply ? 0 : -ENOMEM;
	}
	return put_reply(l, parsed, is_same ? last - position->max : last);
}

bool cat_lines_is_filling(const struct cat_lines *l)
{
	return l->fill;
}

/* The stream of the next lines, as the daemon names it where one begins. */
static int put_stream(struct cat_lines *l, struct bytes stream)
{
	char line[128];

	snprintf(line, sizeof(line), "{\"type\":\"subscribed\",\"stream\":\"%.*s\",\"last_seq\":%" PRIu64 "}",
		 (int)stream.size, stream.data,
		 bytes_equal(stream, bytes_of(l->position.stream)) ? l->position.max : 0);
	return l->options->format == FORMAT_JSON ? put_text(l, line) : 0;
}

/* The position stays: if this is interrupted, it begins again. */
int cat_lines_fill(struct cat_lines *l)
{
	const struct parsed *parsed;
	const char *reason;
	struct parsed reply;
	bool begins;
	int r = cat_fill_next(l->fill, &parsed, &begins);

	if (r == -EAGAIN)
		return r;
	if (r > 0) {
		r = begins ? put_stream(l, parsed->stream) : 0;
		return r >= 0 && query_pass(l->options->query, parsed) ? put(l, parsed) : r;
	}
	r = event_parser_line(l->parser, bytes_of(l->reply), &reply, &reason);
	if (r >= 0)
		r = put_reply(l, &reply, cat_fill_missing(l->fill));
	end_fill(l);
	return r;
}

/* Of a line that was put, or that the query left out. */
static void advance(struct cat_lines *l, const struct parsed *parsed)
{
	struct cat_position *position = &l->position;
	const struct event *event = &parsed->event;
	uint64_t seq = event->seq;

	if (bytes_equal(parsed->type, BYTES("mark"))) {
		/* A folded search may follow with a number before that of this mark, but of an earlier one. */
		seq = l->mark;
		l->mark = event->lost.last_seq;
	} else if (event->snapshot || (seq == 0 && event->type != EVENT_LOST && event->type != EVENT_LIVE)) {
		return;
	} else {
		seq = seq > 0 ? seq : event->lost.last_seq;
		if (seq == 0)
			return;
		position->last = seq;
		position->changes++;
	}
	if (seq > position->max) {
		position->max = seq;
		position->time = event->time;
		position->changes++;
	}
}

int cat_lines_take(struct cat_lines *l, const struct parsed *parsed)
{
	bool is_event = parsed->event.type != EVENT_TYPE_MAX;
	int r = 0;

	if (bytes_equal(parsed->type, BYTES("subscribed")))
		return take_reply(l, parsed);
	if (!is_event || query_pass(l->options->query, parsed))
		r = put(l, parsed);
	advance(l, parsed);
	return r;
}
