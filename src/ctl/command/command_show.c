/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All about one process, alive or dead, and why it ran: its ancestors with their command lines. What runs comes from
 * the daemon's snapshot, what is dead from the journal's index: by the pid or the id, then by the id of each parent.
 */
#include <errno.h>
#include <stdarg.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "ctl/collect/history.h"
#include "ctl/command/commands.h"
#include "ctl/event/event_parser.h"
#include "ctl/text/event_text.h"
#include "ctl/text/time_spec.h"
#include "util/quote.h"

#define ANCESTORS_SHOWN 64
#define CHILDREN_SHOWN 10
#define COMMAND_SIZE 4096

struct show {
	struct options *options;
	struct terminal terminal;
	struct history *history;
	struct event_parser *parser;
	bool journal; /* it is asked too */
};

static int read_into(struct show *show, struct event_source *source, bool until_live)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_next(source, &parsed)) > 0) {
		if (until_live && parsed->event.type == EVENT_LIVE)
			return 0;
		r = history_add(show->history, parsed);
		if (r < 0)
			return r;
	}
	return r == 0 && until_live ? source_broken(source) : r;
}

/* What the journal's index has of one value. */
static int read_journal(struct show *show, const char *field, struct bytes value)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	struct journal_options options = show->options->journal;
	char match[160];
	char *matches[] = { match, NULL };
	int r;

	if (!show->journal)
		return 0;
	snprintf(match, sizeof(match), "%s=%.*s", field, (int)value.size, value.data);
	options.matches = matches;
	r = source_open_journal(&source, &options, show->options->query);
	/* Reported; what the daemon knows is shown. */
	if (r == -EACCES && !show->options->from_journal) {
		show->journal = false;
		return 0;
	}
	return r < 0 ? r : read_into(show, source, false);
}

/* The daemon may be off: then the journal has what there is. */
static int read_daemon(struct show *show)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	int r;

	if (show->options->from_journal)
		return 0;
	r = source_open_socket(&source, show->options->socket, "{\"snapshot\":true}\n");
	if (r >= 0)
		r = read_into(show, source, true);
	return r;
}

/* In the time of --since and --until, at least in part. */
static bool is_in_time(const struct show *show, const struct life *life)
{
	const struct options *options = show->options;

	return (options->until == 0 || life->start_time < options->until) &&
	       (!life->ended || life->start_time + life->running_ns >= options->since);
}

/* Of all that had this pid: the one that runs, else the last one. */
static struct life *latest_of_pid(const struct show *show, uint32_t pid, size_t *ret_others)
{
	struct life *best = NULL;

	*ret_others = 0;
	for (struct life *life = history_first(show->history); life; life = STAILQ_NEXT(life, in_order)) {
		if (life->pid != pid || !life->json || !is_in_time(show, life))
			continue;
		*ret_others += best != NULL;
		if (!best || (!life->ended && best->ended) ||
		    (life->ended == best->ended && life->start_time > best->start_time))
			best = life;
	}
	return best;
}

static int find(struct show *show, const char *name, struct life **ret, size_t *ret_others)
{
	uint32_t pid;
	bool is_pid = options_pid(name, &pid);
	int r;

	*ret_others = 0;
	r = read_journal(show, is_pid ? "EXECSNOOP_PID" : "EXECSNOOP_ID", bytes_of(name));
	if (r < 0)
		return r;
	*ret = is_pid ? latest_of_pid(show, pid, ret_others) : history_find(show->history, bytes_of(name));
	return 0;
}

static void label(const struct show *show, const char *name)
{
	fprintf(show->terminal.out, "%12s%s ", name, *name ? ":" : " ");
}

__attribute__((format(printf, 3, 4))) static void line(const struct show *show, const char *name, const char *format,
						       ...)
{
	va_list arguments;

	label(show, name);
	va_start(arguments, format);
	vfprintf(show->terminal.out, format, arguments);
	va_end(arguments);
	fputc('\n', show->terminal.out);
}

static void put_safe(const struct show *show, const char *text)
{
	terminal_put(&show->terminal, text, show->terminal.width > 14 ? show->terminal.width - 14 : 0);
	fputc('\n', show->terminal.out);
}

static void bytes_line(const struct show *show, const char *name, struct bytes value)
{
	char buffer[COMMAND_SIZE + 64];
	struct text text;

	if (!value.data)
		return;
	text_begin(&text, buffer, sizeof(buffer));
	text_name(&text, value);
	label(show, name);
	put_safe(show, buffer);
}

static void put_head(const struct show *show, const struct parsed *parsed)
{
	const struct terminal *terminal = &show->terminal;
	const struct process *process = &parsed->process;
	bool failed = parsed_failed(parsed);
	char buffer[512], status[64];
	struct text text;

	text_begin(&text, buffer, sizeof(buffer));
	text_name(&text, process->image.exe.data ? process->image.exe : process->comm);
	parsed_status(parsed, status, sizeof(status));
	terminal_color(terminal, failed ? COLOR_RED : parsed->event.type == EVENT_EXITED ? COLOR_NONE : COLOR_GREEN);
	fputs(terminal->utf8 ? "● " : "* ", terminal->out);
	terminal_color(terminal, COLOR_NONE);
	fprintf(terminal->out, "%" PRIu32 " ", process->tgid);
	terminal_put(terminal, buffer, 0);
	if (parsed->event.type == EVENT_ERROR)
		fprintf(terminal->out, "    could not be executed: %s (%s)\n", status, strerror(parsed->event.error));
	else if (parsed->event.type == EVENT_EXITED)
		fprintf(terminal->out, "    ended: %s%s\n", strcmp(status, "0") == 0 ? "success" : status,
			parsed_has(parsed, KEY_CORE_DUMPED) ? ", core dumped" : "");
	else
		fprintf(terminal->out, "    running\n");
}

static void put_when(const struct show *show, const struct parsed *parsed)
{
	const struct process *process = &parsed->process;
	char buffer[64], span[32];
	struct timespec now;
	struct text text;

	if (!parsed_has(parsed, KEY_START_TIME))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	text_begin(&text, buffer, sizeof(buffer));
	text_time(&text, process->start_time, true, show->options->view.utc);
	time_span_format(span, sizeof(span),
			 (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - process->start_time);
	if (show->options->input)
		line(show, "Started", "%s", buffer);
	else
		line(show, "Started", "%s; %s ago", buffer, span);
	if (parsed->event.type == EVENT_EXITED) {
		text_begin(&text, buffer, sizeof(buffer));
		text_time(&text, process->start_time + parsed->event.end.running_ns, true, show->options->view.utc);
		time_span_format(span, sizeof(span), parsed->event.end.running_ns);
		line(show, "Ended", "%s; it ran for %s", buffer, span);
	}
}

static void put_user(const struct show *show, const struct parsed *parsed)
{
	const struct process *process = &parsed->process;
	char user[64];
	struct text text;

	text_begin(&text, user, sizeof(user));
	text_user(&text, process->uid, show->options->view.numeric);
	label(show, "User");
	fprintf(show->terminal.out, "%s (%" PRIu32 ")", user, process->uid);
	if (process->ids_known && process->euid != process->uid)
		fprintf(show->terminal.out, ", effective %" PRIu32, process->euid);
	if (process->loginuid != PROCESS_UNSET) {
		text_begin(&text, user, sizeof(user));
		text_user(&text, process->loginuid, show->options->view.numeric);
		fprintf(show->terminal.out, ", logged in as %s", user);
	}
	fputc('\n', show->terminal.out);
}

static void put_command(const struct show *show, const struct parsed *parsed)
{
	char buffer[COMMAND_SIZE + 64];
	struct text text;

	text_begin(&text, buffer, sizeof(buffer));
	text_command(&text, &parsed->process);
	label(show, "Command");
	terminal_put(&show->terminal, buffer, 0);
	fputc('\n', show->terminal.out);
}

static void put_cost(const struct show *show, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	char user[32], system[32], rss[16], in[16], out[16];

	if (event->type != EVENT_EXITED || !event->end.cpu_known)
		return;
	time_span_format(user, sizeof(user), event->end.cpu_user_ns);
	time_span_format(system, sizeof(system), event->end.cpu_system_ns);
	size_format(rss, sizeof(rss), event->end.max_rss_bytes);
	size_format(in, sizeof(in), event->end.read_bytes);
	size_format(out, sizeof(out), event->end.write_bytes);
	line(show, "Resources", "CPU %s user, %s system; memory %s; read %s, written %s", user, system, rss, in, out);
}

/* The parent's own life; where nothing has it, it is asked for by its id. */
static struct life *parent_of(struct show *show, const struct life *life)
{
	struct life *parent = life->parent;

	if (parent && !parent->seen && read_journal(show, "EXECSNOOP_ID", bytes_of(parent->id)) < 0)
		return NULL;
	return parent;
}

static void put_why(struct show *show, struct life *life)
{
	const struct terminal *terminal = &show->terminal;
	char id[128];
	struct text text;
	const char *arrow = terminal->utf8 ? "← " : "<- ";

	for (int i = 0; i < ANCESTORS_SHOWN && (life = parent_of(show, life)); i++) {
		label(show, i == 0 ? "Why" : "");
		fputs(arrow, terminal->out);
		if (!life->seen) {
			text_begin(&text, id, sizeof(id));
			text_name(&text, bytes_of(life->id));
			fprintf(terminal->out, "%s, of which there is no event\n", id);
			return;
		}
		fprintf(terminal->out, "%" PRIu32 " ", life->pid);
		terminal_put(terminal, life->command, terminal->width > 30 ? terminal->width - 26 : 0);
		if (*life->unit && !(life->parent && strcmp(life->parent->unit, life->unit) == 0)) {
			fputs("  ", terminal->out);
			terminal_color(terminal, COLOR_GREY);
			terminal_put(terminal, life->unit, 0);
			terminal_color(terminal, COLOR_NONE);
		}
		fputc('\n', terminal->out);
	}
}

static void put_children(struct show *show, const struct life *life)
{
	const struct life *child;
	size_t n = 0;

	if (read_journal(show, "EXECSNOOP_PARENT_ID", bytes_of(life->id)) < 0)
		return;
	STAILQ_FOREACH(child, &life->children, sibling)
	{
		if (!child->seen)
			continue;
		if (n < CHILDREN_SHOWN) {
			label(show, n == 0 ? "Children" : "");
			fprintf(show->terminal.out, "%" PRIu32 " ", child->pid);
			terminal_put(&show->terminal, child->command,
				     show->terminal.width > 40 ? show->terminal.width - 40 : 0);
			fprintf(show->terminal.out, "%s%s\n", *child->status ? "  " : "",
				strcmp(child->status, "0") == 0 ? "ok" : child->status);
		}
		n++;
	}
	if (n > CHILDREN_SHOWN)
		line(show, "", "and %zu more", n - CHILDREN_SHOWN);
	if (n == 0)
		line(show, "Children", "none");
}

static int put_life(struct show *show, struct life *life)
{
	const char *reason;
	struct parsed parsed;
	int r = event_parser_line(show->parser, bytes_of(life->json), &parsed, &reason);

	if (r < 0)
		return r;
	put_head(show, &parsed);
	put_when(show, &parsed);
	put_user(show, &parsed);
	bytes_line(show, "Unit", parsed.process.image.unit);
	bytes_line(show, "Container", parsed.process.image.container_id);
	if (parsed.tty.data)
		bytes_line(show, "Terminal", parsed.tty);
	bytes_line(show, "Directory", parsed.process.image.cwd);
	if (parsed.process.image.filename.data && !bytes_equal(parsed.process.image.filename, parsed.process.image.exe))
		bytes_line(show, "File", parsed.process.image.filename);
	put_command(show, &parsed);
	put_cost(show, &parsed);
	put_why(show, life);
	put_children(show, life);
	bytes_line(show, "Id", bytes_of(life->id));
	return 0;
}

static int show_one(struct show *show, const char *name)
{
	struct life *life = NULL;
	size_t others;
	int r = find(show, name, &life, &others);

	if (r < 0)
		return options_file_status(r);
	if (!life || !life->json) {
		options_refuse(name, "no event of such a process is known");
		return CTL_NOTHING;
	}
	r = put_life(show, life);
	if (r >= 0 && others > 0 && !show->options->quiet)
		fprintf(show->terminal.out, "%zu other process%s had this pid; execsnoopctl log --pid=%s lists them\n",
			others, others == 1 ? "" : "es", name);
	return r < 0 ? CTL_FAILED : CTL_OK;
}

static int load(struct show *show)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	int r;

	if (!show->options->input)
		return read_daemon(show);
	r = source_open_file(&source, show->options->input);
	return r < 0 ? r : read_into(show, source, false);
}

int command_show(struct options *options)
{
	struct show show = { .options = options, .journal = !options->input && !options->from_socket };
	int r, status = CTL_OK;

	if (!options->arguments[0]) {
		fprintf(stderr, "execsnoopctl: show takes the pid or the id of a process\n");
		return CTL_USAGE;
	}
	/* They choose one of several that had a pid; its ancestors and children are of any time. */
	query_set_bounds(options->query)->since = query_set_bounds(options->query)->until = 0;
	r = history_new(&show.history, true);
	if (r >= 0)
		r = event_parser_new(&show.parser);
	if (r >= 0)
		r = load(&show);
	if (r >= 0 || show.journal) {
		terminal_open(&show.terminal, options->color, !options->no_pager, options->full);
		for (char **name = options->arguments; *name; name++) {
			r = show_one(&show, *name);
			status = r != CTL_OK ? r : status;
		}
		if (terminal_close(&show.terminal) < 0)
			status = CTL_FAILED;
	} else {
		status = options->input ? options_file_status(r) : options_status(r);
	}
	history_free(show.history);
	event_parser_free(show.parser);
	return status;
}
