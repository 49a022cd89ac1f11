/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), with a key that is random in each process:
 * whatever chooses the bytes cannot choose which of them share a place in a table. The order of hashes differs from run
 * to run, so nothing that is printed may depend on it.
 */
#pragma once

#include "util/bytes.h"

uint64_t bytes_hash(struct bytes bytes);

/* The same with a key of the caller's. */
uint64_t siphash13(struct bytes bytes, const uint64_t key[2]);
