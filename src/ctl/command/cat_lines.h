/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's lines on their way to the output of `cat`: what the query leaves out, how far the stream has come, and
 * what is missing where one connection ends and the next one begins.
 */
#pragma once

#include "ctl/command/cat_output.h"
#include "ctl/command/cat_position.h"
#include "ctl/command/lines.h"

struct cat_lines;

/* An exit status, or 0. */
int cat_lines_new(struct cat_lines **ret, struct options *options, struct cat_output *output);
struct cat_lines *cat_lines_free(struct cat_lines *lines);
DEFINE_CLEANUP(struct cat_lines *, cat_lines_free);

/* Puts a line into the output. 0 or -errno. */
int cat_lines_take(struct cat_lines *lines, const struct parsed *parsed);

/* The reply to a subscription comes after what the journal has of the time before. Until then no line may be taken,
 * but this is called: it puts the next one. 0; -EAGAIN: nothing at the moment; -errno. */
bool cat_lines_is_filling(const struct cat_lines *lines);
int cat_lines_fill(struct cat_lines *lines);

/* After the last line that was put. */
const struct cat_position *cat_lines_position(const struct cat_lines *lines);
/* Lines after this one did not arrive. */
void cat_lines_go_back(struct cat_lines *lines, const struct cat_position *position);
