/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/hash.h"

#include <endian.h>
#include <sys/random.h>
#include <time.h>

static inline uint64_t rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

uint64_t siphash13(struct bytes bytes, const uint64_t key[2])
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
			  key[1] ^ 0x7465646279746573 };
	uint64_t word, last = (uint64_t)bytes.size << 56;
	size_t at = 0;

	for (; at + sizeof(word) <= bytes.size; at += sizeof(word)) {
		memcpy(&word, bytes.data + at, sizeof(word));
		sip_word(v, le64toh(word));
	}
	for (int shift = 0; at < bytes.size; at++, shift += 8)
		last |= (uint64_t)(unsigned char)bytes.data[at] << shift;
	sip_word(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t bytes_hash(struct bytes bytes)
{
	static uint64_t key[2];
	static bool have_key;

	/* Never blocks. A machine without entropy is one that boots: its clock will do. */
	if (!have_key && getrandom(key, sizeof(key), GRND_NONBLOCK) != sizeof(key)) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		key[0] = (uint64_t)now.tv_nsec;
		key[1] = (uint64_t)now.tv_sec;
	}
	have_key = true;
	return siphash13(bytes, key);
}
