/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "ctl/command/commands.h"
#include "ctl/source/source_hosts.h"
#include "ctl/view/view_json.h"
#include "ctl/view/view_status.h"

#define REQUEST "{\"stats\":true}\n"

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

/* An exit status. */
static int show_reply(struct options *options, struct terminal *terminal, struct event_source *source)
{
	const struct parsed *parsed;
	int r = source_await_reply(source);

	if (r < 0)
		return options_status(r);
	if (source_next(source, &parsed) <= 0 || show(options, terminal, parsed) < 0)
		return CTL_FAILED;
	terminal_flush(terminal);
	return CTL_OK;
}

/* Asks the daemon of one host of a list, from `at` on, or of this machine. */
static int ask(const struct options *options, const char *at, struct event_source **ret)
{
	_cleanup_free_ char *address = NULL;
	const char *path = options->socket;

	if (!options->hosts)
		return source_ask(ret, path, REQUEST);
	if (asprintf(&address, HOSTS_PREFIX "%.*s%s", (int)strcspn(at, ","), at, strchr(path, '/')) < 0)
		return -ENOMEM;
	return source_ask(ret, address, REQUEST);
}

/* All are asked at once, and shown in their order. */
int command_status(struct options *options)
{
	unsigned hosts = options->hosts ? hosts_count(options->hosts) : 1;
	struct event_source *sources[HOSTS_MAX] = { NULL };
	const char *at = options->hosts;
	int status[HOSTS_MAX], result = CTL_OK;
	struct terminal terminal;

	for (unsigned i = 0; i < hosts; i++) {
		int r = ask(options, at, &sources[i]);

		status[i] = r < 0 ? options_status(r) : CTL_OK;
		at = at ? strchr(at, ',') : NULL;
		if (at)
			at++;
	}
	terminal_open(&terminal, options->color, false, options->full);
	for (unsigned i = 0; i < hosts; i++) {
		if (status[i] == CTL_OK)
			status[i] = show_reply(options, &terminal, sources[i]);
		result = status[i] != CTL_OK ? status[i] : result;
		source_free(sources[i]);
	}
	return terminal_close(&terminal) < 0 ? CTL_FAILED : result;
}
