/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/stats_request.h"

int stats_request(const struct options *options, char **ret)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	const struct parsed *parsed;
	int r = options->input ? source_open_file(&source, options->input)
			       : source_open_socket(&source, options->socket, "{\"stats\":true}\n");

	if (r < 0)
		return options->input ? options_file_status(r) : options_status(r);
	r = source_next(source, &parsed);
	if (r > 0 && bytes_equal(parsed->type, BYTES("stats"))) {
		*ret = strndup(parsed->line.data, parsed->line.size);
		return *ret ? 0 : CTL_FAILED;
	}
	if (options->input) {
		fprintf(stderr, "%s: it does not begin with statistics, a line of the type \"stats\"\n",
			options->input);
		return CTL_NOTHING;
	}
	fputs("execsnoopctl: the daemon does not reply with statistics\n", stderr);
	return CTL_UNAVAILABLE;
}
