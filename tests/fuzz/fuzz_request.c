/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whatever a peer sends is a request, or is refused with a reason that can be sent; and what a subscription is answered
 * with is UTF-8 and, asked for again, the same subscription.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "output/request.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
	if (!condition)
		abort();
}

static bool same_filter(const struct filter *a, const struct filter *b)
{
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++) {
		for (size_t i = 0;; i++) {
			const char *of_a = filter_entry(a, key, i), *of_b = filter_entry(b, key, i);

			if (!of_a && !of_b)
				break;
			if (!of_a || !of_b || strcmp(of_a, of_b) != 0)
				return false;
		}
	}
	return true;
}

static void check_answer(const struct request *request)
{
	char reason[REQUEST_REASON_SIZE];
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *text;
	struct request again;
	size_t size;

	check(gen && yajl_gen_map_open(gen) == yajl_gen_status_ok);
	request_gen(request, gen);
	check(yajl_gen_map_close(gen) == yajl_gen_status_ok);
	check(yajl_gen_get_buf(gen, &text, &size) == yajl_gen_status_ok);
	check(utf8_valid((const char *)text, size) == size && !memchr(text, '\n', size));
	check(request_parse(&again, (const char *)text, size, reason) == 0);
	check(!again.stats && again.snapshot == request->snapshot && again.keys == request->keys);
	check(strcmp(again.name, request->name) == 0 && again.mark == request->mark &&
	      again.args_bytes == request->args_bytes);
	check(same_filter(again.filter, request->filter));
	request_clear(&again);
	yajl_gen_free(gen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char reason[REQUEST_REASON_SIZE];
	struct request request;
	int r;

	if (size > REQUEST_LINE_MAX)
		return 0;
	r = request_parse(&request, size > 0 ? (const char *)data : "", size, reason);
	if (r == -EINVAL) {
		check(reason[0] && memchr(reason, '\0', sizeof(reason)));
		for (const char *c = reason; *c; c++)
			check(*c >= 0x20 && *c <= 0x7e);
		return 0;
	}
	check(r == 0 && request.filter && (!request.keys_given || request.keys & KEY_BIT(KEY_TYPE)));
	if (request.stats)
		check(filter_is_empty(request.filter) && !request.keys_given && !request.snapshot);
	else {
		if (!request.keys_given)
			request.keys = KEYS_ALL; /* as the server does */
		check_answer(&request);
	}
	request_clear(&request);
	return 0;
}
