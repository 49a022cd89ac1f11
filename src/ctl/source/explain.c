/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why nothing can be read, and the command that mends it. */
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "ctl/source/journal_listing.h"
#include "ctl/source/open_files.h"

#define CREATION_SECONDS 10

static bool is_member(const struct group *group, const char *user)
{
	for (char **member = group->gr_mem; *member; member++)
		if (strcmp(*member, user) == 0)
			return true;
	return false;
}

/* The groups of a process are those of its login. */
static void explain_group(const char *name)
{
	const struct passwd *user = getpwuid(geteuid());
	const struct group *group = getgrnam(name);

	if (user && group && is_member(group, user->pw_name))
		fprintf(stderr, "You are a member since this login began: log in again, or: newgrp %s\n", name);
	else
		fprintf(stderr, "To join it: sudo usermod -aG %s %s; then log in again\n", name,
			user ? user->pw_name : "USER");
}

bool source_is_mute(int error)
{
	return error == 0 || error == -EPIPE || error == -ECONNRESET || error == -EBADMSG;
}

const char *source_error(int error)
{
	if (error == -EBADMSG)
		return "this is not execsnoopd's socket";
	return source_is_mute(error) ? "the connection ended without a reply; is it execsnoopd's socket?"
				     : strerror(-error);
}

void source_explain_socket(const char *path, int error)
{
	_cleanup_free_ char *safe = source_safe_name(path);

	fprintf(stderr, "%s: %s\n", safe ?: "-", source_error(error));
	if (error == -ENOENT || error == -ECONNREFUSED) {
		fputs("execsnoopd does not run. Start it with: systemctl start execsnoopd\n", stderr);
	} else if (error == -EACCES || error == -EPERM) {
		fputs("Only root and members of the group execsnoopd may read events.\n", stderr);
		explain_group("execsnoopd");
	}
}

static bool is_unreadable(void *userdata, const char *path)
{
	return access(path, R_OK) < 0 && errno == EACCES;
}

/* journald creates a file, and then writes its header. */
static bool is_being_created(const struct stat *st)
{
	return st->st_size == 0 && time(NULL) - st->st_mtime < CREATION_SECONDS;
}

/* What sd-journal has open is no damaged file; of others the error is found by opening them alone. */
static bool report_damaged(void *userdata, const char *path)
{
	const struct open_files *open = userdata;
	const char *paths[] = { path, NULL };
	sd_journal *journal;
	struct stat st;
	int r;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0 || is_being_created(&st) || open_files_have(open, &st))
		return false;
	r = sd_journal_open_files(&journal, paths, 0);
	if (r >= 0) {
		sd_journal_close(journal);
	} else if (r != -ENOENT) {
		_cleanup_free_ char *safe = source_safe_name(path);

		fprintf(stderr, "%s: the file is not read: %s; journalctl --verify says more\n", safe ?: "-",
			strerror(-r));
		sources_add_bad();
	}
	return false;
}

void source_report_damaged_files(const struct journal_options *options)
{
	_cleanup_(open_files_finish) struct open_files open = { 0 };

	/* Named ones are an error of sd_journal_open_files(3). */
	if (!options->files && open_files_set(&open) == 0)
		journal_listing_any(options, report_damaged, &open);
}

/* Of those that the patterns match. */
static bool any_unreadable(char *const *patterns)
{
	bool found = false;

	for (; *patterns && !found; patterns++) {
		glob_t files;

		if (glob(*patterns, GLOB_NOSORT, NULL, &files) != 0)
			continue;
		for (size_t i = 0; i < files.gl_pathc && !found; i++)
			found = is_unreadable(NULL, files.gl_pathv[i]);
		globfree(&files);
	}
	return found;
}

/* sd_journal_open(3) passes over files that may not be read. */
bool source_explain_journal(const struct journal_options *options)
{
	bool found = options->files ? any_unreadable(options->files)
				    : journal_listing_any(options, is_unreadable, NULL);
	_cleanup_free_ char *safe = NULL;

	if (!found)
		return false;
	safe = source_safe_name(options->directory ?: "journal");
	fprintf(stderr, "%s: Permission denied\n", safe ?: "-");
	if (!options->directory && !options->files) {
		fputs("Only root and members of the group systemd-journal may read it.\n", stderr);
		explain_group("systemd-journal");
	}
	return true;
}
