/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where `cat` writes: standard output, or a socket that it connects to. No call waits for the reader. Bytes wait in a
 * buffer until they are written; the caller adds no more while some wait, so the buffer has a bound.
 */
#pragma once

#include "util/bytes.h"
#include "util/cleanup.h"

struct cat_output;

/* address: unix:PATH or HOST:PORT, borrowed; NULL: standard output. -EINVAL: it is neither. */
int cat_output_new(struct cat_output **ret, const char *address);
struct cat_output *cat_output_free(struct cat_output *output);
DEFINE_CLEANUP(struct cat_output *, cat_output_free);

/* "standard output", or the address. */
const char *cat_output_name(const struct cat_output *output);
/* Another attempt may help. */
bool cat_output_is_peer(const struct cat_output *output);
/* *ret_reason is a static string, or NULL: -errno is the reason. -EINTR: a signal waits. */
int cat_output_open(struct cat_output *output, const char **ret_reason);
/* What waits is dropped. */
void cat_output_close(struct cat_output *output);
/* -1: it is not open, or there is nothing to wait for. */
int cat_output_fd(const struct cat_output *output);
bool cat_output_is_open(const struct cat_output *output);

int cat_output_add(struct cat_output *output, struct bytes bytes);
size_t cat_output_waiting(const struct cat_output *output);
/* 1: nothing waits any more; 0: the reader is not ready; -errno: it is gone, or the disk is full. */
int cat_output_write(struct cat_output *output);

/* Bytes that were written since it was opened. */
uint64_t cat_output_written(const struct cat_output *output);
/*
 * As many of them have arrived at least: the rest is in a buffer of this machine's kernel, and is lost if the reader
 * goes away. Of TCP the peer's kernel has them, of a pipe or a Unix socket the reader itself, of a file the disk.
 * -errno: the reader is gone.
 */
int cat_output_arrived(struct cat_output *output, uint64_t *ret);
/* Of a file: what was written is on the disk. */
int cat_output_sync(struct cat_output *output);
