/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of processes within JSON, XML and HTML, CSV, and DOT. What is written is valid UTF-8 and holds no control
 * character and nothing that ends the place where it is.
 */
#pragma once

#include <stdio.h>

#include "util/bytes.h"

/* A JSON string in quotes: what is not UTF-8 as U+FFFD, what acts on a terminal and what is markup in HTML as \u
 * escapes. */
void put_json(FILE *out, struct bytes bytes);
/* Text or a value of an attribute. */
void put_xml(FILE *out, struct bytes bytes);
/* A field of RFC 4180 in quotes. What a spreadsheet would take for a formula gets a ' before it. */
void put_csv(FILE *out, struct bytes bytes);
/* A string of the DOT language in quotes; its labels take no escapes from it. */
void put_dot(FILE *out, struct bytes bytes);
