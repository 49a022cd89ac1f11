/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small journal file, without the index, which readers of all entries do not need: those of systemd have 8 MiB. */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"

#define BUILD_SIZE 8192
#define BUILD_ENTRIES 6 /* more than the first array has */
#define BUILD_SHARED 4

struct build {
	unsigned char data[BUILD_SIZE] __attribute__((aligned(8)));
	size_t used;
	bool compact;
};

static inline void build_set(struct build *b, size_t at, uint64_t value)
{
	value = htole64(value);
	memcpy(b->data + at, &value, sizeof(value));
}

static inline void build_set_offset(struct build *b, size_t at, size_t offset)
{
	uint32_t narrow = htole32((uint32_t)offset);

	if (b->compact)
		memcpy(b->data + at, &narrow, sizeof(narrow));
	else
		build_set(b, at, offset);
}

static inline size_t build_object(struct build *b, unsigned char type, size_t size)
{
	size_t at = b->used;

	ASSERT(at + size + 8 <= BUILD_SIZE);
	b->data[at] = type;
	build_set(b, at + 8, size);
	build_set(b, 136, at);					   /* tail_object_offset */
	build_set(b, 144, le64toh(((uint64_t *)b->data)[18]) + 1); /* n_objects */
	b->used = (at + size + 7) / 8 * 8;
	return at;
}

static inline size_t build_data(struct build *b, const char *text, unsigned char flags)
{
	size_t payload = b->compact ? 72 : 64, at = build_object(b, 1, payload + strlen(text));

	b->data[at + 1] = flags;
	build_set(b, at + 40, 272); /* entry_offset: any that is aligned */
	build_set(b, at + 56, 1);   /* n_entries */
	memcpy(b->data + at + payload, text, strlen(text));
	return at;
}

static inline size_t build_entry(struct build *b, uint64_t seqnum, const size_t *fields, size_t count)
{
	size_t size = b->compact ? 4 : 16, at = build_object(b, 3, 64 + count * size);

	build_set(b, at + 16, seqnum);
	build_set(b, at + 24, 1800000000000000 + seqnum); /* realtime */
	build_set(b, at + 32, seqnum);			  /* monotonic */
	memset(b->data + at + 40, 0xb0, 16);		  /* boot_id */
	build_set(b, at + 56, seqnum * 0x123456789);	  /* xor_hash */
	for (size_t i = 0; i < count; i++)
		build_set_offset(b, at + 64 + i * size, fields[i]);
	return at;
}

static inline size_t build_array(struct build *b, size_t count)
{
	return build_object(b, 6, 24 + count * (b->compact ? 4 : 8));
}

static inline void build_header(struct build *b)
{
	memcpy(b->data, "LPKSHHRH", 8);
	b->data[12] = b->compact ? 1 << 4 : 0; /* incompatible_flags */
	memset(b->data + 24, 0xf1, 16);	       /* file_id */
	memset(b->data + 40, 0xda, 16);	       /* machine_id */
	memset(b->data + 56, 0xb0, 16);	       /* tail_entry_boot_id */
	memset(b->data + 72, 0x5e, 16);	       /* seqnum_id */
	build_set(b, 88, 272);		       /* header_size */
	b->used = 272;
}

/* The field of the entry before the last one is compressed, with bytes that are not so. */
static inline void build_file(struct build *b, bool compact)
{
	size_t shared[BUILD_SHARED + 2], arrays[2], own[BUILD_ENTRIES];
	char text[64];

	*b = (struct build){ .compact = compact };
	build_header(b);
	for (size_t i = 0; i < BUILD_SHARED; i++) {
		snprintf(text, sizeof(text), "EXECSNOOP_SHARED_%zu=same", i);
		shared[i] = build_data(b, text, 0);
	}
	for (size_t i = 0; i < BUILD_ENTRIES; i++) {
		snprintf(text, sizeof(text), "EXECSNOOP_SEQ=%zu", i + 1);
		shared[BUILD_SHARED] = build_data(b, text, 0);
		shared[BUILD_SHARED + 1] = build_data(b, "EXECSNOOP_COMM=x", i == BUILD_ENTRIES - 2 ? 4 : 0);
		own[i] = build_entry(b, 100 + i, shared, BUILD_SHARED + 2);
		if (i == 0 || i == 4)
			arrays[i / 4] = build_array(b, 4);
		build_set_offset(b, arrays[i / 4] + 24 + i % 4 * (compact ? 4 : 8), own[i]);
	}
	build_set(b, arrays[0] + 16, arrays[1]);
	build_set(b, 96, b->used - 272);		     /* arena_size */
	build_set(b, 152, BUILD_ENTRIES);		     /* n_entries */
	build_set(b, 160, 100 + BUILD_ENTRIES - 1);	     /* tail_entry_seqnum */
	build_set(b, 168, 100);				     /* head_entry_seqnum */
	build_set(b, 176, arrays[0]);			     /* entry_array_offset */
	build_set(b, 184, 1800000000000100);		     /* head_entry_realtime */
	build_set(b, 192, 1800000000000100 + BUILD_ENTRIES); /* tail_entry_realtime */
}
