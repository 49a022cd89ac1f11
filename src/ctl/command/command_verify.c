/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For each host and stream: are all its events there, and which are missing? */

#include "ctl/collect/verify.h"
#include "ctl/command/commands.h"
#include "ctl/command/written.h"
#include "ctl/view/view_verify.h"
#include "util/clock.h"

#define PATIENCE_MS 2000 /* for what the daemon has sent to journald, and that is not in the journal yet */
#define PAUSE_MS 20

static int read_more(struct verify *verify, struct event_source *source, const struct options *options)
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
	return r;
}

static int read_all(struct verify *verify, struct event_source *source, const struct options *options)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	const uint64_t end = clock_ms(CLOCK_MONOTONIC) + PATIENCE_MS;
	int r = read_more(verify, source, options);

	while (r == 0 && verify_is_waiting(verify) && clock_ms(CLOCK_MONOTONIC) < end) {
		nanosleep(&pause, NULL);
		r = read_more(verify, source, options);
	}
	return r < 0 ? r : verify_end(verify);
}

/* The daemon that runs here knows the end of its stream. It is asked before the journal is read: what it writes later
 * does not matter. */
static void ask_daemon(struct verify *verify, const struct options *options)
{
	const struct journal_options *journal = &options->journal;
	bool is_part = options->since > 0 || journal->boot || journal->name_space;
	struct written written;
	int r;

	if (options->input || journal->directory || journal->files || options->until > 0)
		return;
	r = written_ask(options, &written);
	if (r < 0 && !options->quiet)
		fprintf(stderr,
			"%s: the daemon did not report what it has written last: %s\n"
			"So entries that were removed from the end are not noticed.\n",
			options->socket, source_error(r));
	verify_expect(verify, written.stream, written.seq, !is_part);
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
	if (verify_new(&verify) < 0)
		return CTL_FAILED;
	if (!options->input)
		source_report_broken_files();
	ask_daemon(verify, options);
	if (read_all(verify, source, options) < 0)
		return CTL_FAILED;
	terminal_open(&terminal, options->color, !options->no_pager, options->full);
	for (stream = verify_first(verify); stream; stream = STAILQ_NEXT(stream, next)) {
		view_verify(&terminal, options->view.utc, stream);
		missing |= verify_is_missing(stream);
	}
	if (terminal_close(&terminal) < 0)
		return CTL_FAILED;
	if (!verify_first(verify))
		fprintf(stderr, "execsnoopctl: there are no events\n");
	return missing || !verify_first(verify) ? CTL_NOTHING : CTL_OK;
}
