/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "ctl/commands.h"
#include "ctl/view_tree.h"

static int read_all(struct options *options, struct event_source *source, struct history *history)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_next(source, &parsed)) > 0) {
		if (parsed->event.type == EVENT_LIVE && !options->input)
			return 0;
		if (parsed->event.type >= EVENT_LOST || !query_pass(options->query, parsed))
			continue;
		r = history_add(history, parsed);
		if (r < 0)
			break;
	}
	return r;
}

static int parse_root(const struct options *options, struct tree_options *tree)
{
	const char *root = options->arguments[0];
	char *end;

	if (!root)
		return 0;
	if (options->arguments[1]) {
		fprintf(stderr, "execsnoopctl: tree takes one process or unit\n");
		return CTL_USAGE;
	}
	tree->pid = (uint32_t)strtoul(root, &end, 10);
	if (*end != '\0' || tree->pid == 0) {
		tree->pid = 0;
		tree->unit = root;
	}
	return 0;
}

/* What runs now is in the daemon's snapshot; what ran is in the journal. */
int command_tree(struct options *options)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(history_free_p) struct history *history = NULL;
	struct tree_options tree = { .numeric = options->view.numeric, .legend = options->view.legend };
	bool past = options->since > 0 || options->until > 0;
	struct terminal terminal;
	int r = parse_root(options, &tree), closed;

	tree.fold = past && !options->at;
	tree.alive = !past || options->at;
	if (r == 0)
		r = options_open(options, !past, true, &source);
	if (r > 0)
		return r;
	r = history_new(&history, false);
	if (r >= 0)
		r = read_all(options, source, history);
	if (r < 0)
		return CTL_FAILED;
	history_mark_alive(history);
	terminal_open(&terminal, options->color, !options->no_pager, options->full);
	r = view_tree(&terminal, history, &tree);
	closed = terminal_close(&terminal);
	if (r < 0 || closed < 0) {
		fprintf(stderr, "execsnoopctl: %s\n", strerror(r < 0 ? -r : -closed));
		return CTL_FAILED;
	}
	if (source->bad > 0)
		return CTL_DATA;
	return r > 0 ? CTL_OK : CTL_NOTHING;
}
