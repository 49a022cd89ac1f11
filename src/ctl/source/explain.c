/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why nothing can be read, and the command that mends it. */
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
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

void source_explain_socket(const char *path, int error)
{
	fprintf(stderr, "%s: %s\n", path, strerror(-error));
	if (error == -ENOENT || error == -ECONNREFUSED) {
		fputs("execsnoopd does not run. Start it with: systemctl start execsnoopd\n", stderr);
	} else if (error == -EACCES || error == -EPERM) {
		fputs("Only root and members of the group execsnoopd may read events.\n", stderr);
		explain_group("execsnoopd");
	}
}

/* Journals of users hold nothing of the daemon's (journald.conf(5), SplitMode=). */
static bool is_unreadable(const char *pattern)
{
	glob_t files;
	bool found = false;

	if (glob(pattern, GLOB_NOSORT, NULL, &files) != 0)
		return false;
	for (size_t i = 0; i < files.gl_pathc && !found; i++) {
		const char *name = strrchr(files.gl_pathv[i], '/');

		found = name && strncmp(name, "/user-", 6) != 0 && access(files.gl_pathv[i], R_OK) < 0 &&
			errno == EACCES;
	}
	globfree(&files);
	return found;
}

/* sd_journal_open(3) passes over files that may not be read. */
bool source_explain_journal(const struct journal_options *options)
{
	static const char *const everywhere[] = { "/var/log/journal", "/run/log/journal" };
	bool found = false;

	for (char *const *file = options->files; file && *file && !found; file++)
		found = is_unreadable(*file);
	for (size_t i = 0; !options->files && i < 2 && !found; i++) {
		const char *directory = options->directory ?: everywhere[i];
		char pattern[4096];

		for (unsigned depth = 0; depth < 2 && !found; depth++) {
			snprintf(pattern, sizeof(pattern), "%s%s/*.journal", directory, depth ? "/*" : "");
			found = is_unreadable(pattern);
		}
	}
	if (!found)
		return false;
	fprintf(stderr, "%s: Permission denied\n", options->directory ?: "journal");
	if (!options->directory && !options->files) {
		fputs("Only root and members of the group systemd-journal may read it.\n", stderr);
		explain_group("systemd-journal");
	}
	return true;
}
