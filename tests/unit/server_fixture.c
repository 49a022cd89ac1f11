/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <yajl/yajl_tree.h>

#include "records.h"
#include "server_fixture.h"
#include "util/utf8.h"

char directory[64], path[80];
struct settings *settings;
struct pipeline *pipeline;
struct server *server;
sd_event *event;
unsigned notes; /* of warnings and worse */
char last_note[256];

/* What one client has read. */
char *text;
size_t size;
bool ended;

struct settings *settings_of(const char *socket)
{
	struct settings *ret;
	char ini[1024];
	int n = snprintf(ini, sizeof(ini), "[socket]\npath = %s\n%s%s%s", path,
			 strstr(socket, "group") ? "" : "group =\n",
			 strstr(socket, "per_user") ? "" : "per_user = 65536\n", socket);

	CHECK_INT(settings_parse(&ret, "test", ini, (size_t)n, NULL, NULL), 0);
	settings_find_group(ret);
	return ret;
}

/* By the linker (--wrap). */
uint64_t later_us;
void (*on_clock)(void);
__typeof__(sd_event_now) __real_sd_event_now, __wrap_sd_event_now;

int __wrap_sd_event_now(sd_event *e, clockid_t clock, uint64_t *ret)
{
	int r = __real_sd_event_now(e, clock, ret);

	if (on_clock)
		on_clock();
	*ret += later_us;
	return r;
}

uint64_t cpu_step_us;
static uint64_t cpu_later_us;
__typeof__(clock_gettime) __real_clock_gettime, __wrap_clock_gettime;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	int r = __real_clock_gettime(clock, ts);

	if (clock != CLOCK_THREAD_CPUTIME_ID)
		return r;
	ts->tv_sec += (time_t)(cpu_later_us / 1000000);
	cpu_later_us += cpu_step_us;
	return r;
}

void on_note(void *userdata, int level, const char *message)
{
	CHECK(message[0] && !strchr(message, '\n'));
	if (level > 4)
		return;
	notes++;
	snprintf(last_note, sizeof(last_note), "%s", message);
}

void on_stats(void *userdata, yajl_gen gen)
{
	yajl_gen_string(gen, (const unsigned char *)"own", 3);
	yajl_gen_integer(gen, 7);
}

int try_begin(const char *socket, int listen_fd)
{
	struct pipeline_config config = {
		.kernel_threads = true, .args_limit = 1 << 20, .table_memory = 1 << 28, .stream.id = 0x123
	};
	struct server_config server_config = { .boot = 1, .stats = on_stats, .log = on_note };
	int r;

	settings = settings_of(socket);
	server_config.settings = settings;
	CHECK_INT(pipeline_new(&pipeline, &config), 0);
	server_config.stream = pipeline_stream(pipeline);
	pipeline_go_live(pipeline);
	CHECK(sd_event_new(&event) >= 0);
	r = server_new(&server, event, pipeline_table(pipeline), &server_config, listen_fd);
	if (r == 0)
		pipeline_add_sink(pipeline, server_sink(server));
	return r;
}

void make_directory(void)
{
	strcpy(directory, "/tmp/test_server.XXXXXX");
	CHECK(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sock", directory);
	text = malloc(TEXT_MAX);
	CHECK(text);
}

void begin(const char *socket)
{
	make_directory();
	CHECK_INT(try_begin(socket, -1), 0);
}

void end_server(void)
{
	server = server_free(server);
	pipeline = pipeline_free(pipeline);
	settings = settings_free(settings);
	event = sd_event_unref(event);
}

void end(void)
{
	end_server();
	unlink(path);
	CHECK_INT(rmdir(directory), 0);
	free(text);
}

unsigned settle(void)
{
	for (unsigned turns = 0; turns < 200000; turns++) {
		int r = sd_event_run(event, 0);

		CHECK(r >= 0);
		if (r == 0)
			return turns;
	}
	CHECK(!"the loop spins");
	return 0;
}

int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	return fd;
}

int connect_at(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

int client(void)
{
	int fd = new_socket();

	CHECK_INT(connect_at(fd), 0);
	return fd;
}

void ask(int fd, const char *request)
{
	CHECK_INT(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

bool take_some(int fd)
{
	size_t before = size;
	ssize_t n;

	while ((n = recv(fd, text + size, TEXT_MAX - 1 - size, 0)) > 0)
		size += (size_t)n;
	if (n == 0)
		ended = true;
	else
		CHECK_INT(errno, EAGAIN);
	text[size] = '\0';
	return size > before;
}

void check_lines(void)
{
	CHECK_INT(utf8_valid(text, size), size);
	for (char *at = text, *newline; at < text + size; at = newline + 1) {
		yajl_val tree;
		char error[256];

		newline = strchr(at, '\n');
		CHECK(newline);
		*newline = '\0';
		tree = yajl_tree_parse(at, error, sizeof(error));
		if (!YAJL_IS_OBJECT(tree))
			printf("# %.200s\n# %s\n", at, error);
		CHECK(YAJL_IS_OBJECT(tree));
		yajl_tree_free(tree);
		*newline = '\n';
	}
}

void take(int fd)
{
	size = 0;
	ended = false;
	do
		settle();
	while (take_some(fd));
	check_lines();
}

unsigned count_of(const char *what)
{
	const char *end = text + strlen(text);
	unsigned n = 0;

	for (const char *at = text; (at = memmem(at, (size_t)(end - at), what, strlen(what))); at++)
		n++;
	return n;
}

const char *line_at(const char *at)
{
	static char line[1024];

	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

const char *last_line(void)
{
	size_t at = size - 1;

	CHECK(size > 0);
	while (at > 0 && text[at - 1] != '\n')
		at--;
	return line_at(text + at);
}

void exec_with(unsigned pid, const char *arg)
{
	make_exec(pid, pid * 1000ull, pid * 1000ull + 1, arg, strlen(arg) + 1, 1);
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
}

void exec_of(unsigned pid)
{
	exec_with(pid, "ls");
}

void exit_of(unsigned pid)
{
	make_exit(pid, pid * 1000ull, pid * 1000ull + 2, 0);
	CHECK_INT(pipeline_record(pipeline, &record, record.head.size), 0);
}

void execs(unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		exec_of(first + i);
		if (i % 100 == 99)
			pipeline_flush(pipeline);
	}
	pipeline_flush(pipeline);
}

void exits(unsigned first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		exit_of(first + i);
	pipeline_flush(pipeline);
}

struct server_stats stats(void)
{
	struct server_stats ret;

	server_stats(server, &ret);
	return ret;
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

size_t flood(int fd, const char *request)
{
	size_t sent = 0;
	ssize_t n;

	for (int idle = 0; idle < 3; idle++) {
		while ((n = send(fd, request, strlen(request), MSG_NOSIGNAL)) > 0) {
			sent += (size_t)n;
			idle = 0;
		}
		CHECK_INT(errno, EAGAIN);
		settle();
	}
	return sent;
}

void reload(const char *socket, int result)
{
	struct settings *new = settings_of(socket);

	CHECK_INT(server_reload(server, new), result);
	if (result < 0) {
		settings_free(new);
		return;
	}
	while (server_is_reloading(server))
		CHECK(sd_event_run(event, 0) > 0);
	settings_free(settings);
	settings = new;
}
