/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the output goes: how wide it is, whether it takes colours, a pager. And cells: text of a process made safe and
 * fitted to columns, the one way by which such text reaches the output of a view.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct terminal {
	FILE *out;
	unsigned width; /* columns; 0: no limit (a file, a pipe, --full) */
	bool is_terminal;
	bool is_resizable; /* the width is the terminal's own, and may change */
	bool scrolls;	   /* a pager does, which shows the rest of a line that is longer than the width */
	bool colors;
	bool utf8; /* the locale's */
	int error; /* of the first flush that failed */
};

enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/*
 * setlocale(3) is called here, for characters only: numbers and messages are the same everywhere. Colours by mode, else
 * by SYSTEMD_COLORS, NO_COLOR and TERM; the width by COLUMNS, else by the terminal. pager: one is started if standard
 * output is a terminal: SYSTEMD_PAGER, PAGER, less, more, as journalctl(1); "" and "cat" are none.
 */
void terminal_open(struct terminal *terminal, enum color_mode mode, bool pager, bool full);
/* The same for standard error, without a pager. Nothing is to be closed. */
void terminal_open_error(struct terminal *terminal, enum color_mode mode, bool full);
/* The width is what the terminal has now. */
void terminal_resize(struct terminal *terminal);
/* 0 or -errno: whether all that was written has arrived, since the beginning. */
int terminal_flush(struct terminal *terminal);
/* The same of a file. */
int file_flush(FILE *file);
/* Flushes, and waits for the pager. -errno of a failed write, reported; EPIPE is none: the reader has seen enough. */
int terminal_close(struct terminal *terminal);

enum color { COLOR_NONE, COLOR_RED, COLOR_YELLOW, COLOR_GREEN, COLOR_GREY, COLOR_BOLD };
void terminal_color(const struct terminal *terminal, enum color color);

/* The columns that text takes; it is valid UTF-8 without control characters. */
size_t terminal_columns(const struct terminal *terminal, const char *text);
/* Prints safe text (of quote.h) in at most `most` columns (0: all of it), cut with an ellipsis; where the locale is not
 * UTF-8, what is not ASCII as \x escapes. Returns the columns taken. */
size_t terminal_put(const struct terminal *terminal, const char *text, size_t most);
/* The same in exactly `width` columns. */
void terminal_cell(const struct terminal *terminal, const char *text, size_t width, bool right);
