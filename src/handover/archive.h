/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one daemon leaves to the next. One function describes a thing's format for both directions: it names its fields
 * in order, and the archive writes them or sets them. So what is written and what is read cannot differ.
 *
 * Written, it is a file in memory that cannot be changed any more (memfd_create(2), sealed). Read, it comes from a
 * daemon of this version and this boot, but nothing in it is taken for granted: sizes are checked, and after the first
 * thing that does not fit, everything reads as zero and archive_error() returns an error.
 */
#pragma once

#include <stdbool.h>

#include "util/bytes.h"
#include "util/cleanup.h"

struct archive;

/* An empty one, to write. 0 or -errno. */
int archive_new(struct archive **ret);
/* What archive_seal gave, to read. fd is borrowed, and may be closed. 0, -EINVAL: it is something else; -errno. */
int archive_open(struct archive **ret, int fd);
struct archive *archive_free(struct archive *archive);
DEFINE_CLEANUP(struct archive *, archive_free);

bool archive_is_reading(const struct archive *archive);
/* 0, or what went wrong first: -ENOMEM, -ENOSPC, ... while writing, -EBADMSG while reading. */
int archive_error(const struct archive *archive);
/* For a reader that finds values that make no sense: -EBADMSG from now on. */
void archive_fail(struct archive *archive);

/* `size` bytes at `value`. */
void archive_raw(struct archive *archive, void *value, size_t size);
#define ARCHIVE(archive, lvalue) archive_raw(archive, &(lvalue), sizeof(lvalue))
/* A boolean, as one byte. */
void archive_flag(struct archive *archive, bool *flag);
/* A number of things that follow; read, it is at most `most`, else the archive is spoilt, and it is 0. */
void archive_count(struct archive *archive, size_t *count, size_t most);
/* Bytes with their length; read, they are the archive's, as long as it lives. */
void archive_bytes(struct archive *archive, struct bytes *bytes);

/* Ends the writing: *ret is a descriptor, the caller's, of the sealed file. 0 or -errno. */
int archive_seal(struct archive *archive, int *ret);
