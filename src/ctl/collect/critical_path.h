/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain of programs that took the time: back from the end of the last one, each time the child that ended last
 * before, down to what had no child then. A parent is in the chain where no child of it is: before, between and after
 * those that it waited for. What ran beside the chain could take longer without any effect on the whole, up to some
 * time; what is in it could not.
 */
#pragma once

#include "ctl/collect/recording.h"

/* Sets path_ns and path_start of each program. 0 or -ENOMEM. */
int critical_path_find(struct recording *recording);
