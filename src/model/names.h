/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of users or of groups, from the text of passwd(5) or group(5): what getpwuid(3) finds in the files, without
 * NSS, which may ask a network. */
#pragma once

#include <stdint.h>

#include "util/bytes.h"
#include "util/cleanup.h"

#define NAMES_MAX 65536 /* of one file; what follows is left out */

struct names;

/* Lines that are no entry are passed over, and so is the rest of a last line without an end. -ENOMEM. */
int names_new(struct names **ret, struct bytes text);
struct names *names_free(struct names *names);
DEFINE_CLEANUP(struct names *, names_free);

/* Of several entries with that id, the first; data NULL: there is none. names may be NULL. */
struct bytes names_find(const struct names *names, uint32_t id);
