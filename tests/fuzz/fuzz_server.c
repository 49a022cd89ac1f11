/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes as what happens to a server and four clients: they connect, send requests or any bytes,
 * half-close, read a little, and go; processes fork, exec and exit; the settings change; one
 * daemon ends and another reads its archive, or one crashes, maybe while it works for a client,
 * and another resumes from its checkpoint, which may crash too. What clients read is checked in
 * client.h. At the end, no connection is open and no line is held.
 */
#include "fuzz/client.h"
#include "fuzz/script.h"
#include "handover/checkpoint.h"

#define CLIENTS 4
#define STEPS_MAX 100
#define RESTARTS_MAX 2
#define BOOT 7
#define TURNS_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const requests[] = {
	"{\"snapshot\":true}\n",
	"{\"stats\":true}\n",
	"{\"comm\":\"ls\",\"fields\":[\"seq\",\"pid\"]}\n",
	"{\"args\":[\"*a*a*b*\",\"!*c\"],\"snapshot\":true}\n",
	"{\"tree\":3}\n{\"stats\":true}\n",
	"{\"types\":[\"started\",\"exited\"]",
	"}\n",
	"{\"nothing\":1}\n",
};
static const char *const durable_requests[] = {
	"{\"name\":\"a\",\"ack\":0,\"snapshot\":true}\n",
	"{\"name\":\"b\"}\n",
	"{\"ack\":7}\n",
	"{\"forget\":\"a\"}\n",
};
#define UNFILTERED 2 /* of them, the first */

static struct settings *settings[3];
static struct client clients[CLIENTS];
static struct script_processes processes;
static struct pipeline *pipeline;
static struct checkpoint *checkpoint;
static struct server *server;
static struct sockaddr_un address;
static socklen_t address_size;
static unsigned restarts, which_settings;

static void on_event(struct sink *sink, const struct event *happened, struct encoder *encoder)
{
	if (happened->seq < CLIENT_SEQ_MAX)
		client_was_exit[happened->seq] = happened->type == EVENT_EXITED;
}

static const struct sink_ops ops = { .event = on_event };
static struct sink exits = { .ops = &ops };

static void prepare(void)
{
	settings[0] = make_settings("[socket]\nmax_subscribers = 3\n");
	settings[1] = make_settings("[socket]\nmax_subscribers = 2\nper_user = 65536\nslow = disconnect\n");
	settings[2] = make_settings("[socket]\nsnapshot = no\nargs = *a*\nfields = seq, args\n");
	loop_begin();
}

static void on_note(void *userdata, int level, const char *message)
{
	ASSERT(message[0] && !strchr(message, '\n'));
}

static void make_server(struct fdstore *store, const struct checkpoint_page *left)
{
	struct server_config config = {
		.settings = settings[which_settings],
		.boot = 1,
		.checkpoint = checkpoint,
		.store = store,
		.previous = left,
		.log = on_note,
	};

	ASSERT(server_new(&server, event, pipeline_table(pipeline), &config, client_listen(&address, &address_size)) ==
	       0);
	pipeline_add_sink(pipeline, &exits);
	pipeline_add_sink(pipeline, server_sink(server));
}

static void leave(void)
{
	server = server_hand_over(server, true);
	pipeline = pipeline_free(pipeline);
}

/* One archive for both, as they are read one after the other. */
static void restart(void)
{
	_cleanup_(fdstore_free_p) struct fdstore *store = NULL;
	struct archive *archive;
	int fd;

	ASSERT(archive_new(&archive) == 0);
	ASSERT(pipeline_archive(pipeline, archive) == 0);
	ASSERT(server_archive(server, archive, NULL) == 0);
	ASSERT(archive_seal(archive, &fd) == 0);
	archive_free(archive);
	store = store_of(server, false);
	leave();
	checkpoint_free(checkpoint);
	ASSERT(checkpoint_new(&checkpoint, BOOT) == 0);
	pipeline = script_pipeline(&checkpoint_page(checkpoint)->counters);
	ASSERT(archive_open(&archive, fd) == 0);
	ASSERT(pipeline_archive(pipeline, archive) == 0);
	make_server(store, NULL);
	ASSERT(server_archive(server, archive, store) == 0);
	proctable_settle(pipeline_table(pipeline));
	archive_free(archive);
	close(fd);
}

/* What the task list has after a crash: those that are in the table. */
static void load_processes(void)
{
	for (unsigned i = 0; i < SCRIPT_PIDS; i++) {
		struct process process = {
			.tgid = i + 1,
			.start = processes.list[i].start,
			.ppid = 1,
			.parent_start = 1,
			.comm = BYTES("ls"),
			.execed = true,
			.source = SOURCE_PROC,
		};

		if (processes.list[i].exists)
			ASSERT(pipeline_found(pipeline, &process, processes.clock_ns) == 0);
	}
}

/* Another daemon, as far as the outputs. */
static void resume(struct fdstore *store)
{
	int fd = fcntl(checkpoint_fd(checkpoint), F_DUPFD_CLOEXEC, 0);
	struct checkpoint_page *left;

	checkpoint_free(checkpoint);
	ASSERT(checkpoint_open(&checkpoint, fd, BOOT) == 0);
	left = checkpoint_previous(checkpoint);
	pipeline = script_pipeline(&checkpoint_page(checkpoint)->counters);
	load_processes();
	pipeline_resume(pipeline, &left->counters, UINT64_MAX);
	pipeline_go_live(pipeline);
	make_server(store, left);
	ASSERT(server_resume(server, left, store) == server->stats.subscribers);
	proctable_settle(pipeline_table(pipeline));
}

static void crash(uint8_t how)
{
	struct peer *peer = server->peers;
	struct fdstore *store = store_of(server, true);

	if (how & 1)
		checkpoint_page(checkpoint)->work = (struct checkpoint_work){
			.slot = peer ? peer->slot : 1,
			.is_own = how & 2,
			.fault = how & 4,
		};
	leave();
	resume(store);
	fdstore_free(store);
	if (how & 8) {
		store = store_of(server, true);
		leave();
		resume(store);
		fdstore_free(store);
	}
	checkpoint_commit(checkpoint);
	checkpoint_forget_previous(checkpoint);
}

static void send_request(struct client *client, uint8_t how, struct script *script)
{
	const char *request = how & 64 ? durable_requests[how % 4] : requests[how % 8];
	char bytes[16];
	size_t size = strlen(request);

	if (how & 128) {
		for (size = 0; size < sizeof(bytes); size++)
			bytes[size] = (char)script_next(script);
		request = bytes;
	}
	client->is_filtered |= how & 128 || how % 8 >= UNFILTERED;
	/* Of a name, lines come again. */
	client->any_numbers |= how & (128 | 64);
	(void)!send(client->fd, request, size, MSG_NOSIGNAL);
}

static void keep_client(uint8_t how)
{
	for (struct peer *peer = server->peers; peer; peer = peer->next)
		if (!peer->place && !peer->closing && how-- == 0) {
			peer_enter_checkpoint(peer);
			return;
		}
}

static void client_step(struct client *client, uint8_t what, uint8_t how, struct script *script)
{
	if (what == 6) {
		client_connect(client, &address, address_size);
		client->is_filtered = which_settings == 2;
		run_loop(1);
		shrink_buffers(server);
	} else if (client->fd < 0)
		return;
	else if (what == 7)
		send_request(client, how, script);
	else if (what == 8)
		shutdown(client->fd, SHUT_WR);
	else if (what < 11)
		client_read(client, 1 + how * 64u);
	else
		client_close(client);
}

static void step(struct script *script)
{
	uint8_t what = script_next(script), how = script_next(script);
	struct client *client = &clients[what / 16 % CLIENTS];

	what %= 16;
	if (what < 6) {
		script_process(&processes, pipeline, how, script_next(script));
		if (what < 3)
			pipeline_flush(pipeline);
	} else if (what < 12) {
		client_step(client, what, how, script);
	} else if (what == 12) {
		keep_client(how % CLIENTS);
	} else if (what == 13 && restarts++ < RESTARTS_MAX) {
		restart();
	} else if (what == 14 && restarts++ < RESTARTS_MAX) {
		crash(how);
	} else if (what == 15) {
		which_settings = how % 3;
		ASSERT(server_reload(server, settings[which_settings]) == 0);
		for (size_t i = 0; i < CLIENTS; i++)
			clients[i].is_filtered |= which_settings == 2;
	}
	run_loop(1 + how % 4);
}

/* What waits comes to its end. */
static void finish(void)
{
	bool more = true;

	for (unsigned turn = 0; more && turn < TURNS_MAX; turn++) {
		run_loop(TURNS_MAX);
		more = false;
		for (size_t i = 0; i < CLIENTS; i++)
			more |= client_read(&clients[i], sizeof(clients[i].text));
	}
	ASSERT(!more);
	for (size_t i = 0; i < CLIENTS; i++) {
		ASSERT(clients[i].ended || clients[i].used == 0);
		client_close(&clients[i]);
	}
	run_loop(TURNS_MAX);
	ASSERT(!server->peers && server->stats.subscribers == 0);
	server_free(server);
	pipeline_free(pipeline);
	checkpoint_free(checkpoint);
	ASSERT(line_memory() == 0 && subscriber_portions() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = { data, data + size };

	if (!event)
		prepare();
	memset(&processes, 0, sizeof(processes));
	processes.clock_ns = 1000000;
	restarts = which_settings = 0;
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	ASSERT(checkpoint_new(&checkpoint, BOOT) == 0);
	pipeline = script_pipeline(&checkpoint_page(checkpoint)->counters);
	pipeline_go_live(pipeline);
	make_server(NULL, NULL);
	for (unsigned steps = 0; !script_ended(&script) && steps < STEPS_MAX; steps++)
		step(&script);
	finish();
	return 0;
}
