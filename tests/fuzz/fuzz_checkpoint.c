/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checkpoint as a daemon that crashed left it, or worse: the bytes say what two of its
 * subscribers asked for and where their streams were, and then any changes of the memory, whose
 * header is changed too. Another daemon opens it and resumes, crashes before its own page counts,
 * and a third one resumes from the same page. Always: what is not a checkpoint is refused; the
 * old page is not changed but for the subscriber to blame; a client gets whole lines, or its connection
 * ends.
 */
#include <sys/stat.h>

#include "fuzz/client.h"
#include "fuzz/script.h"

#define CLIENTS 2
#define BOOT 7
#define HEADER 16 /* before the pages: boot, and which page counts */
#define CHANGES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const subscriptions[] = {
	"{\"type\":\"subscribed\",\"snapshot\":false,\"fields\":[\"type\",\"seq\"]}",
	"{\"comm\":[\"l*\",\"!x\"],\"snapshot\":true}",
	"{\"tree\":[1,2]}",
	"{\"fields\":[\"nothing\"]}",
	"{",
	"",
	"{\"stats\":true}",
	"{}",
};

static struct settings *settings;
static struct checkpoint *old;
static struct checkpoint_page *page; /* the old daemon's */
static struct client clients[CLIENTS];
static int server_ends[CLIENTS];

static void prepare(void)
{
	settings = make_settings("[socket]\nmax_subscribers = 8\nper_user = 8\n");
	loop_begin();
	ASSERT(checkpoint_new(&old, BOOT) == 0);
	page = checkpoint_page(old);
}

static void fill_stream(struct script *script, struct checkpoint_stream *stream)
{
	uint8_t flags = script_next(script);

	*stream = (struct checkpoint_stream){
		.waiting = flags & 1 ? script_next(script) : 0,
		.joined_ns = 1000,
		.joined = !(flags & 2),
		.had_snapshot = !!(flags & 4),
		.in_snapshot = !!(flags & 8),
		.mid_line = (flags & 0xf0) == 0xf0,
	};
	if (stream->waiting) {
		stream->first_seq = 1 + script_next(script);
		stream->last_seq = stream->first_seq + script_next(script);
	}
}

static void fill(struct script *script)
{
	memset(page, 0, offsetof(struct checkpoint_page, subscribers) + (CLIENTS + 1) * sizeof(page->subscribers[0]));
	page->counters.seq = 1000;
	page->work.slot = script_next(script) % 4;
	page->work.is_own = script_next(script) % 2;
	for (uint32_t i = 0; i < CLIENTS; i++) {
		struct checkpoint_subscriber *subscriber = &page->subscribers[i];
		const char *text = subscriptions[script_next(script) % 8];

		subscriber->slot = 1 + i;
		subscriber->own_subscription = script_next(script) % 2;
		subscriber->subscription_size = (uint32_t)strlen(text);
		memcpy(subscriber->subscription, text, strlen(text));
		fill_stream(script, &subscriber->stream);
	}
}

static void change_header(struct script *script, uint8_t what)
{
	char byte = (char)script_next(script);

	ASSERT(pwrite(checkpoint_fd(old), &byte, 1, what % HEADER) == 1);
}

/* Of what is filled; the text of a subscription is a long way from the rest. */
static void change(struct script *script)
{
	size_t filled = offsetof(struct checkpoint_page, subscribers) + (CLIENTS + 1) * sizeof(page->subscribers[0]);
	uint8_t what = script_next(script);
	size_t at = script_next16(script), member = at % (offsetof(struct checkpoint_subscriber, subscription) + 64);

	if (what % 8 == 0)
		change_header(script, (uint8_t)at);
	else if (what % 8 < 5)
		((uint8_t *)&page->subscribers[what / 8 % CLIENTS])[member] = script_next(script);
	else if (what % 8 < 7)
		((uint8_t *)page)[at % offsetof(struct checkpoint_page, subscribers)] = script_next(script);
	else
		((uint8_t *)page)[at % filled] = script_next(script);
}

static struct fdstore *make_store(void)
{
	static const char *const names[CLIENTS] = { STORE_PREFIX STORE_VERSION "-subscriber-1",
						    STORE_PREFIX STORE_VERSION "-subscriber-2" };
	struct fdstore *ret;
	int fds[CLIENTS];

	for (size_t i = 0; i < CLIENTS; i++) {
		fds[i] = fcntl(server_ends[i], F_DUPFD_CLOEXEC, 0);
		ASSERT(fds[i] >= 0);
	}
	ASSERT(fdstore_new_of(&ret, fds, names, CLIENTS) == 0);
	return ret;
}

static struct pipeline *make_pipeline(struct checkpoint *checkpoint, const struct checkpoint_page *left)
{
	struct pipeline *ret = script_pipeline(&checkpoint_page(checkpoint)->counters);

	for (uint32_t pid = 1; pid < 4; pid++) {
		struct process process = { .tgid = pid, .start = pid, .ppid = pid - 1, .parent_start = pid - 1 };

		process.execed = pid != 3;
		process.comm = BYTES("ls");
		ASSERT(pipeline_found(ret, &process, 10) == 0);
	}
	pipeline_resume(ret, &left->counters, left->subscribers[0].stream.joined_ns);
	pipeline_go_live(ret);
	return ret;
}

/* Two events and an end, for those that resumed. */
static void use(struct pipeline *pipeline)
{
	make_exec(2, 2, 2000, "new", 4, 1);
	ASSERT(pipeline_record(pipeline, &record, record.head.size) == 0);
	make_exit(1, 1, 3000, 0);
	ASSERT(pipeline_record(pipeline, &record, record.head.size) == 0);
	make_exit(3, 3, 3000, 0);
	ASSERT(pipeline_record(pipeline, &record, record.head.size) == 0);
	pipeline_flush(pipeline);
	run_loop(100);
	for (size_t i = 0; i < CLIENTS; i++)
		while (client_read(&clients[i], sizeof(clients[i].text)))
			run_loop(100);
}

/* Only a subscriber resumes whose subscription is there, and whose stream ends with a line. */
static void check_resumed(const struct server *server, const struct checkpoint_page *left)
{
	for (const struct peer *peer = server->peers; peer; peer = peer->next) {
		const struct checkpoint_subscriber *found = left->subscribers;

		while (found->slot != peer->slot)
			ASSERT(++found < left->subscribers + CHECKPOINT_SUBSCRIBERS);
		ASSERT(found->subscription_size > 0 && found->subscription_size <= sizeof(found->subscription));
		ASSERT(!found->stream.mid_line && found->deaths < UINT8_MAX);
	}
}

/* A daemon that finds it. False: it can't be used. */
static bool try_resume(bool uses)
{
	_cleanup_(checkpoint_free_p) struct checkpoint *checkpoint = NULL;
	_cleanup_(fdstore_free_p) struct fdstore *store = NULL;
	int fd = fcntl(checkpoint_fd(old), F_DUPFD_CLOEXEC, 0), r = checkpoint_open(&checkpoint, fd, BOOT);
	struct sockaddr_un address;
	struct pipeline *pipeline;
	struct checkpoint_page *left;
	struct server *server;
	socklen_t size;
	unsigned count;

	if (r < 0) {
		ASSERT(r == -EINVAL);
		close(fd);
		return false;
	}
	left = checkpoint_previous(checkpoint);
	store = make_store();
	pipeline = make_pipeline(checkpoint, left);
	struct server_config config = {
		.settings = settings, .boot = 1, .checkpoint = checkpoint, .store = store, .previous = left
	};
	ASSERT(server_new(&server, event, pipeline_table(pipeline), &config, client_listen(&address, &size)) == 0);
	pipeline_add_sink(pipeline, server_sink(server));
	count = server_resume(server, left, store);
	ASSERT(count <= CLIENTS && server->stats.subscribers == count);
	check_resumed(server, left);
	proctable_settle(pipeline_table(pipeline));
	if (uses)
		use(pipeline);
	server_hand_over(server, true);
	pipeline_free(pipeline);
	return true;
}

static void connect_clients(bool is_damaged)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		int fds[2];

		ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
		clients[i].fd = fds[0];
		clients[i].is_filtered = true; /* what it has read before is not known */
		clients[i].any_numbers = is_damaged;
		server_ends[i] = fds[1];
	}
}

/*
 * But for the padding of `work`, which is written back as a whole. Where the header says that the
 * other page counts, this one is cleared.
 */
static void check_same(const struct checkpoint_page *before)
{
	size_t rest = offsetof(struct checkpoint_page, counters);
	uint32_t current;

	ASSERT(pread(checkpoint_fd(old), &current, sizeof(current), sizeof(uint64_t)) == sizeof(current));
	if (current != 0)
		return;
	ASSERT(memcmp(before, page, offsetof(struct checkpoint_page, work)) == 0);
	ASSERT(before->work.slot == page->work.slot && before->work.is_own == page->work.is_own);
	ASSERT(before->work.fault == page->work.fault);
	ASSERT(memcmp((char *)before + rest, (char *)page + rest,
		      offsetof(struct checkpoint_page, subscribers) - rest) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = { data, data + size };
	static struct checkpoint_page before;
	char header[HEADER];
	unsigned changes;

	if (!event)
		prepare();
	ASSERT(pread(checkpoint_fd(old), header, HEADER, 0) == HEADER);
	fill(&script);
	for (changes = 0; changes < CHANGES_MAX && !script_ended(&script); changes++)
		change(&script);
	memcpy(&before, page, offsetof(struct checkpoint_page, subscribers));
	connect_clients(changes > 0);
	if (try_resume(false)) {
		/* It is read as often as daemons crash before theirs counts. */
		check_same(&before);
		ASSERT(try_resume(true));
	}
	ASSERT(pwrite(checkpoint_fd(old), header, HEADER, 0) == HEADER);
	for (size_t i = 0; i < CLIENTS; i++) {
		client_close(&clients[i]);
		close(server_ends[i]);
	}
	ASSERT(line_memory() == 0 && subscriber_portions() == 0);
	return 0;
}
