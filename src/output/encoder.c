/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/encoder.h"

#include <errno.h>
#include <string.h>

#include "model/event_cut.h"

#define LARGE (64 << 10) /* bytes of arguments and environment; and of a line that is not copied */

int encoder_init(struct encoder *encoder)
{
	return json_new(&encoder->json);
}

void encoder_clear(struct encoder *encoder)
{
	while (encoder->count > 0)
		line_unref(encoder->made[--encoder->count].line);
	encoder->whole = line_unref(encoder->whole);
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
static size_t find_spans(const struct encoder *encoder, key_set keys, struct span spans[static KEY_MAX + 2])
{
	const struct line_map *map = &encoder->map;
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
		spans[n - 1].size = encoder->whole->size - spans[n - 1].at;
	else
		spans[n++] = (struct span){ map->end, encoder->whole->size - map->end };
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

/* The same line as json_event() makes of these keys. */
static int cut(struct encoder *encoder, key_set keys, struct line **ret)
{
	struct span spans[KEY_MAX + 2];
	size_t n, size = 0;
	int r = 0;

	keys = event_keys(encoder->event, keys);
	encoder->requested |= keys & KEYS_ON_REQUEST;
	/* A set may ask for more than the line has, as often as there are keys on request. */
	if (encoder->whole && keys & ~encoder->whole_keys)
		encoder->whole = line_unref(encoder->whole);
	if (!encoder->whole) {
		encoder->whole_keys = KEYS_ALL | encoder->requested;
		r = json_event_map(encoder->json, &encoder->whole, encoder->event, encoder->whole_keys, &encoder->map);
	}
	if (r < 0)
		return r;
	n = find_spans(encoder, keys, spans);
	if (n == 1) {
		*ret = line_ref(encoder->whole);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		size += spans[i].size;
	if (size <= LARGE)
		return copy(encoder->whole, spans, n, size, ret);
	return line_new_cut(ret, encoder->whole, spans, n);
}

/* args_bytes: less than the event has, or 0. */
static int encode(struct encoder *encoder, key_set keys, size_t args_bytes, struct line **ret)
{
	struct event_cut view;

	if (args_bytes > 0)
		return json_event(encoder->json, ret, event_cut_args(encoder->event, keys, args_bytes, &view), keys);
	/* A loss is small, and always has all its keys. */
	if (encoder->event->type != EVENT_LOST && (encoder->count == ENCODER_SETS || is_large(encoder->event)))
		return cut(encoder, keys, ret);
	return json_event(encoder->json, ret, encoder->event, keys);
}

int encoder_cut_line(struct encoder *encoder, key_set keys, size_t args_bytes, struct line **ret)
{
	struct line *line;
	int r;

	if (!event_exceeds(encoder->event, keys, args_bytes))
		args_bytes = 0;
	for (size_t i = 0; i < encoder->count; i++) {
		if (encoder->made[i].keys == keys && encoder->made[i].args_bytes == args_bytes) {
			*ret = encoder->made[i].line;
			return 0;
		}
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

int encoder_line(struct encoder *encoder, key_set keys, struct line **ret)
{
	return encoder_cut_line(encoder, keys, 0, ret);
}
