/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ran in one place or time and not in another. */
#include <time.h>

#include "ctl/command/commands.h"
#include "ctl/source/boots.h"
#include "ctl/text/time_spec.h"
#include "ctl/view/view_diff.h"
#include "util/clock.h"
#include "util/quote.h"

#define GROUPS (1U << 16)

/* The end of the name of a side that begins with this word; NULL: it does not. */
static const char *after(const char *name, const char *word)
{
	size_t size = strlen(word);

	return strncmp(name, word, size) == 0 ? name + size : NULL;
}

/* "SINCE..UNTIL", each of which may be missing. An exit status, or 0. */
static int set_times(const char *name, const char *dots, uint64_t *since, uint64_t *until)
{
	_cleanup_free_ char *from = strndup(name, (size_t)(dots - name));
	uint64_t now = clock_ns(CLOCK_REALTIME);

	if (!from)
		return CTL_FAILED;
	if ((*from && !time_spec_parse(from, now, false, since)) ||
	    (dots[2] && !time_spec_parse(dots + 2, now, true, until)))
		return options_refuse(name, "not a span of time, SINCE..UNTIL, see systemd.time(7)");
	return 0;
}

/*
 * A file; a span of time, a boot or a host of the journal. match: memory for one match of the journal. An exit status,
 * or 0.
 */
static int choose(const char *name, struct options *side, char *match, size_t size, char *matches[2])
{
	const char *dots = strstr(name, ".."), *boot = after(name, "boot:"), *host = after(name, "host:");
	uint64_t since = side->since, until = side->until;
	int r = 0;

	side->input = NULL;
	if (boot) {
		if (!is_boot_name(boot))
			return options_refuse(name, "not the name of a boot, see journalctl(1), --boot");
		side->journal.boot = boot;
	} else if (host) {
		snprintf(match, size, "_HOSTNAME=%s", host);
		matches[0] = match;
		side->journal.matches = matches;
		side->journal.merge = true;
	} else if (dots && access(name, F_OK) < 0) {
		r = set_times(name, dots, &since, &until);
	} else {
		side->input = name;
	}
	query_set_bounds(side->query)->since = since;
	query_set_bounds(side->query)->until = until;
	return r;
}

/* An exit status, or 0. */
static int read_side(const struct options *options, const char *name, struct groups *groups)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	struct options side = *options;
	char match[300], *matches[2] = { NULL, NULL };
	const struct parsed *parsed;
	int r = choose(name, &side, match, sizeof(match), matches);

	if (r == 0)
		r = options_open(&side, false, false, &source);
	if (r > 0)
		return r;
	while ((r = source_next(source, &parsed)) > 0) {
		if (!query_pass(side.query, parsed) || parsed->event.snapshot || parsed->event.source == SOURCE_PROC)
			continue;
		if (groups_add(groups, parsed) < 0)
			return CTL_FAILED;
	}
	return r < 0 ? CTL_FAILED : 0;
}

static int show(const struct options *options, struct groups *groups[2], char *const names[2])
{
	char safe[2][256];
	struct diff_options diff = { .names = { safe[0], safe[1] },
				     .lines = options->lines,
				     .legend = options->view.legend };
	struct terminal terminal;
	struct text text;
	int r, closed;

	for (int i = 0; i < 2; i++) {
		text_begin(&text, safe[i], sizeof(safe[i]));
		text_name(&text, bytes_of(names[i]));
	}
	terminal_open(&terminal, options->color, !options->no_pager, options->full);
	r = view_diff(&terminal, groups[0], groups[1], &diff);
	closed = terminal_close(&terminal);
	if (r < 0)
		fprintf(stderr, "execsnoopctl: %s\n", strerror(-r));
	if (r < 0 || closed < 0)
		return CTL_FAILED;
	/* As diff(1). */
	return r > 0 ? CTL_NOTHING : CTL_OK;
}

int command_diff(struct options *options)
{
	static const struct groups_options by = { .keys = { GROUP_PROGRAM, GROUP_COMMAND },
						  .key_count = 2,
						  .max = GROUPS };
	struct groups *groups[2] = { NULL, NULL };
	char **names = options->arguments;
	int r = 0;

	if (!names[0] || !names[1]) {
		fputs("execsnoopctl: diff takes two of: FILE, SINCE..UNTIL, boot:ID, host:NAME\n", stderr);
		return CTL_USAGE;
	}
	options->arguments += 2;
	r = options_add_programs(options);
	for (int i = 0; i < 2 && r == 0; i++)
		r = groups_new(&groups[i], &by) < 0 ? CTL_FAILED : read_side(options, names[i], groups[i]);
	if (r == 0)
		r = show(options, groups, names);
	groups_free(groups[0]);
	groups_free(groups[1]);
	return r;
}
