/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a peer asks for is done, or rejected. */
#include <errno.h>
#include <string.h>

#include "output/named.h"
#include "output/reply.h"

/* What is not in the request is as the settings have it. */
static void set_defaults(const struct server *server, struct request *request)
{
	const struct settings *settings = server->config.settings;

	if (!request->keys_given)
		request->keys = settings->socket.output.fields;
	if (!request->mark_given)
		request->mark = settings->socket.mark;
	if (!request->folds_given)
		request->folds = settings->socket.output.path_search == PATH_SEARCH_FOLD;
}

/* resumed: the subscription has its name already. */
static int make_reply(const struct peer *peer, const struct request *request, bool resumed, uint64_t last_seq,
		      struct line **ret)
{
	yajl_gen gen = reply_begin("subscribed");

	if (!gen)
		return -ENOMEM;
	request_gen(request, gen);
	if (*request->name) {
		reply_text(gen, "resumed");
		yajl_gen_bool(gen, resumed);
	}
	stream_gen(peer->server->config.stream, last_seq, gen);
	return reply_end(gen, ret);
}

/* The subscriber has what the request asks for. */
static void set_subscription(struct peer *peer, const struct request *request)
{
	peer->own_subscription = true;
	peer->args_bytes = request->args_bytes;
	subscriber_set_args_bytes(peer->subscriber, peer->args_bytes);
	subscriber_set_folds(peer->subscriber, request->folds);
	peer_set_mark(peer, request->mark);
	peer_save_subscription(peer);
}

static int configure(struct subscriber *subscriber, struct request *request)
{
	int r = subscriber_configure(subscriber, request->keys, request->filter, true);

	if (r == 0)
		request->filter = NULL;
	return r;
}

static int acknowledge(struct peer *peer, struct subscriber *subscriber, uint64_t seq)
{
	int r = subscriber_acknowledge(subscriber, seq);

	return r == -ERANGE ? peer_reject(peer, "ack: there was no event of that number") : r;
}

/* The peer continues a subscription that has its name from another connection. */
static int resume(struct peer *peer, struct request *request, struct named *named)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct subscriber *subscriber;
	int r;

	if (named->peer)
		peer_end(named->peer, "was replaced by a newer connection with its name");
	subscriber = named_subscriber(named);
	if (request->ack_given) {
		r = acknowledge(peer, subscriber, request->ack);
		if (r < 0 || peer->closing)
			return r;
	}
	request->snapshot = false;
	r = make_reply(peer, request, true, subscriber_passed(subscriber), &line);
	if (r < 0)
		return r;
	/* A filter that follows a tree knows more than the same one that begins now. */
	if (!request_asks_for(request, subscriber_keys(subscriber), subscriber_filter(subscriber))) {
		r = configure(subscriber, request);
		if (r < 0)
			return r;
	}
	r = named_attach(named, peer, line);
	if (r < 0)
		return r;
	set_subscription(peer, request);
	return 0;
}

/* The first of its name. */
static int begin_named(struct peer *peer, const struct request *request, struct line *line)
{
	int r = named_new(peer, request->name, line);

	if (r < 0)
		return r;
	/* Its number may be that of another stream. */
	if (request->ack_given)
		subscriber_set_acknowledges(peer->subscriber);
	server_set_limits(peer->server, peer);
	return 0;
}

/* The connection's subscription is replaced. */
static int subscribe(struct peer *peer, struct request *request)
{
	const uint64_t last_seq = peer->server->config.stream->last_seq;
	_cleanup_(line_unref_p) struct line *line = NULL;
	int r;

	if (peer->named) {
		strcpy(request->name, peer->named->name);
		request->snapshot = false;
		r = request->ack_given ? acknowledge(peer, peer->subscriber, request->ack) : 0;
		if (r < 0 || peer->closing)
			return r;
	}
	r = make_reply(peer, request, peer->named != NULL, last_seq, &line);
	if (r < 0)
		return r;
	r = configure(peer->subscriber, request);
	if (r < 0)
		return r;
	if (*request->name && !peer->named)
		r = begin_named(peer, request, line);
	else
		r = subscriber_reply(peer->subscriber, line);
	if (r < 0)
		return r;
	set_subscription(peer, request);
	return request->snapshot ? subscriber_join(peer->subscriber, true) : 0;
}

static int request_subscription(struct peer *peer, struct request *request)
{
	struct server *server = peer->server;
	struct named *named = *request->name ? named_find(server, peer->cred.uid, request->name) : NULL;
	const char *reason = NULL;

	/* Else there would be no room for lines. */
	if (filter_memory(request->filter) > server->config.settings->socket.queue / 2)
		return peer_reject(peer, "the filter takes more memory than half of the queue");
	if (peer->named && *request->name && strcmp(peer->named->name, request->name) != 0)
		return peer_reject(peer, "this connection has a subscription of another name");
	set_defaults(server, request);
	if (named && named->peer != peer)
		return resume(peer, request, named);
	if (*request->name && !named)
		reason = named_refusal(server, peer->cred.uid);
	return reason ? peer_reject(peer, reason) : subscribe(peer, request);
}

static int request_ack(struct peer *peer, const struct request *request)
{
	if (!peer->named)
		return peer_reject(peer, "ack: the subscription has no name");
	return acknowledge(peer, peer->subscriber, request->ack);
}

static int request_forget(struct peer *peer, const struct request *request)
{
	_cleanup_(line_unref_p) struct line *line = NULL;
	struct named *named = named_find(peer->server, peer->cred.uid, request->name);
	yajl_gen gen = reply_begin("forgotten");
	int r;

	if (!gen)
		return -ENOMEM;
	reply_pair(gen, "name", request->name);
	r = reply_end(gen, &line);
	if (r < 0)
		return r;
	if (named)
		named_forget(peer->server, named);
	return subscriber_reply(peer->subscriber, line);
}

int peer_request(struct peer *peer, const char *line, size_t size)
{
	char reason[REQUEST_REASON_SIZE];
	struct request request;
	int r = request_parse(&request, line, size, reason);

	if (r == -EINVAL)
		return peer_reject(peer, reason);
	if (r < 0)
		return r;
	if (request.stats)
		r = peer_reply_stats(peer);
	else if (request.forget)
		r = request_forget(peer, &request);
	else if (request_is_ack(&request))
		r = request_ack(peer, &request);
	else
		r = request_subscription(peer, &request);
	request_clear(&request);
	return r;
}
