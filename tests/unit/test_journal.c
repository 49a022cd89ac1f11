/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "output/journal.h"
#include "output/message_id.h"
#include "tap.h"
#include "util/cleanup.h"
#include "util/quote.h"

/* As EXECSNOOP_ARGS has them. */
static int journal_quote(char **ret, size_t *ret_size, struct bytes args)
{
	size_t size = quote_args_size(args);
	char *quoted = malloc(size + 1);

	if (!quoted)
		return -ENOMEM;
	*quote_args(quoted, args) = '\0';
	*ret = quoted;
	*ret_size = size;
	return 0;
}
#include "util/utf8.h"

/* A journald: keeps what it is sent; waits while its gate is shut; refuses while it is told to. */

struct sent {
	struct iovec *fields;
	int n;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct sent *sent;
static size_t n_sent;
static unsigned n_calls, n_inside, to_refuse;
static bool shut;
static sigset_t mask_of_thread;

static struct sent copy_of(const struct iovec *iov, int n)
{
	struct sent copy = { calloc((size_t)n, sizeof(struct iovec)), n };

	for (int i = 0; i < n; i++) {
		char *data = malloc(iov[i].iov_len + 1);

		memcpy(data, iov[i].iov_base, iov[i].iov_len);
		data[iov[i].iov_len] = '\0';
		copy.fields[i] = (struct iovec){ data, iov[i].iov_len };
	}
	return copy;
}

static int fake_send(const struct iovec *iov, int n)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	n_calls++;
	n_inside++;
	pthread_sigmask(SIG_SETMASK, NULL, &mask_of_thread);
	pthread_cond_broadcast(&changed);
	while (shut)
		pthread_cond_wait(&changed, &lock);
	if (to_refuse > 0) {
		to_refuse--;
		r = -ECONNREFUSED;
	} else {
		sent = reallocarray(sent, n_sent + 1, sizeof(*sent));
		sent[n_sent++] = copy_of(iov, n);
	}
	n_inside--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return r;
}

static void set_gate(bool to)
{
	pthread_mutex_lock(&lock);
	shut = to;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void wait_until_inside(void)
{
	pthread_mutex_lock(&lock);
	while (n_inside == 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void wait_for_sent(size_t n)
{
	tap_limit(30);
	pthread_mutex_lock(&lock);
	while (n_sent < n)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* The value of the field's i-th occurrence, *ret_size if not NULL; NULL: it is not there. */
static const char *nth(const struct sent *entry, const char *field, size_t i, size_t *ret_size)
{
	size_t size = strlen(field);

	for (int k = 0; k < entry->n; k++) {
		const char *data = entry->fields[k].iov_base;

		if (strncmp(data, field, size) != 0 || data[size] != '=' || i-- > 0)
			continue;
		if (ret_size)
			*ret_size = entry->fields[k].iov_len - size - 1;
		return data + size + 1;
	}
	return NULL;
}

static const char *field(const struct sent *entry, const char *name)
{
	CHECK(nth(entry, name, 1, NULL) == NULL);
	return nth(entry, name, 0, NULL);
}

static size_t count(const struct sent *entry, const char *name)
{
	size_t n = 0;

	while (nth(entry, name, n, NULL))
		n++;
	return n;
}

static bool has_bytes(const struct sent *entry, const char *name, size_t i, struct bytes value)
{
	size_t size = 0;
	const char *data = nth(entry, name, i, &size);

	return data && bytes_equal((struct bytes){ data, size }, value);
}

static struct journal *journal_with(size_t queue, bool snapshot, struct filter *filter)
{
	struct journal_config config = {
		.queue = queue,
		.keys = KEYS_ALL,
		.filter = filter,
		.snapshot = snapshot,
		.boot = 0xb007,
		.send = fake_send,
	};
	struct journal *journal = NULL;

	CHECK_INT(journal_new(&journal, &config), 0);
	return journal;
}

static struct proctable *table;

static struct journal *joined(size_t queue)
{
	struct journal *journal = journal_with(queue, false, NULL);

	if (!table)
		CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(journal_join(journal, table), 0);
	return journal;
}

static void write_event(struct journal *journal, const struct event *event)
{
	struct sink *sink = journal_sink(journal);

	sink->ops->event(sink, event, NULL);
}

static void flush(struct journal *journal)
{
	struct sink *sink = journal_sink(journal);

	sink->ops->flush(sink);
}

#define ARGS(literal) ((struct bytes){ (literal), sizeof(literal) }) /* its last NUL is the last argument's */

static struct process curl(void)
{
	return (struct process){
		.tgid = 22022,
		.start = 123456789,
		.start_time = UINT64_C(1509722216890551865),
		.ppid = 15785,
		.parent_start = 1,
		.uid = 1000,
		.gid = 100,
		.loginuid = PROCESS_UNSET,
		.session_id = PROCESS_UNSET,
		.comm = BYTES("curl"),
		.parent_comm = BYTES("bash"),
		.ancestors = ARGS("bash\0sshd\0systemd"),
		.image = {
			.exe = BYTES("/usr/bin/curl"),
			.filename = BYTES("/bin/curl"),
			.args = ARGS("curl\0-O\0https://x.y/z"),
			.argc = 3,
			.args_size = 22,
			.cwd = BYTES("/root"),
			.env = ARGS("PATH=/bin\0a.b=c=d"),
		},
	};
}

static struct event event_of(enum event_type type, const struct process *process)
{
	static uint64_t seq;

	return (struct event){
		.type = type,
		.seq = ++seq,
		.time = UINT64_C(1509722216890551865),
		.process = process,
		.announced = UINT64_MAX,
	};
}

/* One event through a journal: its entry. */
static const struct sent *entry_of(const struct event *event)
{
	struct journal *journal = joined(1 << 20);
	size_t n = n_sent;

	write_event(journal, event);
	flush(journal);
	wait_for_sent(n + 1);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, n + 1);
	return &sent[n];
}

TEST(entry_of_started_has_all_fields)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	const struct sent *entry = entry_of(&event);

	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] started by bash[15785]: curl -O https://x.y/z");
	CHECK_STR(field(entry, "MESSAGE_ID"), MESSAGE_ID_STARTED);
	CHECK_STR(field(entry, "PRIORITY"), "6");
	CHECK_STR(field(entry, "SYSLOG_IDENTIFIER"), "execsnoopd");
	CHECK_STR(field(entry, "EXECSNOOP_TYPE"), "started");
	CHECK_STR(field(entry, "EXECSNOOP_SEQ"), "1");
	CHECK_STR(field(entry, "EXECSNOOP_TIME"), "2017-11-03T15:16:56.890551865Z");
	CHECK_STR(field(entry, "EXECSNOOP_PID"), "22022");
	CHECK_STR(field(entry, "EXECSNOOP_UID"), "1000");
	CHECK_STR(field(entry, "EXECSNOOP_EXE"), "/usr/bin/curl");
	CHECK_STR(field(entry, "EXECSNOOP_ARGS"), "curl -O https://x.y/z");
	CHECK_INT(count(entry, "EXECSNOOP_ARG"), 3);
	CHECK(has_bytes(entry, "EXECSNOOP_ARG", 1, BYTES("-O")));
	CHECK_INT(count(entry, "EXECSNOOP_ANCESTOR"), 3);
	CHECK(has_bytes(entry, "EXECSNOOP_ANCESTOR", 2, BYTES("systemd")));
	CHECK_INT(count(entry, "EXECSNOOP_ANCESTORS"), 0);
	CHECK_INT(count(entry, "EXECSNOOP_ENV"), 2);
	CHECK(has_bytes(entry, "EXECSNOOP_ENV", 1, BYTES("a.b=c=d")));
	/* What journald takes for a field's name: sd_journal_send(3). */
	for (int i = 0; i < entry->n; i++) {
		const char *name = entry->fields[i].iov_base;

		CHECK(strchr(name, '=') - name <= 64);
		for (; *name != '='; name++)
			CHECK(isupper((unsigned char)*name) || isdigit((unsigned char)*name) || *name == '_');
	}
}

TEST(entry_of_exited_says_how)
{
	struct process process = curl();
	struct event event = event_of(EVENT_EXITED, &process);
	const struct sent *entry;

	event.end.running_ns = 1234567890;
	event.end.status_known = true;
	event.end.status = 1 << 8;
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] exited with status 1 after 1.234 s");
	CHECK_STR(field(entry, "MESSAGE_ID"), MESSAGE_ID_EXITED);
	CHECK_STR(field(entry, "PRIORITY"), "6");
	CHECK_STR(field(entry, "EXECSNOOP_EXIT_CODE"), "1");
	CHECK_STR(field(entry, "EXECSNOOP_RUNNING_TIME_NS"), "1234567890");
	CHECK_STR(field(entry, "EXECSNOOP_ARGS"), "curl -O https://x.y/z");
	event.end.status = SIGKILL | 0x80;
	event.end.running_ns = 7005000000;
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] was killed by SIGKILL (core dumped) after 7.005 s");
	CHECK_STR(field(entry, "EXECSNOOP_EXIT_SIGNAL"), "SIGKILL");
	CHECK_STR(field(entry, "EXECSNOOP_CORE_DUMPED"), "true");
	event.end.status_known = false;
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] is gone after 7.005 s");
	CHECK(!field(entry, "EXECSNOOP_EXIT_CODE") && !field(entry, "EXECSNOOP_EXIT_SIGNAL"));
}

TEST(entry_of_error_has_its_number_and_priority)
{
	struct process process = curl();
	struct event event = event_of(EVENT_ERROR, &process);
	const struct sent *entry;

	event.error = EACCES;
	process.image.exe = BYTES("/bin/x y");
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] could not execute /bin/x y: EACCES");
	CHECK_STR(field(entry, "MESSAGE_ID"), MESSAGE_ID_ERROR);
	CHECK_STR(field(entry, "PRIORITY"), "5");
	CHECK_STR(field(entry, "EXECSNOOP_ERROR_CODE"), "-13");
	CHECK_STR(field(entry, "EXECSNOOP_ERROR"), "EACCES");
	process.image.exe = BYTES_NONE;
	event.error = 4000;
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] could not execute a path that could not be read: error 4000");
}

TEST(entry_of_lost_and_forked)
{
	struct process process = curl();
	struct event forked = event_of(EVENT_FORKED, &process);
	struct event lost = { .type = EVENT_LOST, .seq = 5, .lost = { .where = LOST_KERNEL, .count = 12 } };
	const struct sent *entry = entry_of(&lost);

	CHECK_STR(field(entry, "MESSAGE"), "lost 12 events (kernel)");
	CHECK_STR(field(entry, "MESSAGE_ID"), MESSAGE_ID_LOST);
	CHECK_STR(field(entry, "PRIORITY"), "4");
	CHECK_STR(field(entry, "EXECSNOOP_WHERE"), "kernel");
	CHECK_STR(field(entry, "EXECSNOOP_COUNT"), "12");
	CHECK_STR(field(entry, "EXECSNOOP_SEQ"), "5");
	entry = entry_of(&forked);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] forked by bash[15785]");
	CHECK_STR(field(entry, "MESSAGE_ID"), MESSAGE_ID_FORKED);
	CHECK_STR(field(entry, "PRIORITY"), "6");
}

TEST(entry_has_the_keys_that_were_asked_for)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct journal *journal = joined(1 << 20);

	journal_configure(journal, KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID), NULL);
	write_event(journal, &event);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
	CHECK_STR(field(&sent[0], "EXECSNOOP_PID"), "22022");
	CHECK(!field(&sent[0], "EXECSNOOP_ARGS") && !field(&sent[0], "EXECSNOOP_ARG"));
	CHECK(field(&sent[0], "MESSAGE") != NULL);
}

TEST(entry_has_exact_bytes)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	const struct sent *entry;

	process.comm = BYTES("a\nb=\xff\x1b[m");
	process.image.exe = BYTES("/tmp/\xc3\x28\n");
	process.image.args = ARGS("\x01\x02\0\0\n");
	process.image.cwd = BYTES("");
	entry = entry_of(&event);
	CHECK(has_bytes(entry, "EXECSNOOP_COMM", 0, process.comm));
	CHECK(has_bytes(entry, "EXECSNOOP_EXE", 0, process.image.exe));
	CHECK(has_bytes(entry, "EXECSNOOP_ARG", 0, BYTES("\x01\x02")));
	CHECK(has_bytes(entry, "EXECSNOOP_ARG", 1, BYTES("")));
	CHECK(has_bytes(entry, "EXECSNOOP_ARG", 2, BYTES("\n")));
	CHECK(has_bytes(entry, "EXECSNOOP_ARGS", 0, BYTES("'\x01\x02' '' '\n'")));
	CHECK(!field(entry, "EXECSNOOP_EXE_RAW") && !field(entry, "EXECSNOOP_COMM_RAW"));
	CHECK_STR(field(entry, "MESSAGE"), "a\\nb=\\xff\\x1b[m[22022] started by bash[15785]: "
					   "$'\\x01\\x02' '' $'\\n'");
}

/* How sd_journal_sendv counts; more than UIO_MAXIOV (1024) and it fails with EINVAL. */
static size_t iovecs(const struct sent *entry)
{
	size_t n = 0;

	for (int i = 0; i < entry->n; i++)
		n += memchr(entry->fields[i].iov_base, '\n', entry->fields[i].iov_len) ? 5 : 2;
	return n;
}

enum { MANY = 100000 };

static struct bytes many(const char *two)
{
	static char data[MANY * 3];

	for (size_t i = 0; i < MANY; i++)
		memcpy(data + 3 * i, two, 3);
	return (struct bytes){ data, sizeof(data) };
}

TEST(entry_stays_below_the_limits_of_journald)
{
	struct process process = curl();
	struct event event = event_of(EVENT_EXITED, &process);
	const struct sent *entry;
	size_t size;

	process.image.args = process.ancestors = process.image.env = many("**");
	entry = entry_of(&event);
	CHECK(entry->n < 1024 && iovecs(entry) <= 1024);
	CHECK_INT(count(entry, "EXECSNOOP_ARG"), 100);
	CHECK_INT(count(entry, "EXECSNOOP_ANCESTOR"), 100);
	CHECK(count(entry, "EXECSNOOP_ENV") > 200);
	CHECK(nth(entry, "EXECSNOOP_ARGS", 0, &size) != NULL);
	CHECK_INT(size, MANY * 5 - 1);
}

TEST(entry_stays_below_the_limits_with_newlines_everywhere)
{
	struct process process = curl();
	struct event event = event_of(EVENT_EXITED, &process);
	const struct sent *entry;
	struct bytes n = BYTES("\n");

	process.ids_known = process.image.args_truncated = process.kernel_thread = true;
	process.image.exe_deleted = process.image.exe_memfd = process.image.secureexec = true;
	process.loginuid = process.session_id = process.sid = process.pgid = process.tty_major = 4;
	process.pid_ns = process.ns_pid = process.mnt_ns = 1;
	process.image.exe_inode = 1;
	process.source = event.source = SOURCE_RESYNC;
	event.snapshot = true;
	event.end.cpu_known = event.end.rss_known = event.end.io_known = event.end.status_known = true;
	event.end.status = SIGSEGV | 0x80;
	process.comm = process.parent_comm = process.image.exe = process.image.filename = process.image.cwd = n;
	process.image.cgroup = process.image.unit = process.image.container_id = n;
	process.image.incomplete = INCOMPLETE_BIT(INCOMPLETE_MAX) - 1;
	process.image.args = process.ancestors = process.image.env = many("a\n");
	entry = entry_of(&event);
	CHECK(iovecs(entry) <= 1024 && iovecs(entry) > 950);
	CHECK_INT(count(entry, "EXECSNOOP_ARG"), 100);
	CHECK_INT(count(entry, "EXECSNOOP_ANCESTOR"), 40);
	CHECK_INT(count(entry, "EXECSNOOP_INCOMPLETE"), INCOMPLETE_MAX);
	CHECK(count(entry, "EXECSNOOP_ENV") >= 30);
	process.image.env = many("ab");
	CHECK(count(entry_of(&event), "EXECSNOOP_ENV") >= 77);
}

/* The message. */

static const char *message_of(const struct event *event, size_t size)
{
	static char text[4096];

	memset(text, '#', sizeof(text));
	journal_message(text, size, event);
	CHECK(strlen(text) < size);
	CHECK(text[size] == '#');
	CHECK_INT(utf8_valid(text, strlen(text)), strlen(text));
	return text;
}

TEST(message_is_cut_where_it_is_too_long)
{
	static char args[10000];
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	const char *text;

	memset(args, 'x', sizeof(args) - 1);
	process.image.args = (struct bytes){ args, sizeof(args) };
	text = message_of(&event, 2048);
	CHECK_INT(strlen(text), 2047);
	CHECK_STR(text + 2040, "xxxx…");
	/* Never within a character or an escape. */
	for (size_t i = 0; i + 3 < sizeof(args); i += 3)
		memcpy(args + i, "€", 3);
	message_of(&event, 2048);
	memset(args, '\n', sizeof(args) - 1);
	text = message_of(&event, 2048);
	CHECK(strcmp(text + strlen(text) - 5, "\\n…") == 0);
	process.image.args = ARGS("€\xff\x01\"'\\");
	for (size_t size = 1; size < 100; size++)
		message_of(&event, size);
	CHECK_STR(message_of(&event, 100), "curl[22022] started by bash[15785]: $'€\\xff\\x01\"\\'\\\\'");
}

TEST(message_does_no_harm)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	char every[257];
	const char *text;

	for (int i = 0; i < 256; i++)
		every[i] = (char)(i + 1);
	process.image.args = (struct bytes){ every, 256 };
	text = message_of(&event, 4000);
	for (const char *p = text; *p; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
	/* C1 controls, a line separator, a right-to-left override; what is plain text stays. */
	process.image.args = ARGS("a\xc2\x9b"
				  "1m\0\xe2\x80\xa8\0\xe2\x80\xae\0é€😀\0a b\0it's\0$x\0~\0#");
	CHECK_STR(message_of(&event, 2048),
		  "curl[22022] started by bash[15785]: $'a\\xc2\\x9b1m' $'\\xe2\\x80\\xa8' $'\\xe2\\x80\\xae' "
		  "é€😀 'a b' 'it'\\''s' '$x' '~' '#'");
}

/* The same set as in JSON (utf8.h). */
TEST(message_shows_what_acts_as_escapes)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);

	process.image.args = ARGS("\xd8\x9c\0\xe2\x81\xaf\0\x7f\0\xc2\x85");
	CHECK_STR(field(entry_of(&event), "MESSAGE"),
		  "curl[22022] started by bash[15785]: $'\\xd8\\x9c' $'\\xe2\\x81\\xaf' $'\\x7f' $'\\xc2\\x85'");
}

TEST(message_says_what_is_known)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);

	process.ppid = 0;
	process.parent_comm = BYTES_NONE;
	CHECK_STR(message_of(&event, 2048), "curl[22022] started: curl -O https://x.y/z");
	process.image.args = BYTES_NONE;
	CHECK_STR(message_of(&event, 2048), "curl[22022] started: /usr/bin/curl");
	event.source = SOURCE_PROC;
	CHECK_STR(message_of(&event, 2048), "curl[22022] was already running: /usr/bin/curl");
	event.source = SOURCE_RESYNC;
	CHECK_STR(message_of(&event, 2048), "curl[22022] was found running: /usr/bin/curl");
	event.source = SOURCE_PROBE;
	event.snapshot = true;
	process.comm = BYTES("kthreadd");
	process.kernel_thread = true;
	CHECK_STR(message_of(&event, 2048), "kthreadd[22022] is running (kernel thread)");
	event = (struct event){ .type = EVENT_LOST, .lost = { LOST_JOURNAL, 1, 7, 7 } };
	CHECK_STR(message_of(&event, 2048), "lost 1 event (journal), from number 7 to 7");
}

/* Quoting. */

/* What a shell makes of "printf '%s\0' QUOTED". */
static size_t through_shell(const char *shell, const char *quoted, size_t size, char *ret, size_t room)
{
	_cleanup_close_ int script = memfd_create("script", 0), out = memfd_create("out", 0);
	char path[64];
	ssize_t n;
	pid_t pid;
	int status;

	CHECK(script >= 0 && out >= 0);
	CHECK(dprintf(script, "printf '%%s\\0' ") > 0 && write(script, quoted, size) == (ssize_t)size);
	CHECK(write(script, "\n", 1) == 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", script);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		execlp(shell, shell, path, (char *)NULL);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	n = pread(out, ret, room, 0);
	CHECK(n >= 0);
	return (size_t)n;
}

static void check_round_trip(struct bytes args)
{
	_cleanup_free_ char *quoted = NULL, *back = malloc(args.size + 100);
	size_t size;

	CHECK(back);
	CHECK_INT(journal_quote(&quoted, &size, args), 0);
	CHECK(memchr(quoted, '\0', size) == NULL);
	CHECK(bytes_equal((struct bytes){ back, through_shell("sh", quoted, size, back, args.size + 100) }, args));
}

TEST(quoting_comes_back_from_a_shell)
{
	char all[2 * 255 + 256];
	size_t size = 0;

	for (int i = 1; i < 256; i++) {
		all[size++] = (char)i;
		all[size++] = '\0';
	}
	for (int i = 1; i < 256; i++)
		all[size++] = (char)i;
	all[size++] = '\0';
	check_round_trip((struct bytes){ all, size });
	check_round_trip(ARGS(""));
	check_round_trip(ARGS("a\0\0\0b"));
	check_round_trip(ARGS("'\0''\0'''\0'\\''\0\\'\0\"'\"\0it's\0 ' ' "));
	check_round_trip(ARGS("\n\0a\nb\n\0\r\n\0\\\0\\\\\0\\n\0a\\\nb"));
	check_round_trip(ARGS("$HOME\0${x}\0$(id)\0`id`\0$'a'\0*\0?\0[a-z]\0~\0~root\0!!\0#x\0a#b\0{a,b}"));
	check_round_trip(ARGS("A=b\0A=b\0;\0&\0|\0>x\0<x\0(\0)\0-n\0--\0%s\0a:b,c/d@e+f_g.h-i"));
	check_round_trip(ARGS("\xff\xfe\0\xc3\0é\0\x81\x88\0\x7f\0\x1b[31m"));
}

TEST(quoting_random_bytes_comes_back_from_a_shell)
{
	char args[6000];

	srand(3);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(args); i++)
			args[i] = rand() % 3 ? "'\\\" \n$a\0"[rand() % 8] : (char)rand();
		args[sizeof(args) - 1] = '\0';
		check_round_trip((struct bytes){ args, sizeof(args) });
	}
}

TEST(quoting_is_for_what_needs_it)
{
	_cleanup_free_ char *quoted = NULL;
	size_t size;

	CHECK_INT(journal_quote(&quoted, &size, ARGS("A=b\0A=b\0/x-1_2.3,4:5@6%7+8\0a b\0\0it's")), 0);
	CHECK_STR(quoted, "'A=b' A=b /x-1_2.3,4:5@6%7+8 'a b' '' 'it'\\''s'");
	CHECK_INT(size, strlen(quoted));
	free(quoted);
	CHECK_INT(journal_quote(&quoted, &size, BYTES("")), 0);
	CHECK_INT(size, 0);
}

/* Loss. */

static uint64_t number(const struct sent *entry, const char *name)
{
	const char *value = field(entry, name);

	CHECK(value != NULL);
	return strtoull(value, NULL, 10);
}

/* Entries and `lost` make up every number from first to last, each once and in order. Returns how many were lost. */
static uint64_t check_whole(uint64_t first, uint64_t last)
{
	uint64_t next = first, lost = 0;

	for (size_t i = 0; i < n_sent; i++) {
		if (strcmp(field(&sent[i], "EXECSNOOP_TYPE"), "lost") != 0) {
			CHECK_INT(number(&sent[i], "EXECSNOOP_SEQ"), next);
			next++;
			continue;
		}
		CHECK_STR(field(&sent[i], "EXECSNOOP_WHERE"), "journal");
		CHECK(!field(&sent[i], "EXECSNOOP_SEQ"));
		CHECK_INT(number(&sent[i], "EXECSNOOP_FIRST_SEQ"), next);
		next = number(&sent[i], "EXECSNOOP_LAST_SEQ") + 1;
		CHECK_INT(number(&sent[i], "EXECSNOOP_COUNT"), next - number(&sent[i], "EXECSNOOP_FIRST_SEQ"));
		lost += number(&sent[i], "EXECSNOOP_COUNT");
	}
	CHECK_INT(next, last + 1);
	return lost;
}

TEST(full_queue_drops_and_says_so_without_a_later_event)
{
	struct process process = curl();
	struct journal *journal = joined(20000);
	struct journal_stats stats;

	set_gate(true);
	for (int i = 0; i < 1000; i++) {
		struct event event = event_of(EVENT_STARTED, &process);

		write_event(journal, &event);
		flush(journal);
		if (i == 0)
			wait_until_inside();
	}
	journal_stats(journal, &stats);
	CHECK_INT(stats.written, 0);
	CHECK(stats.lost > 900 && stats.lost < 1000);
	CHECK(stats.queue <= 20000 && stats.queue > 15000);
	CHECK_INT(stats.queue, stats.queue_peak);
	set_gate(false);
	wait_for_sent(1000 - stats.lost + 1);
	CHECK_INT(check_whole(1, 1000), stats.lost);
	CHECK_STR(field(&sent[n_sent - 1], "EXECSNOOP_TYPE"), "lost");
	CHECK_STR(field(&sent[n_sent - 1], "PRIORITY"), "4");
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1000 - stats.lost + 1);
}

TEST(lost_comes_when_the_queue_is_half_empty)
{
	struct process process = curl();
	struct event event;
	struct journal *journal = joined(20000);
	struct journal_stats stats;
	size_t first;

	set_gate(true);
	for (int i = 0; i < 100; i++) {
		event = event_of(EVENT_STARTED, &process);
		write_event(journal, &event);
	}
	flush(journal);
	set_gate(false);
	wait_for_sent(2);
	journal_stats(journal, &stats);
	CHECK(stats.lost > 50);
	/* All that fitted, then the `lost`, then what comes now. */
	first = 100 - (size_t)stats.lost;
	wait_for_sent(first + 1);
	event = event_of(EVENT_STARTED, &process);
	write_event(journal, &event);
	flush(journal);
	wait_for_sent(first + 2);
	CHECK_STR(field(&sent[first], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(check_whole(1, 101), stats.lost);
	CHECK(journal_free(journal, 10000) == NULL);
}

TEST(every_event_is_there_or_counted_whatever_the_pace)
{
	enum { COUNT = 60000 };
	struct process process = curl();
	struct journal *journal = joined(60000);
	uint64_t lost;

	srand(4);
	for (int i = 0; i < COUNT; i++) {
		struct event event = event_of(EVENT_STARTED, &process);

		if (rand() % 300 == 0)
			set_gate(rand() % 2);
		if (rand() % 100 == 0)
			sched_yield();
		write_event(journal, &event);
		if (rand() % 20 == 0)
			flush(journal);
	}
	set_gate(false);
	CHECK(journal_free(journal, 20000) == NULL);
	lost = check_whole(1, COUNT);
	printf("# %zu entries, %" PRIu64 " events lost\n", n_sent, lost);
	CHECK(lost > 0 && lost < COUNT);
}

TEST(entry_larger_than_the_queue_is_taken_alone)
{
	static char args[100000];
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct journal *journal = joined(5000);

	memset(args, 'x', sizeof(args) - 1);
	process.image.args = (struct bytes){ args, sizeof(args) };
	set_gate(true);
	write_event(journal, &event);
	event = event_of(EVENT_STARTED, &process);
	write_event(journal, &event);
	set_gate(false);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[0], "EXECSNOOP_SEQ"), 1);
	CHECK_INT(check_whole(1, 2), 1);
}

static void refuse(unsigned times)
{
	pthread_mutex_lock(&lock);
	to_refuse = times;
	pthread_mutex_unlock(&lock);
}

TEST(refused_entry_is_tried_again)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct journal *journal = joined(1 << 20);
	struct journal_stats stats;

	refuse(2);
	write_event(journal, &event);
	flush(journal);
	wait_for_sent(1);
	CHECK_INT(n_calls, 3);
	journal_stats(journal, &stats);
	CHECK_INT(stats.lost, 0);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
}

TEST(refused_for_good_is_lost_and_said_at_its_place)
{
	struct process process = curl();
	struct journal *journal = joined(1 << 20);
	struct journal_stats stats;

	refuse(5); /* four times the first entry, once the `lost` */
	for (int i = 0; i < 3; i++) {
		struct event event = event_of(EVENT_STARTED, &process);

		write_event(journal, &event);
	}
	flush(journal);
	wait_for_sent(3);
	journal_stats(journal, &stats);
	CHECK_INT(stats.lost, 1);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 3);
	CHECK_STR(field(&sent[0], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(check_whole(1, 3), 1);
}

TEST(kernel_lost_is_an_entry_like_others)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct event lost = event_of(EVENT_LOST, NULL);
	struct journal *journal = joined(1 << 20);

	lost.lost.where = LOST_KERNEL;
	lost.lost.count = 9;
	write_event(journal, &event);
	write_event(journal, &lost);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_SEQ"), 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_COUNT"), 9);
}

/* The end. */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

TEST(free_writes_what_waits)
{
	struct process process = curl();
	struct journal *journal = joined(1 << 20);

	for (int i = 0; i < 100; i++) {
		struct event event = event_of(EVENT_STARTED, &process);

		write_event(journal, &event); /* and no flush */
	}
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 100);
	CHECK(journal_free(NULL, 0) == NULL);
}

TEST(free_leaves_a_blocked_sender)
{
	struct process process = curl();
	struct journal *journal = joined(1 << 20);
	uint64_t begin;

	set_gate(true);
	for (int i = 0; i < 100; i++) {
		struct event event = event_of(EVENT_STARTED, &process);

		write_event(journal, &event);
	}
	flush(journal);
	wait_until_inside();
	begin = now_ms();
	CHECK(journal_free(journal, 200) == NULL);
	CHECK(now_ms() - begin >= 200);
	CHECK(now_ms() - begin < 60000);
	/* Should it come back, it touches nothing that is gone, and sends no more. */
	set_gate(false);
	wait_for_sent(1);
	journal = joined(1 << 20);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
}

TEST(free_is_quick_where_journald_refuses_all)
{
	struct process process = curl();
	struct journal *journal = joined(1 << 20);
	uint64_t begin = now_ms();

	refuse(UINT32_MAX);
	for (int i = 0; i < 1000; i++) {
		struct event event = event_of(EVENT_STARTED, &process);

		write_event(journal, &event);
	}
	flush(journal);
	CHECK(journal_free(journal, 60000) == NULL);
	CHECK(now_ms() - begin < 60000);
	CHECK_INT(n_sent, 0);
}

TEST(thread_has_all_signals_blocked_and_the_caller_has_not)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	sigset_t mine;

	entry_of(&event);
	CHECK(sigismember(&mask_of_thread, SIGTERM) == 1 && sigismember(&mask_of_thread, SIGHUP) == 1);
	CHECK(sigismember(&mask_of_thread, SIGPIPE) == 1 && sigismember(&mask_of_thread, SIGUSR1) == 1);
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	CHECK(sigismember(&mine, SIGTERM) == 0);
}

/* What is written. */

static struct entry *add(uint32_t tgid, uint32_t ppid)
{
	struct process process = { .tgid = tgid,
				   .start = tgid,
				   .ppid = ppid,
				   .parent_start = ppid,
				   .comm = BYTES("x"),
				   .start_time = 1000000000,
				   .source = SOURCE_PROC };
	struct entry *entry;

	CHECK_INT(proctable_add(table, &entry, &process), 0);
	return entry;
}

static void write_exit(struct journal *journal, const struct entry *entry)
{
	struct event event = event_of(EVENT_EXITED, &entry->process);

	event.born = entry->born;
	event.announced = entry->announced;
	event.position = proctable_clock(table);
	write_event(journal, &event);
}

static void write_start(struct journal *journal, struct entry *entry)
{
	struct event event = event_of(EVENT_STARTED, &entry->process);

	entry->announced = proctable_clock(table);
	event.announced = entry->announced;
	write_event(journal, &event);
}

TEST(nothing_is_written_before_it_joined_and_no_live)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process), live = { .type = EVENT_LIVE };
	struct journal *journal = journal_with(1 << 20, false, NULL);

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	write_event(journal, &event);
	CHECK_INT(journal_join(journal, table), 0);
	write_event(journal, &live);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 0);
}

TEST(exited_only_of_processes_that_were_told_of)
{
	struct journal *journal = journal_with(1 << 20, false, NULL);
	struct entry *old, *told, *silent;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	old = add(1, 0);
	old->announced = proctable_clock(table);
	CHECK_INT(journal_join(journal, table), 0);
	told = add(2, 1);
	write_start(journal, told);
	silent = add(3, 1);
	write_exit(journal, old);
	write_exit(journal, silent);
	write_exit(journal, told);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_PID"), 2);
	CHECK_STR(field(&sent[1], "EXECSNOOP_TYPE"), "exited");
}

/* A crash, with a journald that stands still: the next one says what waited, and knows who was told of. */
TEST(after_a_crash_what_waited_is_said_to_be_lost)
{
	struct checkpoint_stream checkpoint = {}, left;
	struct journal_config config = {
		.queue = 1 << 20, .keys = KEYS_ALL, .send = fake_send, .checkpoint = &checkpoint
	};
	struct journal *journal, *dead;
	struct entry *before, *told, *silent;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(journal_new(&dead, &config), 0);
	CHECK_INT(journal_join(dead, table), 0);
	CHECK(checkpoint.joined && !checkpoint.had_snapshot && checkpoint.joined_ns > 0);
	set_gate(true);
	for (unsigned pid = 1; pid <= 10; pid++)
		write_start(dead, add(pid, 0));
	flush(dead);
	wait_until_inside();
	CHECK_INT(checkpoint.waiting, 10);
	left = checkpoint;
	CHECK(journal_free(dead, 0) == NULL);
	set_gate(false);
	wait_for_sent(1);
	table = proctable_free(table);
	/* One that had begun before the journal joined, one that called exec after it, and one that did not. */
	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	before = add(1, 0);
	before->process.execed = true;
	told = add(2, 1);
	told->process.start = left.joined_ns + 1;
	told->process.execed = true;
	silent = add(3, 1);
	silent->process.start = left.joined_ns + 1;
	config.checkpoint = NULL;
	CHECK_INT(journal_new(&journal, &config), 0);
	journal_resume(journal, table, &left);
	write_exit(journal, before);
	write_exit(journal, silent);
	write_exit(journal, told);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 3);
	CHECK_STR(field(&sent[1], "EXECSNOOP_TYPE"), "lost");
	CHECK_INT(number(&sent[1], "EXECSNOOP_COUNT"), 10);
	CHECK_INT(number(&sent[1], "EXECSNOOP_FIRST_SEQ"), left.first_seq);
	CHECK_INT(number(&sent[1], "EXECSNOOP_LAST_SEQ"), left.first_seq + 9);
	CHECK_INT(number(&sent[2], "EXECSNOOP_PID"), 2);
}

TEST(snapshot_is_whole_whatever_the_queue)
{
	enum { COUNT = 500 };
	struct journal *journal = journal_with(5000, true, NULL);
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct entry *first;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	first = add(1, 0);
	for (uint32_t i = 2; i <= COUNT; i++)
		add(i, 1);
	set_gate(true);
	CHECK_INT(journal_join(journal, table), 0);
	wait_until_inside();
	write_event(journal, &event);
	write_exit(journal, first);
	set_gate(false);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, COUNT + 2);
	for (uint32_t i = 0; i < COUNT; i++) {
		CHECK_INT(number(&sent[i], "EXECSNOOP_PID"), i + 1);
		CHECK_STR(field(&sent[i], "EXECSNOOP_SNAPSHOT"), "true");
		CHECK(!field(&sent[i], "EXECSNOOP_SEQ"));
	}
	CHECK(!field(&sent[COUNT], "EXECSNOOP_SNAPSHOT"));
	CHECK_STR(field(&sent[COUNT + 1], "EXECSNOOP_TYPE"), "exited");
}

static struct filter *filter_of(enum filter_key key, const char *entry)
{
	struct filter *filter = NULL;
	const char *reason;

	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, key, bytes_of(entry), &reason), 0);
	return filter;
}

TEST(filter_is_obeyed_and_follows_its_tree)
{
	struct journal *journal = journal_with(1 << 20, true, filter_of(FILTER_TREE, "2"));
	struct sink *sink = journal_sink(journal);
	struct entry *child, *grandchild;

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	add(1, 0);
	add(2, 1);
	child = add(3, 2);
	CHECK_INT(journal_join(journal, table), 0);
	grandchild = add(4, 3);
	sink->ops->fork(sink, &grandchild->process);
	write_exit(journal, child);
	sink->ops->exit(sink, &child->process);
	write_start(journal, grandchild);
	write_start(journal, add(5, 1));
	/* A reload, which finds the tree in the table. */
	journal_configure(journal, KEYS_ALL, filter_of(FILTER_TREE, "1"));
	write_start(journal, add(6, 5));
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 5);
	CHECK_INT(number(&sent[0], "EXECSNOOP_PID"), 2);
	CHECK_INT(number(&sent[1], "EXECSNOOP_PID"), 3);
	CHECK_STR(field(&sent[2], "EXECSNOOP_TYPE"), "exited");
	CHECK_INT(number(&sent[3], "EXECSNOOP_PID"), 4);
	CHECK_INT(number(&sent[4], "EXECSNOOP_PID"), 6);
}

/* With sd_journal_sendv: a /run of our own, with and without a socket in it. */

static bool write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Without privilege: as root of a user namespace, whose ids must be mapped or no file can be made. */
static bool own_users(void)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %u 1", (unsigned)getuid());
	snprintf(gids, sizeof(gids), "0 %u 1", (unsigned)getgid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", uids) && write_file("/proc/self/gid_map", gids);
}

static bool own_run(void)
{
	return (unshare(CLONE_NEWNS) == 0 || own_users()) &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/run", "tmpfs", 0, "mode=0777") == 0;
}

static struct journal *real_journal(void)
{
	struct journal_config config = { .queue = 32 << 20, .keys = KEYS_ALL };
	struct journal *journal = NULL;

	if (!table)
		CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(journal_new(&journal, &config), 0);
	CHECK_INT(journal_join(journal, table), 0);
	return journal;
}

TEST(without_journald_entries_are_lost_and_not_silently)
{
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct journal_stats stats = { 0 };
	struct journal *journal;

	if (!own_run()) {
		printf("# skipped: no mount namespace\n");
		return;
	}
	tap_limit(30);
	journal = real_journal();
	write_event(journal, &event);
	flush(journal);
	while (stats.lost == 0) {
		usleep(1000);
		journal_stats(journal, &stats);
	}
	CHECK_INT(stats.lost, 1);
	CHECK_INT(stats.written, 0);
	CHECK(journal_free(journal, 10000) == NULL);
}

/* One datagram, or the memfd that came instead of it: journald's native protocol. */
static size_t receive(int fd, char **ret)
{
	static char data[16 << 20], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(fd, &message, 0);
	int file;
	off_t size;

	CHECK(n >= 0);
	*ret = data;
	if (n > 0)
		return (size_t)n;
	CHECK(CMSG_FIRSTHDR(&message) != NULL);
	memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(file));
	size = lseek(file, 0, SEEK_END);
	*ret = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, file, 0);
	CHECK(*ret != MAP_FAILED);
	return (size_t)size;
}

TEST(journald_gets_the_entries)
{
	static char args[5000000];
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct process process = curl();
	struct event event = event_of(EVENT_STARTED, &process);
	struct journal_stats stats;
	struct journal *journal;
	char *data;
	size_t size;

	if (!own_run()) {
		printf("# skipped: no mount namespace\n");
		return;
	}
	tap_limit(30);
	CHECK(mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/journal", 0755) == 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	journal = real_journal();
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_EXE=/usr/bin/curl\n", 28) != NULL);
	CHECK(memmem(data, size, "SYSLOG_IDENTIFIER=execsnoopd\n", 29) != NULL);
	CHECK(memmem(data, size, "MESSAGE_ID=" MESSAGE_ID_STARTED "\n", 44) != NULL);
	/* Bytes that the line protocol could not carry. */
	process.comm = BYTES("a\nb\xff");
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_COMM\n\4\0\0\0\0\0\0\0a\nb\xff\n", 28) != NULL);
	/* Larger than a datagram may be. */
	memset(args, 'x', sizeof(args) - 1);
	process.image.args = (struct bytes){ args, sizeof(args) };
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(size > 2 * sizeof(args));
	CHECK(memmem(data, size, args, sizeof(args) - 1) != NULL);
	/* As many fields as it ever has. */
	process.image.args = process.ancestors = process.image.env = many("a\n");
	write_event(journal, &event);
	flush(journal);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_ENV\n\2\0\0\0\0\0\0\0a\n\n", 25) != NULL);
	/* journald dies and leaves its socket. */
	close(fd);
	write_event(journal, &event);
	CHECK(journal_free(TAKE_PTR(journal), 20000) == NULL);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unlink(address.sun_path);
	journal = real_journal();
	write_event(journal, &event);
	flush(journal);
	do {
		usleep(1000);
		journal_stats(journal, &stats);
	} while (stats.lost == 0);
	/* It comes back: first is told what was lost, with no event in between. */
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	size = receive(fd, &data);
	CHECK(memmem(data, size, "EXECSNOOP_TYPE=lost\n", 20) != NULL);
	CHECK(memmem(data, size, "EXECSNOOP_COUNT=1\n", 18) != NULL);
	CHECK(journal_free(journal, 10000) == NULL);
	close(fd);
}

/* As an archive may have it: fields, and none of their bytes. */
TEST(entry_of_empty_fields_is_read)
{
	_cleanup_(archive_free_p) struct archive *a = NULL, *reading = NULL;
	struct journal_entry *entry = NULL;
	_cleanup_close_ int fd = -1;
	size_t n = 2, ends[2] = { 0, 0 };
	struct bytes none = BYTES_NONE;
	bool no = false;
	struct loss loss = { 0 };

	CHECK_INT(archive_new(&a), 0);
	archive_count(a, &n, 10);
	archive_raw(a, ends, sizeof(ends));
	archive_bytes(a, &none);
	ARCHIVE(a, loss);
	archive_flag(a, &no);
	archive_flag(a, &no);
	CHECK_INT(archive_seal(a, &fd), 0);
	CHECK_INT(archive_open(&reading, fd), 0);
	CHECK_INT(journal_entry_archive(&entry, reading), 0);
	CHECK_INT(entry->n, 2);
	CHECK_INT(entry->fields[1].iov_len, 0);
	free(entry);
}

TEST(catalog_explains_every_message_id)
{
	static const char *const ids[] = { MESSAGE_ID_STARTED, MESSAGE_ID_EXITED, MESSAGE_ID_ERROR, MESSAGE_ID_FORKED,
					   MESSAGE_ID_LOST };
	const char *top = getenv("top_srcdir");
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	char path[4096];
	bool seen[5] = { false }, subject = true;
	size_t room = 0, n = 0;

	snprintf(path, sizeof(path), "%s/systemd/execsnoopd.catalog", top ? top : ".");
	f = fopen(path, "re");
	CHECK(f != NULL);
	while (getline(&line, &room, f) > 0) {
		if (strncmp(line, "Subject: ", 9) == 0)
			subject = true;
		/* Fields that it names are fields that there are. */
		for (const char *p = line; (p = strstr(p, "@EXECSNOOP_")); p++) {
			char name[64] = "";
			enum key key;

			p += strlen("@EXECSNOOP_");
			CHECK(strchr(p, '@') && strchr(p, '@') - p < 60);
			for (size_t i = 0; p[i] != '@'; i++)
				name[i] = (char)tolower((unsigned char)p[i]);
			CHECK(key_by_name(bytes_of(name), &key));
			CHECK(!key_has_raw(key));
			p = strchr(p, '@');
		}
		if (strncmp(line, "-- ", 3) != 0)
			continue;
		CHECK(subject);
		subject = false;
		CHECK_INT(strlen(line), 3 + 32 + 1);
		for (size_t i = 0; i < 5; i++) {
			if (strncmp(line + 3, ids[i], 32) == 0) {
				CHECK(!seen[i]);
				seen[i] = true;
				n++;
			}
		}
	}
	CHECK(subject);
	CHECK_INT(n, 5);
}

TAP_MAIN
