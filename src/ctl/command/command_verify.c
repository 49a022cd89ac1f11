/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For each host and stream: are all its events there, and which are missing? */
#include <errno.h>

#include "ctl/collect/verify.h"
#include "ctl/command/commands.h"
#include "ctl/view/view_verify.h"

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
		view_verify(&terminal, options->view.utc, stream);
		missing |= verify_is_missing(stream);
	}
	if (terminal_close(&terminal) < 0)
		return CTL_FAILED;
	if (!verify_first(verify))
		fprintf(stderr, "execsnoopctl: there are no events\n");
	return missing || !verify_first(verify) ? CTL_NOTHING : CTL_OK;
}
