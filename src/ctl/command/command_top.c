/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of groups that starts from zero at each interval. Events are read ten times a second, whatever their number,
 * so that a storm costs no wake-up an event; what comes in between waits in the daemon's queue. Only the keys that the
 * table needs are asked for.
 */
#include <errno.h>
#include <time.h>

#include "ctl/command/commands.h"
#include "ctl/command/group_options.h"
#include "ctl/command/screen.h"
#include "ctl/command/top_source.h"
#include "ctl/view/view_groups.h"
#include "ctl/view/view_top.h"
#include "util/clock.h"
#include "util/quote.h"

#define MS UINT64_C(1000000)
#define DELAY_NS (1000 * MS)
#define READ_MS 100
#define READ_MAX_NS (50 * MS) /* at once: keys wait for it */
#define FILTER_SIZE 64
#define HELP "sort: p name, t running, c CPU, m memory, i I/O, n started, f failed, s short, w longest"
#define HELP_MORE "b: group by the next key, /: filter, space: pause, + -: delay, q: quit"

struct top {
	struct options *options;
	struct groups_options by;
	struct event_source *source;
	struct groups *groups; /* of the current interval */
	struct groups *shown;  /* of the last whole one; NULL: there is none yet */
	struct terminal terminal;
	struct top_view view;
	uint64_t delay_ns, begin_ns, lost;
	bool is_local; /* events are to be asked whether the query passes them */
	bool paused, edits, helps, ended;
	char filter[FILTER_SIZE];
};

static void top_finish(struct top *top)
{
	source_free(top->source);
	groups_free(top->groups);
	groups_free(top->shown);
}

static int add(struct top *top, const struct parsed *parsed)
{
	if (parsed->event.type == EVENT_LOST)
		top->lost += parsed->event.lost.count;
	if (top->is_local && !query_pass(top->options->query, parsed))
		return 0;
	return groups_add(top->groups, parsed);
}

/* What runs, up to the end of the snapshot; the first interval begins there. An exit status, or 0. */
static int top_open(struct top *top)
{
	const struct parsed *parsed;
	int r;

	top->source = source_free(top->source);
	top->groups = groups_free(top->groups);
	top->shown = groups_free(top->shown);
	r = groups_new(&top->groups, &top->by);
	if (r < 0)
		return CTL_FAILED;
	r = top_source_open(&top->source, top->options, &top->by, &top->is_local);
	if (r != 0 || top->options->input)
		return r;
	while ((r = source_next(top->source, &parsed)) > 0 && parsed->event.type != EVENT_LIVE) {
		r = add(top, parsed);
		if (r < 0)
			return CTL_FAILED;
	}
	top->begin_ns = clock_ns(CLOCK_MONOTONIC);
	top->lost = 0;
	if (r == 0)
		r = source_broken(top->source);
	return r > 0 ? 0 : options_status(r);
}

/* Reads what is there. 0 or -errno. */
static int drain(struct top *top)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + READ_MAX_NS;
	const struct parsed *parsed;
	int r = 0;

	for (unsigned n = 1; source_wait(top->source, 0) > 0; n++) {
		r = source_next(top->source, &parsed);
		if (r == -EINTR)
			return 0;
		top->ended = r <= 0;
		if (r <= 0)
			return r;
		r = add(top, parsed);
		if (r < 0 || (n % 256 == 0 && clock_ns(CLOCK_MONOTONIC) > until))
			return r;
	}
	return 0;
}

/* The interval is over at `now`; the next one begins. */
static int turn(struct top *top, uint64_t now_ns)
{
	struct groups *copy;
	int r;

	if (!top->paused) {
		r = groups_copy(top->groups, &copy);
		if (r < 0)
			return r;
		groups_free(top->shown);
		top->shown = copy;
		top->view.interval_ns = now_ns - top->begin_ns;
		top->view.lost = top->lost;
	}
	top->begin_ns = now_ns;
	top->lost = 0;
	groups_reset(top->groups);
	return 0;
}

static void make_note(const struct top *top, char *note, size_t size)
{
	struct text text;

	text_begin(&text, note, size);
	if (top->edits || *top->filter) {
		text_string(&text, "filter: ");
		text_name(&text, bytes_of(top->filter));
		text_string(&text, top->edits ? "_" : "  ");
	}
	if (top->paused)
		text_string(&text, "PAUSED");
}

static int draw(struct top *top)
{
	char note[2 * FILTER_SIZE + 32], *text = NULL;
	unsigned width, lines;
	size_t size;
	int r;

	if (!top->shown)
		return 0;
	screen_size(&width, &lines);
	make_note(top, note, sizeof(note));
	top->terminal.width = width;
	top->view.lines = lines - (top->helps ? 2 : 0);
	top->view.note = note;
	top->terminal.out = open_memstream(&text, &size);
	if (!top->terminal.out)
		return -ENOMEM;
	if (top->helps) {
		terminal_put(&top->terminal, HELP, width);
		fputc('\n', top->terminal.out);
		terminal_put(&top->terminal, HELP_MORE, width);
		fputc('\n', top->terminal.out);
	}
	view_top(&top->terminal, top->shown, &top->view);
	r = fclose(top->terminal.out) == 0 ? screen_draw(text, size) : -ENOMEM;
	free(text);
	return r;
}

/* One key of a filter that is being typed. */
static void edit(struct top *top, int key)
{
	size_t size = strlen(top->filter);

	if (key == '\n' || key == '\r') {
		top->edits = false;
	} else if (key == '\033') {
		top->edits = false;
		top->filter[0] = '\0';
	} else if (key == '\b' || key == 0x7f) {
		top->filter[size > 0 ? size - 1 : 0] = '\0';
	} else if (key >= ' ' && size + 1 < FILTER_SIZE) {
		top->filter[size] = (char)key;
		top->filter[size + 1] = '\0';
	}
}

static bool sort_key(int key, enum group_order *ret)
{
	static const struct {
		char key;
		enum group_order order;
	} keys[] = { { 'p', ORDER_NAME },  { 't', ORDER_RUNNING }, { 'c', ORDER_CPU },	  { 'm', ORDER_RSS },
		     { 'i', ORDER_IO },	   { 'n', ORDER_STARTED }, { 'f', ORDER_FAILED }, { 'r', ORDER_RUNNING },
		     { 's', ORDER_SHORT }, { 'w', ORDER_LONGEST } };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].key == key) {
			*ret = keys[i].order;
			return true;
		}
	}
	return false;
}

/* A status to end with, or -1. */
static int on_key(struct top *top, int key)
{
	if (key == SCREEN_ENDED)
		return CTL_OK;
	if (key == SCREEN_RESIZED || sort_key(top->edits ? 0 : key, &top->view.order))
		return -1;
	if (top->edits) {
		edit(top, key);
		return -1;
	}
	switch (key) {
	case 'q':
		return CTL_OK;
	case ' ':
		top->paused = !top->paused;
		break;
	case '/':
		top->edits = true;
		break;
	case 'h':
	case '?':
		top->helps = !top->helps;
		break;
	case '+':
		top->delay_ns += DELAY_NS;
		break;
	case '-':
		top->delay_ns -= top->delay_ns > DELAY_NS ? DELAY_NS : 0;
		break;
	case 'b':
		top->by.keys[0] = (top->by.keys[0] + 1) % GROUP_COMM;
		top->by.key_count = 1;
		return top_open(top) == 0 ? -1 : CTL_UNAVAILABLE;
	default:
		break;
	}
	return -1;
}

/* A status to end with, or -1: the interval is over. */
static int run_interval(struct top *top)
{
	for (;;) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC), end = top->begin_ns + top->delay_ns;
		int r, key;

		if (now >= end)
			return turn(top, now) < 0 ? CTL_FAILED : -1;
		key = screen_wait(-1, end - now < READ_MS * MS ? (int)((end - now) / MS + 1) : READ_MS);
		r = key ? on_key(top, key) : -1;
		if (r >= 0)
			return r;
		if (key && draw(top) < 0)
			return CTL_FAILED;
		if (drain(top) < 0)
			return CTL_FAILED;
		if (top->ended)
			return CTL_UNAVAILABLE;
	}
}

static int run_screen(struct top *top)
{
	int r = screen_open();

	if (r < 0) {
		fprintf(stderr, "execsnoopctl: the terminal: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	r = -1;
	for (uint64_t n = 0; n < top->options->lines && r < 0; n++) {
		r = run_interval(top);
		if (r < 0 && !top->paused && draw(top) < 0)
			r = CTL_FAILED;
	}
	screen_close();
	return r < 0 ? CTL_OK : r;
}

static void print(struct top *top, bool first)
{
	struct group *const *sorted;
	size_t count;

	if (top->options->format == FORMAT_JSON) {
		sorted = groups_sort(top->shown, top->view.order, &count);
		view_groups_json(top->terminal.out, &top->by, sorted, count);
	} else {
		if (!first)
			fputc('\n', top->terminal.out);
		view_top(&top->terminal, top->shown, &top->view);
	}
	terminal_flush(&top->terminal);
}

static int run_batch(struct top *top)
{
	for (uint64_t n = 0; n < top->options->lines && !ferror(top->terminal.out);) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC), end = top->begin_ns + top->delay_ns;
		const struct timespec pause = { .tv_nsec = (long)(READ_MS * MS) };

		if (now < end)
			clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		if (drain(top) < 0)
			return CTL_FAILED;
		if (top->ended)
			return CTL_UNAVAILABLE;
		if (now < end)
			continue;
		if (turn(top, now) < 0)
			return CTL_FAILED;
		print(top, n++ == 0);
	}
	return CTL_OK;
}

/* A file's intervals are those of its events; without a delay it is one. */
static int run_file(struct top *top)
{
	uint64_t last = 0, n = 0;
	const struct parsed *parsed;
	int r;

	while ((r = source_next(top->source, &parsed)) > 0 && n < top->options->lines) {
		bool counts = !parsed->event.snapshot && parsed->event.type < EVENT_LIVE;

		last = counts ? parsed->event.time : last;
		if (counts && top->begin_ns == 0)
			top->begin_ns = last;
		while (counts && top->options->delay_ns > 0 && last >= top->begin_ns + top->delay_ns &&
		       n < top->options->lines) {
			if (turn(top, top->begin_ns + top->delay_ns) < 0)
				return CTL_FAILED;
			print(top, n++ == 0);
		}
		if (add(top, parsed) < 0)
			return CTL_FAILED;
	}
	if (r < 0)
		return CTL_FAILED;
	if (n < top->options->lines) {
		if (turn(top, last) < 0)
			return CTL_FAILED;
		print(top, n == 0);
	}
	return last > 0 ? CTL_OK : CTL_NOTHING;
}

int command_top(struct options *options)
{
	struct top top = { .options = options, .by.numeric = options->view.numeric };
	/* -b without a boot is --batch here, as for systemd-cgtop(1). */
	bool batch = options->batch || options->input || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
	int r = group_options(&top.by, options), closed;

	if (r == 0)
		r = options_add_programs(options);
	if (r == 0)
		r = top_open(&top);
	if (r == 0) {
		top.delay_ns = options->delay_ns > 0 ? options->delay_ns : DELAY_NS;
		terminal_open(&top.terminal, options->color, false, options->full);
		top.view.cpus = options->input ? 0 : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
		top.view.filter = top.filter;
		top.view.legend = options->view.legend;
		top.view.order = ORDER_STARTED;
		if (options->sort)
			group_order_by_name(options->sort, &top.view.order);
		r = options->input ? run_file(&top) : batch ? run_batch(&top) : run_screen(&top);
		top.terminal.out = stdout;
		closed = terminal_close(&top.terminal);
		if (top.ended)
			fputs("execsnoopctl: the daemon ended the connection\n", stderr);
		r = closed < 0 ? CTL_FAILED : r;
	}
	top_finish(&top);
	return r;
}
