/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of verify about a stream. */
#pragma once

#include "ctl/collect/verify.h"
#include "ctl/text/terminal.h"

void view_verify(const struct terminal *terminal, bool utc, const struct verify_stream *stream);
