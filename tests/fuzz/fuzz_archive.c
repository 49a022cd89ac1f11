/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a daemon leaves to the next one in an archive: the table with a snapshot under way, the
 * pipeline with arguments that came before their record, or the server with its connections. The
 * bytes make processes and clients; then the archive is read as it is, after which the next
 * daemon has the same as the last; then with the damage that the rest of the bytes says: it may
 * be refused, or be used, but nothing else.
 */
#include "fuzz/client.h"
#include "fuzz/script.h"
#include "model/proctable_internal.h"

#define CLIENTS 2
#define STEPS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind { TABLE, PIPELINE, SERVER, KINDS };

static struct settings *settings;
static struct client clients[CLIENTS];
static struct script_processes processes;

/* A daemon, as far as it is archived. */
struct daemon {
	struct pipeline *pipeline;
	struct proctable_cursor *cursor;
	struct server *server;
	struct sockaddr_un address;
	socklen_t address_size;
};

static void prepare(void)
{
	settings = make_settings("[socket]\nmax_subscribers = 8\nper_user = 8\n");
	loop_begin();
}

static struct daemon make_daemon(enum kind kind)
{
	struct server_config config = { .settings = settings, .boot = 1 };
	struct daemon ret = { .pipeline = script_pipeline(NULL) };

	if (kind != SERVER)
		return ret;
	ASSERT(server_new(&ret.server, event, pipeline_table(ret.pipeline), &config,
			  client_listen(&ret.address, &ret.address_size)) == 0);
	pipeline_add_sink(ret.pipeline, server_sink(ret.server));
	return ret;
}

static void free_daemon(struct daemon *daemon)
{
	proctable_cursor_free(daemon->cursor);
	server_free(daemon->server);
	pipeline_free(daemon->pipeline);
}

/* In both directions. 0 or -errno. */
static int daemon_archive(struct daemon *daemon, enum kind kind, struct archive *archive, struct fdstore *store)
{
	struct proctable *table = pipeline_table(daemon->pipeline);
	int r = kind == TABLE ? proctable_archive(table, archive, NULL, NULL)
			      : pipeline_archive(daemon->pipeline, archive);

	if (r == 0)
		r = kind == SERVER ? server_archive(daemon->server, archive, store)
				   : proctable_cursor_archive(&daemon->cursor, table, archive);
	if (archive_is_reading(archive))
		proctable_settle(table);
	return r;
}

static int write_archive(struct daemon *daemon, enum kind kind)
{
	struct archive *archive;
	int fd;

	ASSERT(archive_new(&archive) == 0);
	ASSERT(daemon_archive(daemon, kind, archive, NULL) == 0);
	ASSERT(archive_seal(archive, &fd) == 0);
	archive_free(archive);
	return fd;
}

static void step(struct script *script, struct daemon *daemon)
{
	static const char *const requests[] = { "{\"stats\":true}\n", "{\"comm\":[\"ls\",\"!x*\"],\"tree\":2}\n",
						"{\"snapshot\":true}\n", "{\"args\":\"*a" };
	uint8_t what = script_next(script), how = script_next(script);
	struct client *client = &clients[how % CLIENTS];

	if (what % 8 < 4) {
		script_process(&processes, daemon->pipeline, what / 8, how);
	} else if (what % 8 == 4) {
		make_piece(1 + how % SCRIPT_PIDS, processes.clock_ns, how / SCRIPT_PIDS * 100u, "some\0more", 9);
		ASSERT(pipeline_record(daemon->pipeline, &record, record.head.size) == 0);
	} else if (what % 8 == 5 && !daemon->server) {
		daemon->cursor = proctable_cursor_free(daemon->cursor);
		ASSERT(proctable_cursor_new(&daemon->cursor, pipeline_table(daemon->pipeline)) == 0);
	} else if (!daemon->server) {
		if (daemon->cursor)
			proctable_cursor_next(daemon->cursor);
	} else if (what % 8 == 5) {
		client_connect(client, &daemon->address, daemon->address_size);
		sd_event_run(event, 0);
		shrink_buffers(daemon->server);
		run_loop(100);
	} else if (client->fd >= 0) {
		client->is_filtered = true;
		(void)!send(client->fd, requests[how / 2 % 4], strlen(requests[how / 2 % 4]), MSG_NOSIGNAL);
		if (what % 8 == 7)
			run_loop(100);
	}
}

/*
 * What a daemon does then: processes exec and exit, the snapshot is read, clients get their lines, and
 * an archive is written.
 */
static void use(struct daemon *daemon, enum kind kind)
{
	int fd;

	for (unsigned i = 0; i < SCRIPT_PIDS; i++)
		script_process(&processes, daemon->pipeline, (uint8_t)(1 + i), (uint8_t)i);
	while (daemon->cursor && proctable_cursor_next(daemon->cursor))
		;
	pipeline_flush(daemon->pipeline);
	run_loop(100);
	fd = write_archive(daemon, kind);
	close(fd);
}

static void check_same(int a, int b)
{
	off_t size = lseek(a, 0, SEEK_END);
	_cleanup_free_ char *of_a = malloc((size_t)size + 1), *of_b = malloc((size_t)size + 1);

	ASSERT(lseek(b, 0, SEEK_END) == size && of_a && of_b);
	ASSERT(pread(a, of_a, (size_t)size, 0) == size && pread(b, of_b, (size_t)size, 0) == size);
	ASSERT(memcmp(of_a, of_b, (size_t)size) == 0);
}

static void read_sound(int fd, enum kind kind, struct fdstore *store, unsigned subscribers)
{
	struct daemon daemon = make_daemon(kind);
	struct archive *archive;

	ASSERT(archive_open(&archive, fd) == 0);
	ASSERT(daemon_archive(&daemon, kind, archive, store) == 0);
	archive_free(archive);
	if (kind == SERVER) {
		ASSERT(daemon.server->stats.subscribers == subscribers);
	} else {
		int again = write_archive(&daemon, kind);

		check_same(fd, again);
		close(again);
	}
	if (daemon.server)
		daemon.server = server_hand_over(daemon.server, true);
	free_daemon(&daemon);
}

static void read_damaged(int fd, enum kind kind, struct fdstore *store)
{
	struct daemon daemon = make_daemon(kind);
	struct archive *archive;

	ASSERT(archive_open(&archive, fd) == 0);
	if (daemon_archive(&daemon, kind, archive, store) == 0)
		use(&daemon, kind);
	archive_free(archive);
	free_daemon(&daemon);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = { data, data + size };
	enum kind kind = script_next(&script) % KINDS;
	unsigned steps = script_next(&script) % STEPS_MAX, subscribers;
	struct fdstore *sound, *damaged;
	struct daemon daemon;
	int fd, bad;

	if (!event)
		prepare();
	memset(&processes, 0, sizeof(processes));
	processes.clock_ns = 1000000;
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	daemon = make_daemon(kind);
	pipeline_go_live(daemon.pipeline);
	for (; steps > 0 && !script_ended(&script); steps--)
		step(&script, &daemon);
	run_loop(100);
	fd = write_archive(&daemon, kind);
	subscribers = daemon.server ? daemon.server->stats.subscribers : 0;
	sound = store_of(daemon.server, false);
	damaged = store_of(daemon.server, false);
	if (daemon.server)
		daemon.server = server_hand_over(daemon.server, true);
	free_daemon(&daemon);
	read_sound(fd, kind, sound, subscribers);
	bad = script_damage(&script, fd);
	read_damaged(bad, kind, damaged);
	close(fd);
	close(bad);
	fdstore_free(sound);
	fdstore_free(damaged);
	for (size_t i = 0; i < CLIENTS; i++)
		client_close(&clients[i]);
	ASSERT(line_memory() == 0 && subscriber_portions() == 0);
	return 0;
}
