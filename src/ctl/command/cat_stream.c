/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One loop, in which nothing but ppoll(2) waits: it reads the daemon's lines, while the output has taken all earlier
 * ones, and acknowledges what has arrived. So the daemon's queue is the only one that grows while the reader is slow,
 * and what does not fit there is reported by the daemon.
 *
 * A connection that ends is made again, that of the daemon and that of the peer each for itself. When the peer goes
 * away, what is on its way there may be lost: then the connection to the daemon is given up too, and the next one
 * begins after the last line that has arrived.
 */
#include "ctl/command/cat_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "ctl/command/cat_lines.h"
#include "ctl/command/retry.h"
#include "util/clock.h"

#define BATCH (64U << 10)
/* So much, or so long, may be written and not acknowledged: the daemon retains it, within its queue. */
#define COMMIT_BYTES (64U << 10)
#define COMMIT_FILE_BYTES (1U << 20) /* each is an fdatasync(2) */
#define COMMIT_MS 200
#define CURSOR_MS 1000
#define FILL_MS 50
#define RETRY_DAEMON_MS 1000
#define RETRY_PEER_MS 10000
#define END_MS 1000
#define REPLY_MS 5000 /* after this time it is reported that there is none */

/* Why there is no connection, of which each outage reports each once. */
enum outage {
	OUTAGE_GONE = 1,      /* nothing listens, or what answered has ended */
	OUTAGE_MUTE = 2,      /* what listens does not answer as the daemon does */
	OUTAGE_REJECTED = 4,  /* the daemon rejects the request */
	OUTAGE_IMPOSSIBLE = 8 /* another error */
};

struct cat {
	struct options *options;
	struct cat_output *output;
	struct cat_lines *lines;
	struct event_source *source; /* NULL: not connected */
	bool accepted;		     /* the daemon has accepted the subscription */
	bool was_accepted;	     /* it once did */
	bool is_late;		     /* it has not, and that was reported */
	uint64_t asked_ms;
	bool drained; /* all that could be read was read */
	struct retry daemon, peer;
	struct bad_lines bad;
	/* What waits for the reader: it has arrived when so many bytes have. */
	struct cat_position sent, arrived, stored;
	uint64_t sent_at, committed_bytes, committed_ms, stored_ms;
	uint64_t first_change; /* `changes` at the beginning of this connection */
	uint64_t acked;	       /* `changes` of what was acknowledged last */
	bool cursor_fails;     /* and that was reported */
	char ack[64];
	size_t ack_size;
};

static uint64_t now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

/* For machines it waits until the daemon is there. */
static bool waits_for_daemon(const struct cat *cat)
{
	const struct options *o = cat->options;

	return cat->was_accepted || o->name || o->connect || o->cursor_file;
}

static void disconnect(struct cat *cat)
{
	cat->source = source_free(cat->source);
	cat->accepted = false;
	cat->ack_size = 0;
}

/* error: of a connection, or of making one. */
static enum outage outage_of(const struct cat *cat, int error)
{
	if (error == -EBUSY)
		return OUTAGE_REJECTED;
	if (error == -ENOENT || error == -ECONNREFUSED || (cat->source && cat->accepted))
		return OUTAGE_GONE;
	return source_is_mute(error) ? OUTAGE_MUTE : OUTAGE_IMPOSSIBLE;
}

/* 0: later; -errno: never. */
static int daemon_failed(struct cat *cat, int error)
{
	enum outage outage = outage_of(cat, error);

	disconnect(cat);
	/* Of another machine, this is what a connection that cannot be made looks like; it was reported
	 * (source_hosts.c). */
	if (cat->options->hosts && !waits_for_daemon(cat))
		return -ECONNREFUSED;
	if (!waits_for_daemon(cat) || (!cat->was_accepted && (error == -EACCES || error == -EPERM))) {
		source_explain_socket(cat->options->socket, error);
		return outage == OUTAGE_MUTE ? -ECONNREFUSED : error;
	}
	if (retry_failed(&cat->daemon, now_ms(), cat->options->hosts ? RETRY_PEER_MS : RETRY_DAEMON_MS, outage) &&
	    outage != OUTAGE_REJECTED && !cat->options->quiet)
		fprintf(stderr, "%s: %s; trying again until the daemon is back\n", cat->options->socket,
			error == 0 && outage == OUTAGE_GONE ? "the connection ended" : source_error(error));
	return 0;
}

/* How many lines were not printed. */
static void report_bad_lines(struct cat *cat)
{
	if (cat->bad.more > 0)
		fprintf(stderr, "%s: %" PRIu64 " more line%s cannot be read\n", cat->options->socket, cat->bad.more,
			cat->bad.more == 1 ? "" : "s");
	cat->bad.printed = 0;
	cat->bad.more = 0;
}

static int make_request(const struct cat *cat, char **ret)
{
	const struct options *o = cat->options;
	_cleanup_free_ char *request = NULL;
	int r = query_request(o->query, true, &request), n;
	bool is_filtered;

	if (r < 0)
		return r;
	is_filtered = strcmp(request, "{\"snapshot\":true}\n") != 0;
	/* Its end: a brace and a newline. 0: nothing is stored yet. */
	request[strlen(request) - 2] = '\0';
	n = asprintf(ret, "%s%s%s%s%s}\n", request, o->name ? ",\"ack\":0,\"name\":\"" : "", o->name ?: "",
		     o->name ? "\"" : "",
		     /* Marks show how far a stream has come whose filter passes little. */
		     is_filtered && waits_for_daemon(cat) ? ",\"mark\":10" : "");
	return n < 0 ? -ENOMEM : 0;
}

static int connect_daemon(struct cat *cat)
{
	_cleanup_free_ char *request = NULL;
	int r = make_request(cat, &request);

	if (r < 0)
		return r;
	r = source_subscribe(&cat->source, cat->options->socket, request);
	if (r < 0)
		return daemon_failed(cat, r);
	cat->source->passes_unknown = cat->options->format == FORMAT_JSON;
	cat->source->bad = &cat->bad;
	cat->asked_ms = now_ms();
	cat->drained = true;
	return 0;
}

static int output_failed(struct cat *cat, int error, const char *reason)
{
	uint64_t now = now_ms();

	if (!cat_output_is_peer(cat->output)) {
		if (error != -EPIPE)
			fprintf(stderr, "execsnoopctl: %s: %s\n", cat_output_name(cat->output), strerror(-error));
		return error;
	}
	/* It took something: this is no failure to begin with. */
	if (cat->committed_bytes > 0)
		cat->peer.delay = 0;
	cat->committed_bytes = 0;
	cat_output_close(cat->output);
	disconnect(cat);
	cat_lines_go_back(cat->lines, &cat->arrived);
	cat->sent = cat->arrived;
	if (retry_failed(&cat->peer, now, RETRY_PEER_MS, OUTAGE_GONE) && !cat->options->quiet)
		fprintf(stderr, "%s: %s; trying again until it is back\n", cat_output_name(cat->output),
			reason ?: strerror(-error));
	return 0;
}

static int connect_output(struct cat *cat)
{
	const char *reason;
	int r = cat_output_open(cat->output, &reason);

	if (r == -EINTR)
		return r;
	if (r < 0)
		return output_failed(cat, r, reason);
	retry_succeeded(&cat->peer, now_ms());
	cat->committed_bytes = 0;
	return 0;
}

static void on_reply(struct cat *cat)
{
	const struct cat_position *position = cat_lines_position(cat->lines);

	if (cat->daemon.reported && !cat->options->quiet)
		fprintf(stderr, "%s: connected again\n", cat->options->socket);
	report_bad_lines(cat);
	retry_succeeded(&cat->daemon, now_ms());
	cat->accepted = cat->was_accepted = true;
	cat->is_late = false;
	cat->first_change = position->changes;
	/* The first one begins here: what comes after this can be missing. */
	if (cat->arrived.stream[0] == '\0')
		cat->sent = cat->arrived = *position;
}

static int take_line(struct cat *cat, const struct parsed *parsed)
{
	int r;

	if (bytes_equal(parsed->type, BYTES("rejected"))) {
		/* A limit of the daemon may be reached for a while; what was accepted once is not wrong. */
		if (!(cat->daemon.reported & OUTAGE_REJECTED))
			source_report_rejected(parsed);
		return cat->was_accepted ? daemon_failed(cat, -EBUSY) : -EPROTO;
	}
	r = cat_lines_take(cat->lines, parsed);
	if (r >= 0 && bytes_equal(parsed->type, BYTES("subscribed")))
		on_reply(cat);
	return r;
}

static int read_lines(struct cat *cat)
{
	const struct parsed *parsed;
	int r;

	while (cat->source && cat_output_waiting(cat->output) < BATCH) {
		if (cat_lines_is_filling(cat->lines)) {
			r = cat_lines_fill(cat->lines);
			cat->drained = r == -EAGAIN;
			if (r < 0)
				return r == -EAGAIN ? 0 : r;
			continue;
		}
		r = source_next(cat->source, &parsed);
		cat->drained = r == -EAGAIN;
		if (r == -EAGAIN)
			return 0;
		if (r <= 0)
			return r == -ENOMEM ? r : daemon_failed(cat, r);
		r = take_line(cat, parsed);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The daemon may not read at the moment: the rest is sent later. */
static void send_ack(struct cat *cat)
{
	ssize_t n;

	if (!cat->source || cat->ack_size == 0)
		return;
	n = send(cat->source->fd, cat->ack, cat->ack_size, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* A connection that has ended takes none. */
	if (n < 0)
		n = errno == EAGAIN ? 0 : (ssize_t)cat->ack_size;
	cat->ack_size -= (size_t)n;
	memmove(cat->ack, cat->ack + n, cat->ack_size);
}

static bool needs_ack(const struct cat *cat)
{
	/* Numbers of an earlier connection may be of another stream; what is retained of those lines came again. */
	return cat->options->name && cat->accepted && cat->arrived.last > 0 &&
	       cat->arrived.changes > cat->first_change && cat->acked != cat->arrived.changes;
}

static void make_ack(struct cat *cat)
{
	if (cat->ack_size > 0 || !needs_ack(cat))
		return;
	cat->ack_size = (size_t)snprintf(cat->ack, sizeof(cat->ack), "{\"ack\":%" PRIu64 "}\n", cat->arrived.last);
	cat->acked = cat->arrived.changes;
}

static bool is_cursor_stored(const struct cat *cat)
{
	return !cat->options->cursor_file || cat->stored.changes == cat->arrived.changes;
}

/* An old one costs lines that come twice, so it is tried again. */
static void store_cursor(struct cat *cat, bool now)
{
	const char *path = cat->options->cursor_file;
	int r;

	if (is_cursor_stored(cat) || (!now && now_ms() - cat->stored_ms < CURSOR_MS))
		return;
	cat->stored_ms = now_ms();
	r = cat_cursor_write(path, &cat->arrived);
	if (r < 0 && !cat->cursor_fails)
		fprintf(stderr, "execsnoopctl: %s: %s\n", path, strerror(-r));
	cat->cursor_fails = r < 0;
	if (r >= 0)
		cat->stored = cat->arrived;
}

static bool is_commit_due(const struct cat *cat)
{
	bool is_file = cat_output_fd(cat->output) < 0;

	return cat_output_written(cat->output) - cat->committed_bytes >= (is_file ? COMMIT_FILE_BYTES : COMMIT_BYTES) ||
	       now_ms() - cat->committed_ms >= COMMIT_MS;
}

static bool is_all_committed(const struct cat *cat)
{
	return cat->arrived.changes == cat_lines_position(cat->lines)->changes && cat->ack_size == 0 && !needs_ack(cat);
}

/* What is sent has arrived. */
static int commit(struct cat *cat)
{
	int r = cat->options->name || cat->options->cursor_file ? cat_output_sync(cat->output) : 0;

	if (r < 0)
		return r;
	cat->arrived = cat->sent;
	cat->committed_bytes = cat_output_written(cat->output);
	cat->committed_ms = now_ms();
	return 0;
}

/* Acknowledges what has arrived. -errno: of the output. */
static int settle(struct cat *cat, bool now)
{
	uint64_t arrived;
	int r;

	if ((is_all_committed(cat) && is_cursor_stored(cat)) || (!now && !is_commit_due(cat)))
		return 0;
	r = cat_output_arrived(cat->output, &arrived);
	for (int i = 0; r >= 0 && i < 2; i++) {
		if (cat->sent.changes != cat->arrived.changes && arrived >= cat->sent_at)
			r = commit(cat);
		/* The next one: all that is written by now. */
		if (cat->sent.changes == cat->arrived.changes && cat_output_waiting(cat->output) == 0) {
			cat->sent = *cat_lines_position(cat->lines);
			cat->sent_at = cat_output_written(cat->output);
		}
	}
	if (r < 0)
		return r;
	make_ack(cat);
	send_ack(cat);
	store_cursor(cat, now);
	return 0;
}

static int connect_both(struct cat *cat)
{
	uint64_t now = now_ms();
	int r = 0;

	if (!cat_output_is_open(cat->output) && now >= cat->peer.at)
		r = connect_output(cat);
	if (r >= 0 && cat_output_is_open(cat->output) && !cat->source && now >= cat->daemon.at)
		r = connect_daemon(cat);
	return r;
}

/* Of hosts, the process in between reports it (source_hosts.c). */
static bool waits_for_reply(const struct cat *cat)
{
	return cat->source && !cat->accepted && !cat->is_late && !cat->options->hosts;
}

static void report_late(struct cat *cat)
{
	if (!waits_for_reply(cat) || now_ms() < cat->asked_ms + REPLY_MS)
		return;
	cat->is_late = true;
	if (!cat->options->quiet)
		fprintf(stderr, "%s: no reply yet, waiting\n", cat->options->socket);
}

/* ms; -1: nothing is due. */
static int next_due(const struct cat *cat)
{
	uint64_t now = now_ms(), at = UINT64_MAX;

	if (!cat_output_is_open(cat->output))
		return cat->peer.at > now ? (int)(cat->peer.at - now) : 0;
	/* A file has no descriptor to wait for, and what was read is no longer in the socket. */
	if (cat_output_waiting(cat->output) > 0 ? cat_output_fd(cat->output) < 0 : cat->source && !cat->drained)
		return 0;
	if (!cat->source)
		at = cat->daemon.at;
	if (cat_lines_is_filling(cat->lines))
		at = now + FILL_MS;
	if (!is_all_committed(cat) && now + COMMIT_MS < at)
		at = now + COMMIT_MS;
	if (!is_cursor_stored(cat) && now + CURSOR_MS < at)
		at = now + CURSOR_MS;
	if (waits_for_reply(cat) && cat->asked_ms + REPLY_MS < at)
		at = cat->asked_ms + REPLY_MS;
	return at == UINT64_MAX ? -1 : at > now ? (int)(at - now) : 0;
}

/* -EINTR: a signal came, which is blocked at other times. */
static int wait_for_more(struct cat *cat, int timeout_ms)
{
	bool waits = cat_output_waiting(cat->output) > 0, reads = !waits && !cat_lines_is_filling(cat->lines);
	struct pollfd fds[] = {
		{ .fd = cat_output_fd(cat->output), .events = waits ? POLLOUT : 0 },
		{ .fd = cat->source ? cat->source->fd : -1,
		  .events = (short)((reads ? POLLIN : 0) | (cat->ack_size > 0 ? POLLOUT : 0)) },
	};
	struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	sigset_t none;

	sigemptyset(&none);
	/* A daemon that is gone is seen by reading, which has to wait. */
	if (fds[1].events == 0)
		fds[1].fd = -1;
	if (ppoll(fds, 2, timeout_ms < 0 ? NULL : &timeout, &none) < 0)
		return -errno;
	if (fds[1].revents & POLLOUT)
		send_ack(cat);
	return fds[0].revents & (POLLERR | POLLHUP | POLLNVAL) ? -EPIPE : 0;
}

/* Writes what waits, and then reads more. */
static int pump(struct cat *cat)
{
	int r = cat_output_write(cat->output);

	if (r >= 0)
		r = settle(cat, false);
	if (r < 0)
		return output_failed(cat, r, NULL);
	return cat_output_waiting(cat->output) > 0 ? 0 : read_lines(cat);
}

/* ppoll(2) does not report one while there is something to read. */
static bool is_signal_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM));
}

static int run(struct cat *cat)
{
	while (!is_signal_pending()) {
		int r = connect_both(cat);

		report_late(cat);
		if (r >= 0 && cat_output_is_open(cat->output))
			r = pump(cat);
		if (r >= 0) {
			r = wait_for_more(cat, next_due(cat));
			if (r == -EPIPE)
				r = output_failed(cat, r, NULL);
		}
		if (r < 0)
			return r;
	}
	return -EINTR;
}

/* A signal came: lines that were begun are ended, and what arrives by then is acknowledged. */
static void end(struct cat *cat)
{
	uint64_t until = now_ms() + END_MS;

	while (cat_output_is_open(cat->output) && now_ms() < until) {
		struct pollfd poll_fd = { .fd = cat_output_fd(cat->output) };

		if (cat_output_write(cat->output) < 0 || settle(cat, true) < 0)
			return;
		if (cat_output_waiting(cat->output) == 0 && is_all_committed(cat))
			return;
		poll_fd.events = cat_output_waiting(cat->output) > 0 ? POLLOUT : 0;
		poll(&poll_fd, 1, 10);
	}
}

static int prepare(struct cat *cat)
{
	const char *path = cat->options->cursor_file;
	int r = cat_output_new(&cat->output, cat->options->connect);

	if (r < 0) {
		fprintf(stderr, "execsnoopctl: --connect %s: %s\n", cat->options->connect,
			r == -EINVAL ? "not unix:PATH or HOST:PORT" : strerror(-r));
		return r == -EINVAL ? CTL_USAGE : CTL_FAILED;
	}
	r = cat_lines_new(&cat->lines, cat->options, cat->output);
	if (r > 0 || !path)
		return r;
	r = cat_cursor_read(path, &cat->arrived);
	if (r < 0) {
		fprintf(stderr, "execsnoopctl: %s: %s\n", path, r == -EBADMSG ? "not a cursor" : strerror(-r));
		return CTL_FAILED;
	}
	cat->sent = cat->stored = cat->arrived;
	cat_lines_go_back(cat->lines, &cat->arrived);
	return 0;
}

static int exit_status(const struct cat *cat, int r)
{
	if (r == -EPROTO)
		return CTL_USAGE;
	if (r != -EINTR && r != -EPIPE)
		return options_status(r);
	return CTL_OK;
}

int cat_stream(struct options *options)
{
	struct cat cat = { .options = options };
	sigset_t signals;
	int r = prepare(&cat);

	if (r == 0) {
		sigemptyset(&signals);
		sigaddset(&signals, SIGINT);
		sigaddset(&signals, SIGTERM);
		sigprocmask(SIG_BLOCK, &signals, NULL);
		catch_signals();
		r = run(&cat);
		if (r == -EINTR)
			end(&cat);
		disconnect(&cat);
		report_bad_lines(&cat);
		r = exit_status(&cat, r);
	}
	cat_lines_free(cat.lines);
	cat_output_free(cat.output);
	return r;
}
