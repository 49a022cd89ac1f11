/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes as a series of records, each behind its length (16 bits), through decoder, pipeline and encoder. */
#include <stdint.h>
#include <string.h>

#include "pipeline/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct line *line;

	if (encoder_line(encoder, KEYS_ALL, 0, &line) == 0)
		ASSERT(line->size > 2 && line->data[0] == '{' && line->data[line->size - 1] == '\n');
}

static const struct sink_ops ops = { .event = on_event };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sink sink = { .ops = &ops };
	struct pipeline_config config = {
		.forks = true, .kernel_threads = true, .args_limit = 65536, .table_memory = 65536
	};
	_cleanup_(pipeline_free_p) struct pipeline *pipeline = NULL;

	if (pipeline_new(&pipeline, &config) < 0)
		return 0;
	pipeline_add_sink(pipeline, &sink);
	pipeline_go_live(pipeline);
	while (size >= 2) {
		uint16_t length;
		void *copy;

		memcpy(&length, data, 2);
		data += 2;
		size -= 2;
		if (length > size)
			length = (uint16_t)size;
		/* Aligned as in the ring buffer, and not a byte longer. */
		copy = aligned_alloc(8, (length + 8u) & ~7u);
		if (!copy)
			return 0;
		memcpy(copy, data, length);
		pipeline_record(pipeline, copy, length);
		free(copy);
		data += length;
		size -= length;
	}
	pipeline_flush(pipeline);
	return 0;
}
