/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why nothing can be read, and the command that mends it. */
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "ctl/source/source.h"

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
	return source_is_mute(error) ? "the connection ended without an answer; is it execsnoopd's socket?"
				     : strerror(-error);
}

void source_explain_socket(const char *path, int error)
{
	fprintf(stderr, "%s: %s\n", path, source_error(error));
	if (error == -ENOENT || error == -ECONNREFUSED) {
		fputs("execsnoopd does not run. Start it with: systemctl start execsnoopd\n", stderr);
	} else if (error == -EACCES || error == -EPERM) {
		fputs("Only root and members of the group execsnoopd may read events.\n", stderr);
		explain_group("execsnoopd");
	}
}

/* Calls see with each file of the pattern until it returns true; true: it did. Journals of users hold nothing of the
 * daemon's (journald.conf(5), SplitMode=). */
static bool any_file(const char *pattern, bool (*see)(const char *path))
{
	glob_t files;
	bool found = false;

	if (glob(pattern, GLOB_NOSORT, NULL, &files) != 0)
		return false;
	for (size_t i = 0; i < files.gl_pathc && !found; i++) {
		const char *name = strrchr(files.gl_pathv[i], '/');

		found = name && strncmp(name, "/user-", 6) != 0 && see(files.gl_pathv[i]);
	}
	globfree(&files);
	return found;
}

static bool any_file_of(const struct journal_options *options, const char *suffix, bool (*see)(const char *path))
{
	static const char *const everywhere[] = { "/var/log/journal", "/run/log/journal" };
	bool found = false;

	for (size_t i = 0; i < (options->directory ? 1 : 2) && !found; i++) {
		const char *directory = options->directory ?: everywhere[i];
		char pattern[4096];

		for (unsigned depth = 0; depth < 2 && !found; depth++) {
			snprintf(pattern, sizeof(pattern), "%s%s/*.journal%s", directory, depth ? "/*" : "", suffix);
			found = any_file(pattern, see);
		}
	}
	return found;
}

static bool is_unreadable(const char *path)
{
	return access(path, R_OK) < 0 && errno == EACCES;
}

static bool report_damaged(const char *path)
{
	const char *paths[] = { path, NULL };
	sd_journal *journal;
	int r = access(path, R_OK) < 0 ? -ENOENT : sd_journal_open_files(&journal, paths, 0);

	if (r >= 0) {
		sd_journal_close(journal);
	} else if (r != -ENOENT) {
		fprintf(stderr, "%s: the file is not read: %s; journalctl --verify says more\n", path, strerror(-r));
		sources_add_bad();
	}
	return false;
}

void source_report_damaged_files(const struct journal_options *options)
{
	/* Named ones are an error of sd_journal_open_files(3). */
	if (options->files)
		return;
	any_file_of(options, "", report_damaged);
	any_file_of(options, "~", report_damaged);
}

/* sd_journal_open(3) passes over files that may not be read. */
bool source_explain_journal(const struct journal_options *options)
{
	bool found = !options->files && any_file_of(options, "", is_unreadable);

	for (char *const *file = options->files; file && *file && !found; file++)
		found = any_file(*file, is_unreadable);
	if (!found)
		return false;
	fprintf(stderr, "%s: Permission denied\n", options->directory ?: "journal");
	if (!options->directory && !options->files) {
		fputs("Only root and members of the group systemd-journal may read it.\n", stderr);
		explain_group("systemd-journal");
	}
	return true;
}
