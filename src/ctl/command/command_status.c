/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "ctl/command/commands.h"
#include "ctl/source/source_hosts.h"
#include "ctl/view/view_json.h"
#include "ctl/view/view_status.h"

static int show(struct options *options, struct terminal *terminal, const struct parsed *parsed)
{
	_cleanup_(view_json_free_p) struct view_json *json = NULL;
	int r;

	if (!options->json && options->format != FORMAT_JSON) {
		if (options->hosts)
			fprintf(terminal->out, "%.*s:\n", (int)parsed->host.size, parsed->host.data ?: "");
		return view_status(terminal, parsed->line, options->view.numeric);
	}
	r = view_json_new(&json, terminal);
	return r < 0 ? r : view_json_event(json, parsed);
}

int command_status(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	unsigned hosts = options->hosts ? hosts_count(options->hosts) : 1, shown = 0;
	const struct parsed *parsed;
	struct terminal terminal;
	int r = source_open_socket(&source, options->socket, "{\"stats\":true}\n");

	if (r < 0)
		return options_status(r);
	terminal_open(&terminal, options->color, false, options->full);
	while (shown < hosts && (r = source_next(source, &parsed)) > 0 && bytes_equal(parsed->type, BYTES("stats"))) {
		r = show(options, &terminal, parsed);
		if (r < 0)
			break;
		shown++;
	}
	if (terminal_close(&terminal) < 0 || (r < 0 && shown > 0))
		return CTL_FAILED;
	return shown == hosts ? CTL_OK : CTL_UNAVAILABLE;
}
