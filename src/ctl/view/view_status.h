/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One page about the daemon, out of its reply to a `stats` request (execsnoopd(8), "Statistics"). */
#pragma once

#include "ctl/text/terminal.h"
#include "util/bytes.h"

/* line: the reply. -EBADMSG: it is no JSON. */
int view_status(const struct terminal *terminal, struct bytes line, bool numeric);
