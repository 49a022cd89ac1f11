/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "ctl/command/commands.h"
#include "ctl/view/view_json.h"
#include "ctl/view/view_status.h"

int command_status(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(view_json_free_p) struct view_json *json = NULL;
	const struct parsed *parsed;
	struct terminal terminal;
	int r = source_open_socket(&source, options->socket, "{\"stats\":true}\n");

	if (r < 0)
		return r == -EACCES ? CTL_NOPERM : CTL_UNAVAILABLE;
	r = source_next(source, &parsed);
	if (r <= 0 || !bytes_equal(parsed->type, BYTES("stats")))
		return CTL_UNAVAILABLE;
	terminal_open(&terminal, options->color, false, options->full);
	if (options->json || options->format == FORMAT_JSON) {
		r = view_json_new(&json, &terminal);
		if (r >= 0)
			r = view_json_event(json, parsed);
		return terminal_close(&terminal) < 0 || r < 0 ? CTL_FAILED : CTL_OK;
	}
	r = view_status(&terminal, parsed->line, options->view.numeric);
	return terminal_close(&terminal) < 0 || r < 0 ? CTL_FAILED : CTL_OK;
}
