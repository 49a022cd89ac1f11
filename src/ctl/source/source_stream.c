/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of JSON by a descriptor: a file, a pipe, the daemon's socket. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/event/event_parser.h"
#include "ctl/source/source.h"
#include "ctl/source/source_hosts.h"
#include "util/bytebuf.h"
#include "util/quote.h"

#define READ_SIZE (1U << 16)
/* Two MiB of arguments (execve(2)), each byte six in JSON, as text and as base64, and room to spare. */
#define LINE_LIMIT (64U << 20)
#define REPORTS_MAX 20 /* of lines; the others are counted */
#define REPLY_MS 5000  /* after this time it is reported that there is none */

struct stream {
	struct event_source source;
	int fd;
	struct bytebuf buffer;
	size_t begin;	 /* of what was read and not yet taken */
	size_t searched; /* from begin on there is no newline up to here */
	size_t bad;	 /* lines that were reported and passed over */
	bool eof, too_long;
	bool waits;	      /* for the reply to the request */
	bool is_late;	      /* which was reported */
	bool is_pending;      /* the reply is the next event */
	bool is_subscription; /* as source_subscribe() */
	bool is_file;	      /* or a pipe */
	bool has_request;     /* by source_ask() */
	bool is_remote;	      /* ssh(1) and the process in between report what fails */
	char *name;
	bool has_events;
	struct event_parser *parser;
	struct parsed parsed;
};

/* True: the first one with this reason, and not one of too many, so it is to be printed. */
static bool count_bad(struct bad_lines *bad, const char *reason)
{
	if (strcmp(bad->reason, reason) == 0 || bad->printed >= REPORTS_MAX) {
		bad->more++;
		return false;
	}
	snprintf(bad->reason, sizeof(bad->reason), "%s", reason);
	bad->printed++;
	return true;
}

static void report(struct stream *s, const char *reason)
{
	sources_add_bad();
	s->bad++;
	source_begin_message();
	if (s->source.bad ? count_bad(s->source.bad, reason) : s->bad <= REPORTS_MAX)
		fprintf(stderr, "%s:%llu: %s\n", s->source.name, (unsigned long long)s->source.line, reason);
}

/* A file is read to its end. */
static void report_end(struct stream *s)
{
	if (!s->is_file)
		return;
	s->is_file = false;
	source_begin_message();
	if (s->bad > REPORTS_MAX)
		fprintf(stderr, "%s: %zu more lines cannot be read\n", s->source.name, s->bad - REPORTS_MAX);
	if (!s->has_events)
		fprintf(stderr, "%s: there are no events in it, which would be lines of JSON\n", s->source.name);
}

/* What listens may be another program, or stopped. */
static void wait_for_reply(struct stream *s)
{
	struct pollfd poll_fd = { .fd = s->fd, .events = POLLIN };

	if (!s->waits || s->is_subscription || s->is_late || s->is_remote)
		return;
	s->is_late = poll(&poll_fd, 1, REPLY_MS) == 0;
	if (s->is_late)
		fprintf(stderr, "%s: no reply yet, waiting\n", s->source.name);
}

/* 1: there is more; 0: there is not. */
static int fill(struct stream *s)
{
	struct bytebuf *b = &s->buffer;
	ssize_t n;
	int r;

	if (s->begin > 0) {
		memmove(b->data, b->data + s->begin, b->size - s->begin);
		b->size -= s->begin;
		s->begin = 0;
	}
	r = bytebuf_reserve(b, READ_SIZE);
	if (r < 0)
		return r;
	wait_for_reply(s);
	n = read(s->fd, b->data + b->size, b->capacity - b->size);
	if (n < 0)
		return -errno;
	b->size += (size_t)n;
	s->eof = n == 0;
	return n > 0;
}

/* 1: a line without its newline, valid until the next call; 0: the end. */
static int next_line(struct stream *s, struct bytes *ret)
{
	for (;;) {
		size_t size = s->buffer.size - s->begin;
		char *from = size > 0 ? s->buffer.data + s->begin : NULL, *newline = NULL;
		int r;

		if (size > s->searched)
			newline = memchr(from + s->searched, '\n', size - s->searched);
		s->searched = newline ? 0 : size;
		/* Of a line that was too long, nothing may be left. */
		if (newline || (s->eof && (size > 0 || s->too_long) && !s->is_subscription)) {
			size_t length = newline ? (size_t)(newline - from) : size;

			s->begin += length + (newline != NULL);
			s->searched = 0;
			s->source.line++;
			*ret = (struct bytes){ from, length };
			return 1;
		}
		if (s->eof)
			return 0;
		if (size > LINE_LIMIT) {
			s->begin = s->buffer.size = s->searched = 0;
			s->too_long = true;
			if (s->waits)
				return -EBADMSG;
		}
		r = fill(s);
		if (r < 0)
			return r;
	}
}

static bool begins_with(struct bytes line, struct bytes begin)
{
	return line.size >= begin.size && memcmp(line.data, begin.data, begin.size) == 0;
}

/* Files that look like garbage as lines. NULL: none of these. */
static const char *foreign_format(struct bytes line)
{
	static const struct {
		struct bytes begin;
		const char *reason;
	} formats[] = {
		{ BYTES("\x1f\x8b"), "compressed: zcat FILE | execsnoopctl ... -i -" },
		{ BYTES("\x28\xb5\x2f\xfd"), "compressed: zstdcat FILE | execsnoopctl ... -i -" },
		{ BYTES("\3757zXZ"), "compressed: xzcat FILE | execsnoopctl ... -i -" },
		{ BYTES("\x04\x22\x4d\x18"), "compressed: lz4cat FILE | execsnoopctl ... -i -" },
		{ BYTES("BZh"), "compressed: bzcat FILE | execsnoopctl ... -i -" },
		{ BYTES("LPKSHHRH"), "a file of the journal, which is read by --file=FILE" },
		{ BYTES("\xff\xfe"), "UTF-16, and it has to be UTF-8: iconv -f UTF-16 FILE | execsnoopctl ... -i -" },
		{ BYTES("\xfe\xff"), "UTF-16, and it has to be UTF-8: iconv -f UTF-16 FILE | execsnoopctl ... -i -" },
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (begins_with(line, formats[i].begin))
			return formats[i].reason;
	return NULL;
}

/* No line of it can be read, and the reason that each of them had would not help. */
static bool is_foreign(struct stream *s, struct bytes line)
{
	const char *reason = s->is_file && s->source.line == 1 ? foreign_format(line) : NULL;

	if (!reason)
		return false;
	report(s, reason);
	s->is_file = false;
	s->eof = true;
	s->begin = s->buffer.size = 0;
	return true;
}

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++)
		if (!memchr(" \t\r", line.data[i], 3))
			return false;
	return true;
}

void source_report_rejected(const struct parsed *parsed)
{
	char reason[256];
	struct text text;

	text_begin(&text, reason, sizeof(reason));
	text_name(&text, parsed->reason);
	fprintf(stderr, "execsnoopctl: the daemon rejects the request: %s\n", reason);
}

/* 1: an event; 0: nothing that counts. */
static int take(struct stream *s, struct bytes line)
{
	const char *reason;
	int r;

	if (s->too_long) {
		s->too_long = false;
		report(s, "the line is too long");
		return 0;
	}
	/* RFC 8259, 8.1: a byte order mark may be ignored. */
	if (s->source.line == 1 && begins_with(line, BYTES("\xef\xbb\xbf")))
		line = (struct bytes){ line.data + 3, line.size - 3 };
	if (is_foreign(s, line) || is_blank(line))
		return 0;
	r = event_parser_line(s->parser, line, &s->parsed, &reason);
	if (r == -EBADMSG) {
		report(s, reason);
		return 0;
	}
	if (r >= 0 && s->has_request && bytes_equal(s->parsed.type, BYTES("rejected"))) {
		source_report_rejected(&s->parsed);
		return -EPROTO;
	}
	if (r < 0 || !s->waits)
		return r < 0 ? r : 1;
	if (bytes_equal(s->parsed.type, BYTES("subscribed"))) {
		s->waits = false;
		/* Of several hosts, the answers of the others come as lines. */
		return s->is_subscription || s->is_remote;
	}
	return bytes_equal(s->parsed.type, BYTES("stats")) ||
	       (s->is_subscription && bytes_equal(s->parsed.type, BYTES("rejected")));
}

static int stream_next(struct event_source *source, const struct parsed **ret)
{
	struct stream *s = (struct stream *)source;
	struct bytes line;
	int r;

	if (s->is_pending) {
		s->is_pending = false;
		*ret = &s->parsed;
		return 1;
	}
	for (;;) {
		r = next_line(s, &line);
		if (r == -EINTR)
			return r;
		if (r < 0 && !s->is_subscription) {
			fprintf(stderr, "%s: %s\n", s->source.name, strerror(-r));
			if (s->is_file)
				sources_add_bad();
		} else if (r == 0) {
			report_end(s);
		}
		if (r <= 0)
			return r;
		r = take(s, line);
		if (r != 0) {
			s->has_events = true;
			*ret = &s->parsed;
			return r;
		}
		if (s->waits && s->bad >= REPORTS_MAX)
			return -EBADMSG;
	}
}

static void stream_free(struct event_source *source)
{
	struct stream *s = (struct stream *)source;

	if (s->fd > STDERR_FILENO)
		close(s->fd);
	event_parser_free(s->parser);
	bytebuf_free(&s->buffer);
	free(s->name);
	free(s);
}

static int stream_wait(struct event_source *source, int timeout_ms)
{
	struct stream *s = (struct stream *)source;
	struct pollfd poll_fd = { .fd = s->fd, .events = POLLIN };
	int n;

	if (s->is_pending || s->eof ||
	    (s->buffer.size > s->begin + s->searched &&
	     memchr(s->buffer.data + s->begin, '\n', s->buffer.size - s->begin)))
		return 1;
	n = poll(&poll_fd, 1, timeout_ms);
	return n < 0 ? -errno : n;
}

static const struct source_ops stream_ops = { .next = stream_next, .wait = stream_wait, .free = stream_free };

/* Takes the descriptor. */
static int stream_new(struct event_source **ret, int fd, const char *name)
{
	struct stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->name = source_safe_name(name);
	s->source = (struct event_source){ .ops = &stream_ops, .name = s->name, .fd = fd };
	s->fd = fd;
	s->is_remote = strncmp(name, HOSTS_PREFIX, strlen(HOSTS_PREFIX)) == 0;
	r = s->name ? event_parser_new(&s->parser) : -ENOMEM;
	if (r < 0) {
		stream_free(&s->source);
		return r;
	}
	*ret = &s->source;
	return 0;
}

int source_open_file(struct event_source **ret, const char *path)
{
	int fd = STDIN_FILENO, r;

	if (strcmp(path, "-") != 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			_cleanup_free_ char *safe = NULL;

			r = -errno;
			safe = source_safe_name(path);
			fprintf(stderr, "%s: %s\n", safe ?: "-", strerror(-r));
			return r;
		}
	} else {
		path = "standard input";
	}
	r = stream_new(ret, fd, path);
	if (r == 0)
		((struct stream *)*ret)->is_file = true;
	return r;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	int hosts, r;

	if (strncmp(path, HOSTS_PREFIX, strlen(HOSTS_PREFIX)) == 0) {
		r = hosts_connect(path + strlen(HOSTS_PREFIX), &hosts);
		return r < 0 ? r : hosts;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Where the other side has closed, why may be there to be read. */
static int send_all(int fd, const char *data)
{
	size_t left = strlen(data);

	while (left > 0) {
		ssize_t n = send(fd, data, left, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
		data += n;
		left -= (size_t)n;
	}
	return 0;
}

/* Lines before the reply are those of a connection without a request, which it was at first. */
static int read_reply(struct stream *s)
{
	struct bytes line;

	while (s->waits && !s->is_pending) {
		int r = next_line(s, &line);

		if (r == -EINTR)
			continue;
		if (r == 0)
			return -EPIPE;
		if (r > 0)
			r = take(s, line);
		if (r < 0)
			return r;
		s->is_pending = r > 0;
		if (s->bad >= REPORTS_MAX)
			return -EBADMSG;
	}
	s->waits = false;
	return 0;
}

int source_await_reply(struct event_source *source)
{
	struct stream *s = (struct stream *)source;
	int r = read_reply(s);

	if (r == -EPROTO)
		return r;
	if (r < 0 && !s->is_remote)
		fprintf(stderr, "%s: %s\n", source->name, source_error(r));
	return r < 0 ? -ECONNREFUSED : 0;
}

int source_broken(const struct event_source *source)
{
	if (!((const struct stream *)source)->is_remote)
		fprintf(stderr, "%s: the daemon ended the connection\n", source->name);
	return -ECONNRESET;
}

int source_ask(struct event_source **ret, const char *path, const char *request)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	int fd = connect_to(path), r;

	if (fd < 0) {
		source_explain_socket(path, fd);
		return fd;
	}
	r = stream_new(&source, fd, path);
	if (r < 0)
		return r;
	if (request) {
		r = send_all(fd, request);
		if (r < 0) {
			source_explain_socket(path, r);
			return r;
		}
		((struct stream *)source)->waits = ((struct stream *)source)->has_request = true;
	}
	*ret = TAKE_PTR(source);
	return 0;
}

int source_open_socket(struct event_source **ret, const char *path, const char *request)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	int r = source_ask(&source, path, request);

	if (r >= 0 && request)
		r = source_await_reply(source);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(source);
	return 0;
}

int source_subscribe(struct event_source **ret, const char *path, const char *request)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	int fd = connect_to(path), r;

	if (fd < 0)
		return fd;
	r = stream_new(&source, fd, path);
	if (r < 0)
		return r;
	r = send_all(fd, request);
	if (r < 0)
		return r;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	((struct stream *)source)->waits = ((struct stream *)source)->is_subscription = true;
	*ret = TAKE_PTR(source);
	return 0;
}
