/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines that are cut from the one of all keys, against those that are encoded by themselves. */
#include "output/encoder.h"

#include <sys/mman.h>

#include "fake_sink.h"
#include "model/event_cut.h"
#include "tap.h"

#define SETS 60

static struct json *json;
static size_t memory, cut_lines;
static unsigned seen;
static bool has_host, has_parent;
static key_set requested = KEYS_ON_REQUEST;

/* As a queue writes it; the caller frees it. */
static char *text_of(struct line *line)
{
	_cleanup_close_ int fd = memfd_create("line", MFD_CLOEXEC);
	struct line_queue *buffer;
	char *text = malloc(line->size + 1);

	CHECK(fd >= 0 && text);
	CHECK_INT(line_queue_new(&buffer, SIZE_MAX), 0);
	CHECK_INT(line_queue_push(buffer, line), 0);
	CHECK_INT(line_queue_write(buffer, fd, SIZE_MAX), 0);
	line_queue_free(buffer);
	CHECK_INT(pread(fd, text, line->size + 1, 0), line->size);
	text[line->size] = '\0';
	return text;
}

static key_set keys_of(unsigned i)
{
	static uint64_t state = 88172645463325252;

	if (i < 4)
		return (key_set[]){ KEYS_BASIC, KEYS_ALL, 0, KEYS_HISTORY }[i];
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return ((key_set)state << 64 | state * 0x9e3779b97f4a7c15) & (KEYS_ALL | requested);
}

/* Each asks for another number of bytes of arguments; the lines that have as many as they may. */
static unsigned full_lines, cuts;

static void check_cuts(const struct event *event, struct encoder *encoder)
{
	for (unsigned i = 0; i < cuts; i++) {
		const size_t limit = 65536 - i, less = limit == 65536 ? limit : 32768;
		const key_set keys = keys_of(i) | KEY_BIT(KEY_ARGS);
		struct line *line, *wanted, *shorter;
		struct event_cut view;
		char *text;

		CHECK_INT(encoder_line(encoder, keys, limit, &line), 0);
		CHECK_INT(json_event(json, &wanted, event_cut_args(event, keys, limit, &view), keys), 0);
		CHECK_INT(json_event(json, &shorter, event_cut_args(event, keys, less, &view), keys), 0);
		text = text_of(line);
		if (line->size == wanted->size && memcmp(text, wanted->data, wanted->size) == 0)
			full_lines++;
		else
			CHECK(line->size == shorter->size && memcmp(text, shorter->data, shorter->size) == 0);
		free(text);
		line_unref(wanted);
		line_unref(shorter);
	}
}

/* What is known to exceed a size does; in any order, also for sizes that were asked for before. */
static const char *counted; /* what the arguments consist of; NULL: not the subject */
static double known;	    /* the largest multiple of their size that they are known to exceed */

static void check_count(const struct event *event, struct encoder *encoder)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	const size_t size = event->process->image.args.size;

	CHECK_INT(json_event(json, &line, event, KEY_BIT(KEY_ARGS)), 0);
	for (unsigned i = 0; i < 80; i++) {
		size_t most = size * (i * 7 % 80) / 10;

		if (!encoder_args_exceed(encoder, most))
			continue;
		CHECK(line->size > most);
		if (known < i * 7 % 80 / 10.)
			known = i * 7 % 80 / 10.;
	}
}

static void on_event(struct sink *sink, const struct event *event, struct encoder *encoder)
{
	struct line *held[SETS];

	seen++;
	if (counted) {
		check_count(event, encoder);
		return;
	}
	if (cuts > 0) {
		check_cuts(event, encoder);
		return;
	}
	for (unsigned i = 0; i < SETS; i++) {
		key_set keys = keys_of(i);
		struct line *line, *wanted;
		char *text;

		CHECK_INT(encoder_line(encoder, keys, 0, &line), 0);
		CHECK_INT(json_event(json, &wanted, event, keys), 0);
		text = text_of(line);
		CHECK_INT(line->size, wanted->size);
		CHECK(memcmp(text, wanted->data, wanted->size) == 0);
		CHECK_INT(line->events, wanted->events);
		CHECK_INT(line->seq, wanted->seq);
		/* It is charged with all that it keeps. */
		CHECK(line->held >= line->size && (!line->whole || line->held > line->whole->held));
		cut_lines += line->whole != NULL;
		has_host |= strstr(text, "\"host\":\"h\"") != NULL;
		has_parent |= strstr(text, "\"parent_args\":[\"parent\",\"-x\"]") != NULL;
		free(text);
		line_unref(wanted);
		held[i] = line_ref(line);
	}
	memory = line_memory();
	for (unsigned i = 0; i < SETS; i++)
		line_unref(held[i]);
}

static void begin(void)
{
	static struct extras_source source = { .host = { "h", 1 } };
	struct pipeline_config config = {
		.kernel_threads = true, .args_limit = 2 << 20, .table_memory = 4 << 20, .extras = &source
	};

	CHECK_INT(json_new(&json), 0);
	pipeline_begin(&config);
	source.table = pipeline_table(pipeline);
	pipeline_go_live(pipeline);
}
SETUP(begin)

static void end(void)
{
	pipeline_free(pipeline);
	json_free(json);
	CHECK_INT(line_memory(), 0);
}
TEARDOWN(end)

TEST(lines_equal_those_encoded_alone)
{
	static const char odd[] = "\xff\xfe\0\"quoted\"\0\0caf\xc3\xa9";

	make_fork(10, 1000, 1, 1);
	feed();
	make_exec(10, 1000, 2000, odd, sizeof(odd), 4);
	feed();
	make_error(10, 1000, 2500, 2);
	feed();
	make_exit(10, 1000, 3000, 0x100);
	record.head.lost_events = 3;
	feed();
	CHECK_INT(seen, 4);
	CHECK_INT(cut_lines, 0);
}

/* Arguments of 1 MB. */
static size_t feed_large(void)
{
	static uint64_t exec_time = 2000;
	static char piece[16000];
	const size_t size = 64 * sizeof(piece);

	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = counted ? counted[i % strlen(counted)] : 'a';
	for (size_t i = 99; i < sizeof(piece); i += 100)
		piece[i] = i % 3 || counted ? '\0' : '\xff';
	for (size_t at = 0; at < size; at += sizeof(piece)) {
		make_piece(10, exec_time, at, piece, sizeof(piece));
		feed();
	}
	make_exec(10, 1000, exec_time, NULL, 0, 1);
	record.exec.args_size = record.exec.args_before = size;
	feed();
	exec_time++;
	return size;
}

TEST(large_values_are_in_memory_once)
{
	size_t size;

	requested = 0;
	size = feed_large();
	CHECK_INT(seen, 1);
	CHECK(cut_lines > 10);
	/* One of 1 MB of arguments, with its twin in base64; and what is small of the others. */
	CHECK(memory > 2 * size && memory < 4 * size);
}

TEST(size_of_large_arguments_is_known_before_they_are_encoded)
{
	static const struct {
		const char *text;
		double least; /* that has to be known */
	} cases[] = { { "a", 0.9 },	   { "\x01", 5.8 }, { "\"", 1.9 },
		      { "\xc3\xa9", 0.9 }, { "\xff", 0.9 }, { "\xe2\x80\xae", 0.9 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		counted = cases[i].text;
		known = 0;
		feed_large();
		CHECK(known >= cases[i].least);
	}
	counted = NULL;
	CHECK_INT(seen, sizeof(cases) / sizeof(cases[0]));
}

/* Each line with fewer arguments is encoded by itself: they must not cost what 64 KiB of any bytes cost for each. */
TEST(many_cuts_of_large_arguments_are_few_encodings)
{
	cuts = 200;
	feed_large();
	CHECK_INT(seen, 1);
	CHECK(full_lines >= 3 && full_lines <= 8);
	/* The next event begins again. */
	cuts = 3;
	full_lines = 0;
	feed_large();
	CHECK_INT(full_lines, 3);
}

/* Sets with keys on request and sets without, of an event whose line is cut. */
TEST(keys_on_request_are_cut_too)
{
	size_t size;

	make_exec(1, 1, 900, "parent\0-x", 10, 2);
	feed();
	size = feed_large();
	CHECK_INT(seen, 2);
	CHECK(cut_lines > 10);
	/* The line of all keys is encoded again where a set asks for more; then no more. */
	CHECK(memory < 8 * size);
	CHECK(has_host && has_parent);
}

TAP_MAIN
