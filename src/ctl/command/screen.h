/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole terminal, for a view that is drawn again and again: standard input gives keys one by one, and standard
 * output is the alternate screen. The terminal is as it was after screen_close(), when the process is stopped (^Z), and
 * when a fault in the program ends it.
 */
#pragma once

#include <stddef.h>

/* Signals that would end the process are taken as SCREEN_ENDED from now on. 0 or -errno. */
int screen_open(void);
void screen_close(void);

enum {
	SCREEN_NOTHING = 0,
	/* 1 to 255: a key */
	SCREEN_RESIZED = 256, /* draw again: the size changed, or the process was stopped and continues */
	SCREEN_ENDED,
};
/* What happens next, within that time; fd: also returns, with SCREEN_NOTHING, when it can be read; -1: none. */
int screen_wait(int fd, int timeout_ms);

/* lines is 0 or more. */
void screen_size(unsigned *ret_width, unsigned *ret_lines);

/* Text of lines that are not wider than the screen. 0 or -errno. */
int screen_draw(const char *text, size_t size);
