/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far `cat` has come in the daemon's stream, in memory and in a file (--cursor-file). */
#pragma once

#include <stdint.h>

struct cat_position {
	char stream[33];  /* "": none yet */
	uint64_t max;	  /* all up to this number has come, or was reported as lost */
	uint64_t last;	  /* number of the last line that has one: sent to the daemon; 0: none */
	uint64_t time;	  /* of the event `max`; 0: not known */
	uint64_t changes; /* another one than before */
};

/* The file is absent: *ret stays as it is. -EBADMSG: it is no cursor. */
int cat_cursor_read(const char *path, struct cat_position *ret);
/* The file is replaced at once, and is on the disk: after a crash of the machine it has this content or the one before.
 */
int cat_cursor_write(const char *path, const struct cat_position *position);
