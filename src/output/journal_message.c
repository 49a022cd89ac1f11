/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MESSAGE of a journal entry: one line for people. Programs read the fields, so it may leave out
 * what is long (arguments come last and are cut), and escape what could do harm on a terminal.
 */
#include <inttypes.h>
#include <sys/wait.h>

#include "output/journal_entry.h"
#include "util/quote.h"

static void put_process(struct text *text, struct bytes comm, uint32_t pid)
{
	if (comm.data)
		text_name(text, comm);
	else
		text_string(text, "process ");
	text_string(text, "[");
	text_number(text, pid);
	text_string(text, "]");
}

static void put_parent(struct text *text, const char *verb, const struct process *process)
{
	text_string(text, " ");
	text_string(text, verb);
	if (process->ppid == 0)
		return;
	text_string(text, " by ");
	put_process(text, process->parent_comm, process->ppid);
}

static void put_program(struct text *text, const struct process *process)
{
	const struct image *image = &process->image;

	if (process->kernel_thread) {
		text_string(text, " (kernel thread)");
	} else if (image->args.size > 0) {
		text_string(text, ": ");
		text_args(text, image->args);
	} else if (image->exe.size > 0) {
		text_string(text, ": ");
		text_name(text, image->exe);
	}
}

static void put_started(struct text *text, const struct event *event)
{
	if (event->source == SOURCE_PROC)
		text_string(text, " was already running");
	else if (event->source == SOURCE_RESYNC)
		text_string(text, " was found running");
	else if (event->snapshot)
		text_string(text, " is running");
	else
		put_parent(text, "started", event->process);
	put_program(text, event->process);
}

static void put_exited(struct text *text, const struct event *event)
{
	uint32_t status = event->end.status;
	uint64_t ms = event->end.running_ns / 1000000;

	if (!event->end.status_known) {
		text_string(text, " is gone");
	} else if (WIFSIGNALED((int)status)) {
		char name[32];

		signal_name(name, sizeof(name), WTERMSIG((int)status));
		text_printf(text, " was killed by %s%s", name, WCOREDUMP((int)status) ? " (core dumped)" : "");
	} else {
		text_printf(text, " exited with status %d", WEXITSTATUS((int)status));
	}
	text_printf(text, " after %" PRIu64 ".%03" PRIu64 " s", ms / 1000, ms % 1000);
}

static void put_error(struct text *text, const struct event *event)
{
	const struct image *image = &event->process->image;
	const char *name = errno_name(event->error);

	text_string(text, " could not execute ");
	if (image->exe.data)
		text_name(text, image->exe);
	else
		text_string(text, "a path that could not be read");
	text_string(text, name ? ": " : ": error ");
	if (name)
		text_string(text, name);
	else
		text_number(text, (uint64_t)event->error);
}

static void put_lost(struct text *text, const struct event *event)
{
	static const char *const places[] = {
		[LOST_KERNEL] = "kernel",
		[LOST_SUBSCRIBER] = "subscriber",
		[LOST_JOURNAL] = "journal",
	};

	text_printf(text, "lost %" PRIu64 " event%s (%s)", event->lost.count, event->lost.count == 1 ? "" : "s",
		    places[event->lost.where]);
	if (event->lost.where != LOST_KERNEL && event->lost.first_seq != 0)
		text_printf(text, ", from number %" PRIu64 " to %" PRIu64, event->lost.first_seq, event->lost.last_seq);
}

void journal_message(char *ret, size_t size, const struct event *event)
{
	struct text text;

	text_begin(&text, ret, size);
	if (event->process)
		put_process(&text, event->process->comm, event->process->tgid);
	switch (event->type) {
	case EVENT_STARTED:
		put_started(&text, event);
		break;
	case EVENT_EXITED:
		put_exited(&text, event);
		break;
	case EVENT_ERROR:
		put_error(&text, event);
		break;
	case EVENT_FORKED:
		put_parent(&text, "forked", event->process);
		break;
	case EVENT_LOST:
		put_lost(&text, event);
		break;
	default:
		break;
	}
}
