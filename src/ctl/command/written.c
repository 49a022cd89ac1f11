/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/written.h"

#include <errno.h>
#include <yajl/yajl_tree.h>

#include "util/clock.h"

#define PATIENCE_MS 5000

static int parse(const struct parsed *parsed, struct written *ret)
{
	static const char *const stream_path[] = { "journal", "stream", NULL };
	static const char *const seq_path[] = { "journal", "last_seq", NULL };
	_cleanup_free_ char *line = strndup(parsed->line.data, parsed->line.size);
	yajl_val stats = line ? yajl_tree_parse(line, NULL, 0) : NULL, stream, seq;

	if (!stats)
		return -ENOMEM;
	stream = yajl_tree_get(stats, (const char **)stream_path, yajl_t_string);
	seq = yajl_tree_get(stats, (const char **)seq_path, yajl_t_number);
	if (stream && seq && YAJL_IS_INTEGER(seq) && YAJL_GET_INTEGER(seq) > 0) {
		snprintf(ret->stream, sizeof(ret->stream), "%s", YAJL_GET_STRING(stream));
		ret->seq = (uint64_t)YAJL_GET_INTEGER(seq);
	}
	yajl_tree_free(stats);
	return 0;
}

int written_ask(const struct options *options, struct written *ret)
{
	const uint64_t end = clock_ms(CLOCK_MONOTONIC) + PATIENCE_MS;
	_cleanup_(source_free_p) struct event_source *source = NULL;
	const struct parsed *parsed;
	int r = source_subscribe(&source, options->socket, "{\"stats\":true}\n");

	*ret = (struct written){ 0 };
	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0;
	while (r >= 0) {
		uint64_t now = clock_ms(CLOCK_MONOTONIC);

		r = source_next(source, &parsed);
		if (r > 0)
			return bytes_equal(parsed->type, BYTES("stats")) ? parse(parsed, ret) : -EPROTO;
		if (r == 0)
			return -ECONNRESET;
		if (r == -EAGAIN)
			r = now < end ? source_wait(source, (int)(end - now)) : -ETIMEDOUT;
	}
	return r;
}
