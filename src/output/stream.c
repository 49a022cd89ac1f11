/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/stream.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "config.h"
#include "model/event.h"
#include "output/reply.h"
#include "util/clock.h"
#include "util/utf8.h"

const struct stream stream_none;

int stream_init(struct stream *stream)
{
	struct stream made = {};
	sd_id128_t id;

	if (getrandom(&made.id, sizeof(made.id), 0) != sizeof(made.id))
		return errno > 0 ? -errno : -EIO;
	if (sd_id128_get_machine(&id) >= 0)
		sd_id128_to_string(id, made.machine_id);
	if (sd_id128_get_boot(&id) >= 0)
		sd_id128_to_string(id, made.boot_id);
	*stream = made;
	return 0;
}

void stream_gen(const struct stream *stream, uint64_t last_seq, yajl_gen gen)
{
	char id[17];

	snprintf(id, sizeof(id), "%016llx", (unsigned long long)stream->id);
	reply_pair(gen, "stream", id);
	reply_count(gen, "last_seq", last_seq);
}

static yajl_gen begin(const char *type)
{
	yajl_gen gen = reply_begin(type);
	char time[EVENT_TIME_SIZE];

	if (!gen)
		return NULL;
	event_time_format(time, clock_ns(CLOCK_REALTIME));
	reply_pair(gen, "time", time);
	return gen;
}

/* A name may be set to bytes that are not UTF-8 (sethostname(2)). */
static void gen_host(yajl_gen gen)
{
	char host[HOST_NAME_MAX + 1];

	if (gethostname(host, sizeof(host)) == 0 && utf8_valid(host, strlen(host)) == strlen(host))
		reply_pair(gen, "host", host);
}

int stream_live(const struct stream *stream, uint64_t last_seq, struct line **ret)
{
	yajl_gen gen = begin("live");

	if (!gen)
		return -ENOMEM;
	stream_gen(stream, last_seq, gen);
	reply_pair(gen, "version", PACKAGE_VERSION);
	gen_host(gen);
	if (*stream->machine_id)
		reply_pair(gen, "machine_id", stream->machine_id);
	if (*stream->boot_id)
		reply_pair(gen, "boot_id", stream->boot_id);
	return reply_end(gen, ret);
}

int stream_mark(const struct stream *stream, uint64_t lines, struct line **ret)
{
	yajl_gen gen = begin("mark");

	if (!gen)
		return -ENOMEM;
	reply_count(gen, "last_seq", stream->last_seq);
	reply_count(gen, "count", lines);
	return reply_end(gen, ret);
}
