/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which entries of the journal are read (execsnoopd(8), "The journal"). What the journal's index can do of the query
 * becomes matches (journal_matches.h), the rest is decided by the caller.
 */
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "ctl/source/boots.h"
#include "ctl/source/entry_reader.h"
#include "ctl/source/journal_matches.h"
#include "ctl/source/journal_memory.h"
#include "ctl/source/journal_record.h"
#include "ctl/source/source.h"

#define PREFIX "EXECSNOOP_"
#define US 1000ULL
#define RELEASE_ENTRIES 16384 /* some 40 MiB of a file */
/* An entry is written after its event: by the journal's queue, and by journald when it is busy. */
#define LATE_US (300 * 1000000ULL)

struct journal_source {
	struct event_source source;
	sd_journal *journal;
	bool reverse, follow;
	bool is_open, is_local, has_entries;
	bool lived;		     /* as in the bounds of the query */
	uint64_t since_us, until_us; /* 0: no bound */
	char *name;		     /* of the source */
	char *newest;		     /* the cursor of the first entry that was read backwards */
	uint64_t entries;	     /* that were read */
	struct journal_fields wanted;
	struct journal_record record;
	struct entry_reader *reader; /* NULL while new entries are followed */
};

/* By sd-journal. 0 or -errno. */
static int read_fields(struct journal_source *s)
{
	const void *data;
	size_t size;
	int r;

	journal_record_begin(&s->record);
	sd_journal_restart_data(s->journal);
	while ((r = sd_journal_enumerate_available_data(s->journal, &data, &size)) > 0) {
		struct bytes value;
		const struct journal_field *field =
			journal_fields_find(&s->wanted, (struct bytes){ data, size }, &value);

		r = field ? journal_record_add(&s->record, field, value) : 0;
		if (r < 0)
			return r;
	}
	return r;
}

/* 1: an event or a mark; 0: another entry. */
static int read_entry(struct journal_source *s)
{
	struct journal_record *record = &s->record;
	int r = ENTRY_LEFT;

	journal_record_begin(record);
	if (s->reader)
		r = entry_reader_read(s->reader, s->journal, record);
	if (r == ENTRY_LEFT)
		r = read_fields(s);
	if (r < 0)
		return r;
	r = journal_record_end(record);
	return r < 0 ? r : record->parsed.type.data != NULL;
}

/* sd_journal_wait(3) continues after a signal; this returns -EINTR. */
static int wait_for_more(struct journal_source *s)
{
	struct pollfd poll_fd = { .fd = sd_journal_get_fd(s->journal) };
	int events = sd_journal_get_events(s->journal), timeout = -1;
	uint64_t us, now;
	struct timespec ts;

	if (poll_fd.fd < 0 || events < 0)
		return poll_fd.fd < 0 ? poll_fd.fd : events;
	poll_fd.events = (short)events;
	if (sd_journal_get_timeout(s->journal, &us) >= 0 && us != UINT64_MAX) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
		timeout = us > now ? (int)((us - now) / 1000) + 1 : 0;
	}
	if (poll(&poll_fd, 1, timeout) < 0)
		return -errno;
	return sd_journal_process(s->journal);
}

static int step(struct journal_source *s)
{
	for (;;) {
		int r = s->reverse ? sd_journal_previous(s->journal) : sd_journal_next(s->journal);

		if (r != 0 || !s->follow)
			return r;
		r = wait_for_more(s);
		if (r < 0)
			return r;
	}
}

/* An entry is written after its event, so all before an entry that was written too early happened too early. */
static bool is_beyond(const struct journal_source *s)
{
	uint64_t us;

	if ((s->reverse ? s->since_us : s->until_us) == 0 || sd_journal_get_realtime_usec(s->journal, &us) < 0)
		return false;
	return s->reverse ? us < s->since_us : us > s->until_us && !s->lived;
}

/* After the span only ends count, of processes that began before it was over. */
static bool is_of_later_process(struct journal_source *s)
{
	const char *data;
	uint64_t us, start;
	size_t size, prefix = strlen(PREFIX "START_TIME=");

	if (!s->lived || s->until_us == 0 || sd_journal_get_realtime_usec(s->journal, &us) < 0 || us <= s->until_us)
		return false;
	return sd_journal_get_data(s->journal, PREFIX "START_TIME", (const void **)&data, &size) < 0 ||
	       (parsed_time((struct bytes){ data + prefix, size - prefix }, &start) &&
		start / US > s->until_us - LATE_US);
}

static int read_next(struct journal_source *s)
{
	int r;

	for (;;) {
		r = step(s);
		if (r <= 0)
			break;
		s->has_entries = true;
		if (s->reverse && !s->newest)
			sd_journal_get_cursor(s->journal, &s->newest);
		if (is_beyond(s))
			return 0;
		if (is_of_later_process(s))
			continue;
		r = read_entry(s);
		if (r > 0)
			return r;
		if (r == 0)
			continue;
		if (r == -EBADMSG || r == -EPROTONOSUPPORT) {
			source_begin_message();
			fprintf(stderr, "%s: an entry cannot be read: %s\n", s->source.name, strerror(-r));
			sources_add_bad();
			continue;
		}
		break;
	}
	if (r < 0 && r != -EINTR)
		fprintf(stderr, "%s: %s\n", s->source.name, strerror(-r));
	return r;
}

static int journal_next(struct event_source *source, const struct parsed **ret)
{
	struct journal_source *s = (struct journal_source *)source;
	int r = read_next(s);

	if (r > 0)
		*ret = &s->record.parsed;
	if (++s->entries % RELEASE_ENTRIES == 0)
		journal_memory_release();
	return r;
}

/* Nothing was found: is it the query, or is there nothing to be found? */
static void report_empty(struct journal_source *s)
{
	static bool reported;

	if (s->has_entries || reported)
		return;
	sd_journal_flush_matches(s->journal);
	if (sd_journal_add_match(s->journal, "SYSLOG_IDENTIFIER=execsnoopd", 0) < 0 ||
	    sd_journal_seek_head(s->journal) < 0 || sd_journal_next(s->journal) != 0)
		return;
	reported = true;
	fprintf(stderr, "%s: there are no entries of execsnoopd in it%s\n", s->source.name,
		s->is_local ? ", see: systemctl status execsnoopd" : "");
}

static void journal_free(struct event_source *source)
{
	struct journal_source *s = (struct journal_source *)source;

	if (s->journal && s->is_open)
		report_empty(s);
	entry_reader_free(s->reader);
	sd_journal_close(s->journal);
	free(s->name);
	free(s->newest);
	journal_record_finish(&s->record);
	free(s);
}

static int journal_wait(struct event_source *source, int timeout_ms)
{
	return 1;
}

static const struct source_ops journal_ops = { .next = journal_next, .wait = journal_wait, .free = journal_free };

/* One that matches nothing is taken as a name, as journalctl(1) does: then the error is about it. */
static int open_files(sd_journal **ret, char *const *globs)
{
	glob_t found = { 0 };
	int flags = GLOB_NOCHECK, r = 0;

	for (; *globs && r == 0; globs++, flags |= GLOB_APPEND)
		r = glob(*globs, flags, NULL, &found);
	r = r == 0 ? sd_journal_open_files(ret, (const char **)found.gl_pathv, 0) : r == GLOB_NOSPACE ? -ENOMEM : -EIO;
	globfree(&found);
	return r;
}

static int open_journal(sd_journal **ret, const struct journal_options *options)
{
	int flags = options->merge ? 0 : SD_JOURNAL_LOCAL_ONLY;

	if (options->directory)
		return sd_journal_open_directory(ret, options->directory, 0);
	if (options->files)
		return open_files(ret, options->files);
	if (options->name_space)
		return sd_journal_open_namespace(ret, options->name_space, flags);
	/* The namespace of the shipped drop-in (LogNamespace=execsnoopd), and where the unit has none. */
	return sd_journal_open_namespace(ret, "execsnoopd", flags | SD_JOURNAL_INCLUDE_DEFAULT_NAMESPACE);
}

/*
 * A file that journald rotates between the listing of its folder and its turn to be opened would be missed: its name is
 * that of its successor then. sd_journal_get_fd() watches the folders and lists them again, and sd_journal_process()
 * takes what was renamed meanwhile. Where they fail there is one listing, as for journalctl(1).
 */
static void list_again(sd_journal *journal)
{
	if (sd_journal_get_fd(journal) >= 0)
		sd_journal_process(journal);
}

static int add_matches(sd_journal *journal, const struct journal_options *options, const struct query *query)
{
	bool this_machine = !options->directory && !options->files;
	char boot[sizeof("_BOOT_ID=") + 32] = "_BOOT_ID=";
	int r = 0;

	if (options->boot)
		r = boot_find(journal, options->boot, this_machine, boot + strlen(boot));
	if (r < 0)
		fprintf(stderr, "execsnoopctl: --boot %s: %s, see journalctl --list-boots\n", options->boot,
			r == -ENOENT ? "the journal has no such boot" : strerror(-r));
	if (r == -ENOENT)
		return -ENODATA;
	if (r >= 0 && options->boot)
		r = sd_journal_add_match(journal, boot, 0);
	if (r >= 0)
		r = sd_journal_add_match(journal, "SYSLOG_IDENTIFIER=execsnoopd", 0);
	for (char *const *match = options->matches; r >= 0 && match && *match; match++)
		r = sd_journal_add_match(journal, *match, 0);
	return r < 0 ? r : journal_matches_add(journal, query);
}

static int seek(struct journal_source *s, const struct query *query, bool from_start)
{
	uint64_t until = query_bounds(query)->until / US;

	s->since_us = query_bounds(query)->since / US;
	s->until_us = until > 0 ? until + LATE_US : 0;
	if (s->reverse)
		return until > 0 ? sd_journal_seek_realtime_usec(s->journal, s->until_us)
				 : sd_journal_seek_tail(s->journal);
	return s->since_us > 0 && !from_start ? sd_journal_seek_realtime_usec(s->journal, s->since_us)
					      : sd_journal_seek_head(s->journal);
}

int source_open_journal(struct event_source **ret, const struct journal_options *options, const struct query *query)
{
	struct journal_source *s;
	int r;

	if (source_explain_journal(options))
		return -EACCES;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->name = source_safe_name(options->directory ?: "journal");
	s->source = (struct event_source){ .ops = &journal_ops, .name = s->name ?: "journal", .fd = -1 };
	s->reverse = options->reverse;
	s->lived = query_bounds(query)->lived;
	journal_fields_set(&s->wanted, options->keys && query_takes_all(query) ? options->keys : ~(key_set)0);
	r = open_journal(&s->journal, options);
	if (r >= 0)
		list_again(s->journal);
	if (r >= 0)
		r = sd_journal_set_data_threshold(s->journal, 0);
	if (r >= 0)
		r = add_matches(s->journal, options, query);
	if (r >= 0)
		r = seek(s, query, options->from_start);
	if (r >= 0)
		r = entry_reader_new(&s->reader, &s->wanted);
	if (r < 0) {
		if (!options->boot || !s->journal)
			fprintf(stderr, "%s: %s\n", s->source.name, strerror(-r));
		journal_free(&s->source);
		return r;
	}
	source_report_damaged_files(options);
	s->is_open = true;
	s->is_local = !options->directory && !options->files;
	*ret = &s->source;
	return 0;
}

int source_journal_turn(struct event_source *source)
{
	struct journal_source *s = (struct journal_source *)source;
	int r;

	s->reverse = false;
	s->follow = true;
	s->reader = entry_reader_free(s->reader);
	s->until_us = 0;
	/* Changes are seen from here on. */
	r = sd_journal_get_fd(s->journal);
	if (r < 0)
		return r;
	if (!s->newest) {
		r = sd_journal_seek_tail(s->journal);
		if (r >= 0)
			r = sd_journal_previous(s->journal);
		return r != 0 ? r : sd_journal_seek_head(s->journal);
	}
	r = sd_journal_seek_cursor(s->journal, s->newest);
	return r < 0 ? r : sd_journal_next(s->journal);
}
