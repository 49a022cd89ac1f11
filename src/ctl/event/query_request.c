/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A query as a request to the daemon. Each key must let an event pass, so what is added here to the keys that the
 * person gave can only leave out more. What the daemon's filter has no key for stays with query_pass().
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <yajl/yajl_gen.h>

#include "ctl/event/query_internal.h"
#include "output/request.h"
#include "util/time_span.h"
#include "util/utf8.h"

#define LINE_MAX_SIZE (REQUEST_LINE_MAX - 1024) /* commands add keys of their own */

static int add(struct filter *filter, enum filter_key key, const char *value)
{
	const char *reason;

	return filter_add(filter, key, bytes_of(value), &reason);
}

static bool has_including(const struct filter *filter, enum filter_key key)
{
	const char *entry;

	for (size_t i = 0; (entry = filter_entry(filter, key, i)); i++)
		if (*entry != '!')
			return true;
	return false;
}

static int add_failed(struct filter *filter)
{
	int r = 0;

	if (!has_including(filter, FILTER_TYPES)) {
		r = add(filter, FILTER_TYPES, "exited");
		if (r == 0)
			r = add(filter, FILTER_TYPES, "error");
	}
	return r < 0 ? r : add(filter, FILTER_RESULT, "!success");
}

/* A key that has one value: the longer one of the option's and the pair's. */
static int add_span(struct filter *to, const struct filter *given, enum filter_key key, uint64_t ns)
{
	const char *entry = filter_entry(given, key, 0);
	char text[32];
	uint64_t other = 0;

	if (entry && time_span_parse(entry, &other) && other >= ns)
		return add(to, key, entry);
	snprintf(text, sizeof(text), "%" PRIu64 "ns", ns);
	return ns > 0 ? add(to, key, text) : 0;
}

/* JSON can hold no other text. */
static bool is_utf8(const struct filter *filter, enum filter_key key)
{
	const char *entry;

	for (size_t i = 0; (entry = filter_entry(filter, key, i)); i++)
		if (utf8_valid(entry, strlen(entry)) < strlen(entry))
			return false;
	return true;
}

static int add_entries(struct filter *to, const struct filter *from)
{
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++) {
		const char *entry;

		if (key == FILTER_MIN_RUNNING_TIME || key == FILTER_MIN_CPU || !is_utf8(from, key))
			continue;
		for (size_t i = 0; (entry = filter_entry(from, key, i)); i++) {
			int r = add(to, key, entry);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int add_query(struct filter *to, const struct query *query)
{
	int r = add_entries(to, query->filter);

	if (r == 0)
		r = add_span(to, query->filter, FILTER_MIN_RUNNING_TIME, query->bounds.slower);
	if (r == 0)
		r = add_span(to, query->filter, FILTER_MIN_CPU, query->bounds.cpu);
	return r < 0 || !query->bounds.failed ? r : add_failed(to);
}

static void put_text(yajl_gen gen, const char *text)
{
	yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

static void put_filter(yajl_gen gen, const struct filter *filter)
{
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++) {
		const char *entry = filter_entry(filter, key, 0);

		if (!entry)
			continue;
		put_text(gen, filter_key_name(key));
		yajl_gen_array_open(gen);
		for (size_t i = 0; entry; entry = filter_entry(filter, key, ++i))
			put_text(gen, entry);
		yajl_gen_array_close(gen);
	}
}

/* The line without its newline is LINE_MAX_SIZE bytes at most, else -E2BIG. */
static int make_line(const struct filter *filter, bool snapshot, char **ret)
{
	const unsigned char *data;
	size_t size;
	yajl_gen gen = yajl_gen_alloc(NULL);
	int r = 0;

	if (!gen)
		return -ENOMEM;
	yajl_gen_map_open(gen);
	put_filter(gen, filter);
	put_text(gen, "snapshot");
	yajl_gen_bool(gen, snapshot);
	yajl_gen_map_close(gen);
	yajl_gen_get_buf(gen, &data, &size);
	if (size > LINE_MAX_SIZE)
		r = -E2BIG;
	else if (asprintf(ret, "%.*s\n", (int)size, data) < 0)
		r = -ENOMEM;
	yajl_gen_free(gen);
	return r;
}

static int make_request(const struct query *query, bool snapshot, bool whole, char **ret)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	int r = filter_new(&filter);

	if (r == 0)
		r = add_entries(filter, query->trees);
	if (r == 0 && whole)
		r = add_query(filter, query);
	return r < 0 ? r : make_line(filter, snapshot, ret);
}

int query_request(struct query *query, bool snapshot, char **ret)
{
	int r = make_request(query, snapshot, true, ret);

	/* More than the daemon takes: then it sends all of the trees, and query_pass() decides. */
	if (r == -E2BIG)
		r = make_request(query, snapshot, false, ret);
	if (r == 0)
		query->trees_at_source = true;
	return r;
}
