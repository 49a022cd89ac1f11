/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As add_root_directory() and add_directory() of systemd's sd-journal.c: the files of a folder, and of those below it
 * whose name is an id of a machine, or that with a dot and a namespace (sd_journal_open_namespace(3)).
 */
#include "ctl/source/journal_listing.h"

#include <dirent.h>
#include <stdio.h>
#include <systemd/sd-id128.h>

#define OUR_NAMESPACE "execsnoopd" /* LogNamespace= of the shipped drop-in */

struct listing {
	const struct journal_options *options;
	bool (*see)(void *userdata, const char *path);
	void *userdata;
	bool any_machine;
};

static bool has_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), suffix_size = strlen(suffix);

	return size >= suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

static bool is_journal(const char *name)
{
	return (has_suffix(name, ".journal") || has_suffix(name, ".journal~")) && strncmp(name, "user-", 5) != 0;
}

static bool is_wanted_namespace(const struct journal_options *options, const char *name)
{
	if (options->name_space)
		return strcmp(name, options->name_space) == 0;
	return *name == '\0' || (!options->directory && strcmp(name, OUR_NAMESPACE) == 0);
}

static bool is_wanted_folder(const struct listing *listing, const char *name)
{
	size_t digits = strspn(name, "0123456789abcdefABCDEF");
	char machine[33];
	sd_id128_t id, own;

	if (digits != 32 || (name[32] != '\0' && name[32] != '.') ||
	    !is_wanted_namespace(listing->options, name + 32 + (name[32] == '.')))
		return false;
	memcpy(machine, name, 32);
	machine[32] = '\0';
	return listing->any_machine ||
	       (sd_id128_from_string(machine, &id) >= 0 && sd_id128_get_machine(&own) >= 0 && sd_id128_equal(id, own));
}

static bool see_folder(const struct listing *listing, const char *path, bool is_root)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		_cleanup_free_ char *name = NULL;

		if (asprintf(&name, "%s/%s", path, entry->d_name) < 0) {
			name = NULL;
			continue;
		}
		if (is_journal(entry->d_name) && entry->d_type != DT_DIR)
			found = listing->see(listing->userdata, name);
		else if (is_root && is_wanted_folder(listing, entry->d_name))
			found = see_folder(listing, name, false);
	}
	closedir(dir);
	return found;
}

bool journal_listing_any(const struct journal_options *options, bool (*see)(void *userdata, const char *path),
			 void *userdata)
{
	struct listing listing = { options, see, userdata, options->directory || options->merge };

	if (options->directory)
		return see_folder(&listing, options->directory, true);
	if (see_folder(&listing, "/var/log/journal", true) ||
	    (options->merge && see_folder(&listing, "/var/log/journal/remote", true)))
		return true;
	listing.any_machine = true;
	return see_folder(&listing, "/run/log/journal", true);
}
