/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscribers in an archive. What each asks for is kept as the request that would ask for it: so it is read by what reads
 * requests.
 */
#include <errno.h>
#include <string.h>

#include "output/request.h"
#include "output/server_internal.h"

#define PEERS_MAX (1u << 20) /* more than there can be descriptors */

static void kept_archive(struct kept *kept, struct archive *a)
{
	ARCHIVE(a, kept->slot);
	archive_bytes(a, &kept->subscription);
	archive_flag(a, &kept->own_subscription);
	ARCHIVE(a, kept->cred);
	archive_bytes(a, &kept->input);
	archive_flag(a, &kept->more);
	archive_flag(a, &kept->requests_ended);
	archive_flag(a, &kept->leaving);
}

struct bytes subscription_text(yajl_gen gen, key_set keys, struct filter *filter)
{
	_cleanup_(filter_free_p) struct filter *none = NULL;
	struct request request = { .keys = keys, .filter = filter };
	const unsigned char *text;
	size_t size;

	if (!filter && filter_new(&none) < 0)
		return BYTES("");
	if (!filter)
		request.filter = none;
	yajl_gen_map_open(gen);
	request_gen(&request, gen);
	yajl_gen_map_close(gen);
	return yajl_gen_get_buf(gen, &text, &size) == yajl_gen_status_ok ? (struct bytes){ (const char *)text, size }
									 : BYTES("");
}

static int write_peer(struct peer *peer, struct archive *a, struct line_set *lines)
{
	struct kept kept = {
		.slot = peer->slot,
		.input = { peer->input, peer->input ? peer->input_size : 0 },
		.own_subscription = peer->own_subscription,
		.more = peer->more,
		.requests_ended = peer->requests_ended,
		.leaving = peer->leaving,
		.cred = peer->cred,
	};
	yajl_gen gen = yajl_gen_alloc(NULL);
	char name[FDSTORE_NAME_MAX];

	if (!gen)
		return -ENOMEM;
	kept.subscription =
		subscription_text(gen, subscriber_keys(peer->subscriber), subscriber_filter(peer->subscriber));
	kept_archive(&kept, a);
	yajl_gen_free(gen);
	slot_name(name, peer->slot);
	if (!peer->place)
		fdstore_keep(name, peer->fd);
	return subscriber_archive(peer->subscriber, a, lines);
}

int peer_subscription(struct server *server, int fd, const struct kept *kept, struct subscriber **ret)
{
	char reason[REQUEST_REASON_SIZE];
	struct request request = { .keys = KEYS_ALL };
	int r = request_parse(&request, kept->subscription.data ? kept->subscription.data : "", kept->subscription.size,
			      reason);

	if (r == -EINVAL && !kept->own_subscription)
		r = 0; /* that of the configuration, which it is given then */
	if (r == 0)
		r = server_subscriber(server, ret, fd, kept->cred.uid, request.keys, request.filter);
	if (r < 0)
		request_clear(&request);
	return r;
}

int peer_follow_settings(struct server *server, struct subscriber *subscriber, const struct kept *kept)
{
	const struct settings_output *output = &server->config.settings->socket.output;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	yajl_gen gen;
	bool same;
	int r;

	if (kept->own_subscription)
		return 0;
	gen = yajl_gen_alloc(NULL);
	r = settings_filter(output, &filter);
	same = gen && r == 0 && bytes_equal(kept->subscription, subscription_text(gen, output->fields, filter));
	if (gen)
		yajl_gen_free(gen);
	if (r < 0 || same)
		return r;
	r = subscriber_configure(subscriber, output->fields, filter, false);
	if (r == 0)
		TAKE_PTR(filter);
	return r;
}

int peer_restore(struct server *server, int fd, struct subscriber *subscriber, const struct kept *kept)
{
	_cleanup_free_ char *input = kept->input.size > 0 ? malloc(REQUEST_LINE_MAX) : NULL;
	struct peer *peer;
	int r;

	if (kept->input.size > 0 && !input)
		return -ENOMEM;
	r = peer_make(&peer, server, fd, subscriber);
	if (r < 0)
		return r;
	if (input) {
		memcpy(input, kept->input.data, kept->input.size);
		peer->input = TAKE_PTR(input);
		peer->input_size = kept->input.size;
		peer->more = kept->more;
	}
	peer->slot = kept->slot;
	peer->cred = kept->cred;
	peer->own_subscription = kept->own_subscription;
	peer->requests_ended = kept->requests_ended;
	peer->leaving = kept->leaving;
	peer_link(peer);
	if (!peer_enter_checkpoint(peer)) {
		char name[FDSTORE_NAME_MAX];

		slot_name(name, peer->slot);
		fdstore_forget(name);
	}
	if (peer->leaving && peer_set_deadline(peer) < 0)
		peer_end(peer, "could not be given time to close");
	return 0;
}

static int read_peer(struct server *server, struct archive *a, struct fdstore *store, struct line_set *lines)
{
	_cleanup_(subscriber_free_p) struct subscriber *subscriber = NULL;
	_cleanup_close_ int fd = -1;
	char name[FDSTORE_NAME_MAX];
	struct kept kept = {};
	int r;

	kept_archive(&kept, a);
	if (kept.input.size > REQUEST_LINE_MAX)
		archive_fail(a);
	r = archive_error(a);
	if (r < 0)
		return r;
	slot_name(name, kept.slot);
	fd = fdstore_take(store, name);
	r = peer_subscription(server, fd, &kept, &subscriber);
	/* Also of one that is not there any more: others stand behind it. */
	if (r == 0)
		r = subscriber_archive(subscriber, a, lines);
	if (r == 0)
		r = peer_follow_settings(server, subscriber, &kept);
	if (r == 0 && fd >= 0)
		r = peer_restore(server, fd, subscriber, &kept);
	if (r < 0)
		fdstore_forget(name);
	if (r < 0 || fd < 0)
		return r;
	TAKE_FD(fd);
	TAKE_PTR(subscriber);
	return 0;
}

int server_archive(struct server *server, struct archive *a, struct fdstore *store)
{
	struct line_set lines = {};
	size_t count = server->stats.subscribers;
	int r = 0;

	ARCHIVE(a, server->slot);
	ARCHIVE(a, server->stats);
	archive_count(a, &count, PEERS_MAX);
	if (archive_is_reading(a)) {
		server->stats.subscribers = 0;
		for (size_t i = 0; r == 0 && i < count; i++)
			r = read_peer(server, a, store, &lines);
		server_check_access(server);
	} else {
		for (struct peer *peer = server->peers; r == 0 && peer; peer = peer->next)
			r = write_peer(peer, a, &lines);
	}
	line_set_clear(&lines);
	return r < 0 ? r : archive_error(a);
}
