/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <unistd.h>

#include "ctl/command/commands.h"
#include "ctl/view/view_tree.h"

static int read_all(struct options *options, struct event_source *source, struct history *history, bool until_live)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_next(source, &parsed)) > 0) {
		if (parsed->event.type == EVENT_LIVE && until_live)
			return 0;
		if (parsed->event.type >= EVENT_LOST || !query_pass(options->query, parsed))
			continue;
		r = history_add(history, parsed);
		if (r < 0)
			return r;
	}
	return r == 0 && until_live ? source_broken(source) : r;
}

static int parse_root(const struct options *options, struct tree_options *tree)
{
	const char *root = options->arguments[0];

	if (!root)
		return 0;
	if (options->arguments[1]) {
		fprintf(stderr, "execsnoopctl: tree takes one process or unit\n");
		return CTL_USAGE;
	}
	if (!options_pid(root, &tree->pid))
		tree->unit = root;
	return 0;
}

/*
 * What lived in a span of the past: what ended after its beginning is in the journal with its start; the rest runs
 * still, and the daemon knows it. Without the daemon the journal is read from its beginning.
 */
static int open_past(struct options *options, struct history *history, struct event_source **ret)
{
	_cleanup_(source_free_p) struct event_source *daemon = NULL;
	bool local = !options->input && !options->journal.directory && !options->journal.files &&
		     !options->journal.merge && !options->journal.boot;
	int r;

	query_set_bounds(options->query)->lived = true;
	history_set_span(history, options->at ? options->until : options->since, options->until);
	options->journal.from_start = true;
	options->journal.keys = HISTORY_KEYS;
	if (!local || access(options->socket, R_OK | W_OK) < 0)
		return options_open(options, false, true, ret);
	r = source_open_socket(&daemon, options->socket, "{\"snapshot\":true}\n");
	if (r >= 0) {
		r = read_all(options, daemon, history, true);
		options->journal.from_start = false;
	}
	return r < 0 ? options_status(r) : options_open(options, false, true, ret);
}

int command_tree(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(history_free_p) struct history *history = NULL;
	struct tree_options tree = { .numeric = options->view.numeric, .legend = options->view.legend };
	bool past = options->since > 0 || options->until > 0;
	struct terminal terminal;
	int r = parse_root(options, &tree), closed;

	tree.fold = past && !options->at;
	if (r == 0 && history_new(&history, false) < 0)
		r = CTL_FAILED;
	if (r == 0)
		r = past ? open_past(options, history, &source) : options_open(options, true, true, &source);
	if (r > 0)
		return r;
	r = read_all(options, source, history, !past && !options->input && !options->from_journal);
	if (r < 0)
		return options_status(r);
	history_mark_shown(history, !past || options->at);
	if (tree.fold && history_set_shapes(history) < 0)
		return CTL_FAILED;
	terminal_open(&terminal, options->color, !options->no_pager, options->full);
	r = view_tree(&terminal, history, &tree);
	closed = terminal_close(&terminal);
	if (r < 0)
		fprintf(stderr, "execsnoopctl: %s\n", strerror(-r));
	if (r < 0 || closed < 0)
		return CTL_FAILED;
	return r > 0 ? CTL_OK : CTL_NOTHING;
}
