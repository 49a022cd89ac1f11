/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctl/source/journal_file.h"
#include "ctl/source/open_files.h"
#include "ctl/source/source.h"
#include "util/cleanup.h"

static void report(int fd)
{
	_cleanup_free_ char *safe = NULL;
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	safe = source_safe_name(path);
	source_begin_message();
	fprintf(stderr, "%s: the file is damaged, entries of it may be missing; journalctl --verify says more\n",
		safe ?: "-");
	sources_add_bad();
}

static int check(void *userdata, int fd, const struct stat *st)
{
	struct journal_file file;
	void *data = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_SHARED, fd, 0);

	if (data == MAP_FAILED)
		return 0;
	if (journal_file_init(&file, data, (uint64_t)st->st_size) &&
	    !journal_file_is_whole(&file, BYTES("SYSLOG_IDENTIFIER=execsnoopd")))
		report(fd);
	munmap(data, (size_t)st->st_size);
	return 0;
}

void source_report_broken_files(void)
{
	open_files_each(check, NULL);
}
