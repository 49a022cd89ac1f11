/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal files that this process has open. sd-journal holds each file open that it reads, so these are its files,
 * wherever they are and whatever their names are by now.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Calls see for each of them, until it returns something other than 0, which is returned. */
int open_files_each(int (*see)(void *userdata, int fd, const struct stat *st), void *userdata);

/* All zero is an empty one. */
struct open_files {
	struct open_file {
		dev_t dev;
		ino_t inode;
	} * files;
	size_t count;
};

/* 0 or -ENOMEM. */
int open_files_set(struct open_files *open);
bool open_files_have(const struct open_files *open, const struct stat *st);
void open_files_finish(struct open_files *open);
