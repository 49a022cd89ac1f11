/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/encoder.h"

#include <string.h>

#include "model/event_cut.h"
#include "output/json_writer.h"

#define LARGE (64 << 10) /* bytes of arguments and environment; and of a line that is not copied */

int encoder_init(struct encoder *encoder)
{
	return json_new(&encoder->json);
}

static __attribute__((noinline)) void clear_powers(struct encoder *encoder)
{
	for (size_t i = 0; i < ENCODER_POWERS; i++)
		encoder->powers[i].line = line_unref(encoder->powers[i].line);
	encoder->cut_bytes = 0;
}

void encoder_clear(struct encoder *encoder)
{
	while (encoder->count > 0)
		line_unref(encoder->made[--encoder->count].line);
	encoder->whole.line = line_unref(encoder->whole.line);
	if (encoder->cut_bytes > 0)
		clear_powers(encoder);
	encoder->counted = encoder->counted_at = 0;
	encoder->event = NULL;
}

void encoder_destroy(struct encoder *encoder)
{
	encoder_clear(encoder);
	encoder->json = json_free(encoder->json);
}

static bool is_large(const struct event *event)
{
	const struct image *image = event->process ? &event->process->image : NULL;

	return image && image->args.size + image->env.size > LARGE;
}

/* Where the text of the keys is in the line of all keys; adjacent spans are one. Returns how
 * many. */
static size_t find_spans(const struct whole *whole, key_set keys, struct span spans[static KEY_MAX + 2])
{
	const struct line_map *map = &whole->map;
	bool first = true;
	size_t n = 1;

	/* The opening bracket is in the place of the first key's comma. */
	spans[0] = (struct span){ 0, 1 };
	for (size_t i = 0; i < map->count; i++) {
		size_t at = map->keys[i].at, end = i + 1 < map->count ? map->keys[i + 1].at : map->end;

		if (!(keys & KEY_BIT(map->keys[i].key)))
			continue;
		at += first;
		first = false;
		if (spans[n - 1].at + spans[n - 1].size == at)
			spans[n - 1].size += end - at;
		else
			spans[n++] = (struct span){ at, end - at };
	}
	if (spans[n - 1].at + spans[n - 1].size == map->end)
		spans[n - 1].size = whole->line->size - spans[n - 1].at;
	else
		spans[n++] = (struct span){ map->end, whole->line->size - map->end };
	return n;
}

static int copy(const struct line *whole, const struct span *spans, size_t n, size_t size, struct line **ret)
{
	struct line *line;
	size_t at = 0;
	int r = line_new(&line, size);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		memcpy(line->data + at, whole->data + spans[i].at, spans[i].size);
		at += spans[i].size;
	}
	line->events = whole->events;
	line->seq = whole->seq;
	line->last_seq = whole->last_seq;
	*ret = line;
	return 0;
}

/* The line of these keys of the event, which is that of `whole` or a view of it. As json_event() makes it. */
static int cut(struct encoder *encoder, struct whole *whole, const struct event *event, key_set keys, struct line **ret)
{
	struct span spans[KEY_MAX + 2];
	size_t n, size = 0;
	int r = 0;

	keys = event_keys(event, keys);
	encoder->requested |= keys & KEYS_ON_REQUEST;
	/* A set may ask for more than the line has, as often as there are keys on request. */
	if (whole->line && keys & ~whole->keys)
		whole->line = line_unref(whole->line);
	if (!whole->line) {
		whole->keys = KEYS_ALL | encoder->requested;
		r = json_event_map(encoder->json, &whole->line, event, whole->keys, &whole->map);
	}
	if (r < 0)
		return r;
	n = find_spans(whole, keys, spans);
	if (n == 1) {
		*ret = line_ref(whole->line);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		size += spans[i].size;
	if (size <= LARGE)
		return copy(whole->line, spans, n, size, ret);
	return line_new_cut(ret, whole->line, spans, n);
}

/* args_bytes: less than the event has, and a power of two where too much was encoded. */
static int encode_cut(struct encoder *encoder, key_set keys, size_t args_bytes, struct line **ret)
{
	/* Whatever keys it is to have. */
	const key_set all = encoder->cut_bytes > ENCODER_CUT_MAX ? KEYS_ALL | KEYS_ON_REQUEST : keys;
	struct event_cut view;
	const struct event *event = event_cut_args(encoder->event, all, args_bytes, &view);

	if (encoder->cut_bytes <= ENCODER_CUT_MAX)
		return json_event(encoder->json, ret, event, keys);
	return cut(encoder, &encoder->powers[__builtin_ctzl(args_bytes)], event, keys, ret);
}

/* args_bytes: less than the event has, or 0. */
static int encode(struct encoder *encoder, key_set keys, size_t args_bytes, struct line **ret)
{
	if (args_bytes > 0)
		return encode_cut(encoder, keys, args_bytes, ret);
	/* A loss is small, and always has all its keys. */
	if (encoder->event->type != EVENT_LOST && (encoder->count == ENCODER_SETS || is_large(encoder->event)))
		return cut(encoder, &encoder->whole, encoder->event, keys, ret);
	return json_event(encoder->json, ret, encoder->event, keys);
}

static struct line *find(const struct encoder *encoder, key_set keys, size_t args_bytes)
{
	for (size_t i = 0; i < encoder->count; i++)
		if (encoder->made[i].keys == keys && encoder->made[i].args_bytes == args_bytes)
			return encoder->made[i].line;
	return NULL;
}

/* The arguments that a line with that many is to have, if it is not made yet. */
static size_t bounded(struct encoder *encoder, size_t args_bytes)
{
	ASSERT(args_bytes < (size_t)1 << ENCODER_POWERS);
	if (encoder->cut_bytes <= ENCODER_CUT_MAX)
		encoder->cut_bytes += args_bytes;
	return encoder->cut_bytes <= ENCODER_CUT_MAX ? args_bytes
						     : (size_t)1 << (63 - __builtin_clzll((uint64_t)args_bytes));
}

/* One that is not made yet, with all arguments or with at most args_bytes. */
static __attribute__((noinline)) int make(struct encoder *encoder, key_set keys, size_t args_bytes, struct line **ret)
{
	struct line *line = NULL;
	int r;

	if (args_bytes > 0) {
		args_bytes = bounded(encoder, args_bytes);
		line = find(encoder, keys, args_bytes);
	}
	if (line) {
		*ret = line;
		return 0;
	}
	r = encode(encoder, keys, args_bytes, &line);
	if (r < 0)
		return r;
	/* The last place is for the latest set. */
	if (encoder->count == ENCODER_SETS)
		line_unref(encoder->made[--encoder->count].line);
	encoder->made[encoder->count].keys = keys;
	encoder->made[encoder->count].args_bytes = args_bytes;
	encoder->made[encoder->count++].line = line;
	*ret = line;
	return 0;
}

int encoder_line(struct encoder *encoder, key_set keys, size_t args_bytes, struct line **ret)
{
	if (!event_exceeds(encoder->event, keys, args_bytes))
		args_bytes = 0;
	for (size_t i = 0; i < encoder->count; i++) {
		if (encoder->made[i].keys == keys && encoder->made[i].args_bytes == args_bytes) {
			*ret = encoder->made[i].line;
			return 0;
		}
	}
	return make(encoder, keys, args_bytes, ret);
}

bool encoder_args_exceed(struct encoder *encoder, size_t most)
{
	const struct process *process = encoder->event->process;

	if (!process || process->image.args.size > most)
		return process != NULL;
	encoder->counted = json_list_count(process->image.args, &encoder->counted_at, encoder->counted, most);
	return encoder->counted > most;
}
