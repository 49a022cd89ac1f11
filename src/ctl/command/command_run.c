/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command, and a report of what it ran. It is forked and held before its exec; its tree is subscribed to; once the
 * daemon has confirmed that, it is released. So all of its tree is reported, from the first exec on, also what outlives
 * the command: the daemon keeps the tree by identity.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "ctl/command/commands.h"
#include "ctl/command/run_child.h"
#include "ctl/command/run_scope.h"
#include "ctl/command/run_tree.h"
#include "ctl/export/export.h"
#include "ctl/view/view_report.h"

/* What has ended is reported at once, unless the machine is under a storm. */
#define END_PATIENCE_NS 5000000000ULL

struct run {
	struct options *options;
	struct run_child child;
	struct run_tree tree;
	struct run_scope scope;
	struct recording *recording;
	FILE *out; /* -w; NULL: none */
	int signals;
	bool was_reported;	 /* the command's end */
	bool has_gone;		 /* the daemon */
	bool stopped;		 /* by a signal, after the command ended */
	bool has_left;		 /* --wait: all that it started has ended */
	uint64_t started, ended; /* CLOCK_MONOTONIC */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* -w without another format. */
static bool is_stream(const struct run *run)
{
	const char *output = run->options->output;

	return !output || strcmp(output, "json") == 0;
}

static int open_output(struct run *run)
{
	const char *path = run->options->write;

	if (!is_stream(run) && !export_find(run->options->output)) {
		fprintf(stderr, "execsnoopctl: --output %s: not one of json, %s\n", run->options->output,
			export_names());
		return CTL_USAGE;
	}
	if (!path && !is_stream(run)) {
		fputs("execsnoopctl: run: --output is the format of a file: --write=FILE\n", stderr);
		return CTL_USAGE;
	}
	if (!path)
		return 0;
	run->out = fopen(path, "we");
	if (run->out)
		return 0;
	fprintf(stderr, "execsnoopctl: %s: %s\n", path, strerror(errno));
	return CTL_FAILED;
}

static int take(struct run *run, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	if (event->type == EVENT_TYPE_MAX || !run_tree_has(&run->tree, &parsed->process))
		return 0;
	if (event->type == EVENT_EXITED && run_tree_is_child(&run->tree, &parsed->process))
		run->was_reported = true;
	if (run->out && is_stream(run) && parsed->line.data) {
		fwrite(parsed->line.data, 1, parsed->line.size, run->out);
		fputc('\n', run->out);
	}
	return recording_add(run->recording, parsed);
}

/* All that has come. 1: there may be more later; 0: the daemon has gone. */
static int take_all(struct run *run)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_wait(run->tree.source, 0)) > 0) {
		r = source_next(run->tree.source, &parsed);
		if (r <= 0)
			return r;
		r = take(run, parsed);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 1;
}

static void read_signals(struct run *run)
{
	bool had_ended = run->child.ended;
	int number;

	while ((number = run_signals_read(run->signals, &run->child)) > 0)
		run->stopped |= had_ended && number != SIGCHLD;
	if (run->child.ended && !had_ended)
		run->ended = now_ns();
	if (run->child.ended && run->options->wait && !run->has_left && waitpid(-1, NULL, WNOHANG) < 0 &&
	    run_scope_count(&run->scope) == 0) {
		run->has_left = true;
		run->ended = now_ns();
		getrusage(RUSAGE_CHILDREN, &run->child.rusage);
	}
}

static bool is_over(const struct run *run, bool connected)
{
	if (!run->child.ended)
		return false;
	if (run->stopped)
		return true;
	if (run->options->wait && !run->has_left)
		return false;
	if (!connected || now_ns() - run->ended > END_PATIENCE_NS)
		return true;
	return run->was_reported && (!run->options->wait || recording_running(run->recording) == 0);
}

/* Until the command has ended, and the daemon has reported that. */
static int follow(struct run *run)
{
	bool connected = true;
	int r;

	for (;;) {
		struct pollfd fds[] = { { .fd = run->signals, .events = POLLIN },
					{ .fd = connected ? run->tree.source->fd : -1, .events = POLLIN } };

		read_signals(run);
		if (connected) {
			r = take_all(run);
			if (r < 0)
				return r;
			connected = r > 0;
		}
		if (is_over(run, connected))
			return connected ? 0 : -EPIPE;
		poll(fds, 2, run->child.ended ? 100 : -1);
	}
}

static int write_output(struct run *run)
{
	const struct export_options options = { .weight = (enum weight)run->options->weight,
						.utc = run->options->view.utc };
	int r = 0;

	if (!run->out)
		return 0;
	if (!is_stream(run))
		r = export_find(run->options->output)(run->out, run->recording, &options);
	if (r == 0)
		r = file_flush(run->out);
	if (fclose(run->out) != 0 && r == 0)
		r = -errno;
	if (r < 0)
		fprintf(stderr, "execsnoopctl: %s: %s\n", run->options->write, strerror(-r));
	return r;
}

static uint64_t ns_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

static int report(struct run *run)
{
	const int status = run->child.status;
	char words[32] = "exit 0", command[512];
	struct report_facts facts = {
		.command = command,
		.status = words,
		.running_ns = run->ended - run->started,
		.cpu_user_ns = ns_of(run->child.rusage.ru_utime),
		.cpu_system_ns = ns_of(run->child.rusage.ru_stime),
	};
	struct terminal terminal;
	struct text text;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		facts.cpus = (unsigned)CPU_COUNT(&cpus);
	if (WIFSIGNALED(status))
		signal_name(words, sizeof(words), WTERMSIG(status));
	else
		snprintf(words, sizeof(words), "exit %d", WEXITSTATUS(status));
	text_begin(&text, command, sizeof(command));
	for (char **argument = run->options->arguments; *argument; argument++) {
		text_string(&text, argument == run->options->arguments ? "" : " ");
		text_args(&text, (struct bytes){ *argument, strlen(*argument) + 1 });
	}
	terminal_open_error(&terminal, run->options->color, run->options->full);
	if (terminal.width == 0 && !run->options->full)
		terminal.width = REPORT_WIDTH;
	facts.ends_early = run->has_gone;
	facts.scope = *run->scope.name ? run->scope.name : NULL;
	facts.scope_of_user = run->scope.is_of_user;
	facts.scope_count = run_scope_count(&run->scope);
	return view_report(&terminal, run->recording, &facts);
}

/* The exit status is the command's from here on, whatever else goes wrong. */
static int run_released(struct run *run)
{
	int r = follow(run);

	run->has_gone = r < 0;
	if (r == -EPIPE)
		fputs("execsnoopctl: the daemon has gone: the report ends there\n", stderr);
	else if (r < 0)
		fprintf(stderr, "execsnoopctl: %s\n", strerror(-r));
	else if (!run->was_reported)
		fputs("execsnoopctl: the end of the command was not reported\n", stderr);
	while (!run->child.ended) {
		struct pollfd fd = { .fd = run->signals, .events = POLLIN };

		poll(&fd, 1, -1);
		read_signals(run);
	}
	recording_close(run->recording);
	warn_truncated(run->recording);
	write_output(run);
	if (!run->options->quiet)
		report(run);
	return run_child_exit_status(&run->child);
}

static int release(struct run *run)
{
	const char *command = run->options->arguments[0];
	int r;

	run->started = now_ns();
	r = run_child_release(&run->child);
	if (r == 0)
		return run_released(run);
	fprintf(stderr, "execsnoopctl: %s: %s\n", command, strerror(-r));
	return r == -ENOENT ? 127 : 126;
}

static int run_command(struct run *run)
{
	int r = run_child_start(&run->child, run->options->arguments);

	if (r < 0) {
		fprintf(stderr, "execsnoopctl: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	r = run_tree_open(&run->tree, run->options->socket, run->child.pid);
	if (r == 0 && run->options->scope)
		r = run_scope_start(&run->scope, run->child.pid, run->options->arguments[0]);
	if (r == 0 && recording_new(&run->recording) < 0)
		r = CTL_FAILED;
	if (r == 0 && (run->signals = run_signals_open()) < 0)
		r = CTL_FAILED;
	if (r == 0)
		r = release(run);
	run_child_finish(&run->child);
	recording_free(run->recording);
	source_free(run->tree.source);
	run_scope_finish(&run->scope);
	return r;
}

/* Else a file or socket that is opened here could become the standard error of this process. The command gets them
 * closed, as they were. */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
			return;
}

int command_run(struct options *options)
{
	struct run run = { .options = options };
	int r;

	if (!options->arguments[0]) {
		fputs("execsnoopctl: run: no command, see execsnoopctl --help\n", stderr);
		return CTL_USAGE;
	}
	fill_standard_descriptors();
	/* What loses its parent becomes a child of this process, so that its end can be waited for. */
	if (options->wait && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return CTL_FAILED;
	r = open_output(&run);
	return r > 0 ? r : run_command(&run);
}
