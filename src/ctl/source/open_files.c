/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/open_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/source/journal_file.h"

static bool is_journal(int fd, struct stat *st)
{
	char signature[sizeof(JOURNAL_SIGNATURE) - 1];

	return fstat(fd, st) == 0 && S_ISREG(st->st_mode) &&
	       pread(fd, signature, sizeof(signature), 0) == sizeof(signature) &&
	       memcmp(signature, JOURNAL_SIGNATURE, sizeof(signature)) == 0;
}

int open_files_each(int (*see)(void *userdata, int fd, const struct stat *st), void *userdata)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!dir)
		return 0;
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && is_journal(atoi(entry->d_name), &st))
			r = see(userdata, atoi(entry->d_name), &st);
	closedir(dir);
	return r;
}

static int add(void *userdata, int fd, const struct stat *st)
{
	struct open_files *open = userdata;
	struct open_file *files = reallocarray(open->files, open->count + 1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	open->files = files;
	files[open->count++] = (struct open_file){ st->st_dev, st->st_ino };
	return 0;
}

int open_files_set(struct open_files *open)
{
	*open = (struct open_files){ 0 };
	return open_files_each(add, open);
}

bool open_files_have(const struct open_files *open, const struct stat *st)
{
	for (size_t i = 0; i < open->count; i++)
		if (open->files[i].dev == st->st_dev && open->files[i].inode == st->st_ino)
			return true;
	return false;
}

void open_files_finish(struct open_files *open)
{
	free(open->files);
}
