/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <signal.h>

#include "fake_journald.h"
#include "output/journal_entry.h"
#include "output/message_id.h"
#include "tap.h"
#include "util/cleanup.h"
#include "util/utf8.h"

static struct process process;
static struct event event;

static void begin(void)
{
	process = curl();
	event = event_of(EVENT_STARTED, &process);
}
SETUP(begin)

TEST(entry_of_started_has_all_fields)
{
	const struct sent *entry;

	process.net_ns = 4026531833;
	process.sid = 15785;
	process.session_start = 9;
	process.image.exe_upper = process.image.exe_ctime_known = true;
	process.image.exe_ctime = 1;
	process.image.pod_uid = BYTES("7ea");
	entry = entry_of(&event);
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
	CHECK_STR(field(entry, "EXECSNOOP_NET_NS"), "4026531833");
	CHECK_STR(field(entry, "EXECSNOOP_EXE_UPPER"), "true");
	CHECK_STR(field(entry, "EXECSNOOP_EXE_CTIME"), "1970-01-01T00:00:00.000000001Z");
	CHECK_STR(field(entry, "EXECSNOOP_POD_UID"), "7ea");
	CHECK_STR(field(entry, "EXECSNOOP_SESSION_LEADER_ID"), "0000000000000000-15785-9");
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

TEST(entry_has_keys_on_request)
{
	struct extras extras = {
		.made = KEYS_EVERY,
		.host = BYTES("h"),
		.user = BYTES("\xff"),
		.parent_exe = BYTES("/p\n"),
		.parent_args = BYTES("p\0a b\0"),
	};
	const struct sent *entry;

	event.extras = &extras;
	entry = entry_of(&event);
	CHECK(!field(entry, "EXECSNOOP_HOST") && !field(entry, "EXECSNOOP_PARENT_ARGS"));
	entry = entry_of_keys(&event, KEYS_EVERY);
	CHECK_STR(field(entry, "EXECSNOOP_HOST"), "h");
	CHECK_STR(field(entry, "EXECSNOOP_USER"), "\xff");
	CHECK(!field(entry, "EXECSNOOP_GROUP"));
	CHECK_STR(field(entry, "EXECSNOOP_PARENT_EXE"), "/p\n");
	CHECK_STR(field(entry, "EXECSNOOP_PARENT_ARGS"), "p 'a b'");
	CHECK_INT(count(entry, "EXECSNOOP_ARG"), 3);
	CHECK_INT(count(entry, "EXECSNOOP_ANCESTOR"), 3);
}

TEST(entry_of_exited_has_the_status)
{
	const struct sent *entry;

	event.type = EVENT_EXITED;
	event.end.running_ns = 1234567890;
	event.end.status_known = true;
	event.end.status = 1 << 8;
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] exited with status 1 after 1.234 s");
	CHECK_STR(field(entry, "MESSAGE_ID"), MESSAGE_ID_EXITED);
	CHECK_STR(field(entry, "PRIORITY"), "6");
	CHECK_STR(field(entry, "EXECSNOOP_RESULT"), "exit-code");
	CHECK_STR(field(entry, "EXECSNOOP_EXIT_CODE"), "1");
	CHECK_STR(field(entry, "EXECSNOOP_RUNNING_TIME_NS"), "1234567890");
	CHECK_STR(field(entry, "EXECSNOOP_ARGS"), "curl -O https://x.y/z");
	event.end.status = SIGKILL | 0x80;
	event.end.running_ns = 7005000000;
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] was killed by SIGKILL (core dumped) after 7.005 s");
	CHECK_STR(field(entry, "EXECSNOOP_RESULT"), "core-dump");
	CHECK_STR(field(entry, "EXECSNOOP_EXIT_SIGNAL"), "SIGKILL");
	CHECK_STR(field(entry, "EXECSNOOP_CORE_DUMPED"), "true");
	event.end.status_known = false;
	entry = entry_of(&event);
	CHECK_STR(field(entry, "MESSAGE"), "curl[22022] is gone after 7.005 s");
	CHECK(!field(entry, "EXECSNOOP_EXIT_CODE") && !field(entry, "EXECSNOOP_EXIT_SIGNAL") &&
	      !field(entry, "EXECSNOOP_RESULT"));
}

TEST(entry_of_error_has_its_number_and_priority)
{
	const struct sent *entry;

	event.type = EVENT_ERROR;
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

TEST(entries_of_lost_and_forked_have_their_fields)
{
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

TEST(entry_has_the_chosen_keys)
{
	struct journal *journal = joined(1 << 20);

	journal_configure(journal, KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID), false, NULL);
	write_event(journal, &event);
	CHECK(journal_free(journal, 10000) == NULL);
	CHECK_INT(n_sent, 1);
	CHECK_STR(field(&sent[0], "EXECSNOOP_PID"), "22022");
	CHECK(!field(&sent[0], "EXECSNOOP_ARGS") && !field(&sent[0], "EXECSNOOP_ARG"));
	CHECK(field(&sent[0], "MESSAGE") != NULL);
}

TEST(entry_has_exact_bytes)
{
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

TEST(entry_stays_within_the_limits_of_journald)
{
	const struct sent *entry;
	size_t size;

	event.type = EVENT_EXITED;
	process.image.args = process.ancestors = process.image.env = many("**");
	entry = entry_of(&event);
	CHECK(entry->n < 1024 && iovecs(entry) <= 1024);
	CHECK_INT(count(entry, "EXECSNOOP_ARG"), 100);
	CHECK_INT(count(entry, "EXECSNOOP_ANCESTOR"), 100);
	CHECK(count(entry, "EXECSNOOP_ENV") > 200);
	CHECK(nth(entry, "EXECSNOOP_ARGS", 0, &size) != NULL);
	CHECK_INT(size, MANY * 5 - 1);
}

TEST(entry_with_newlines_stays_within_the_limits)
{
	const struct sent *entry;
	struct bytes n = BYTES("\n");

	event.type = EVENT_EXITED;
	process.ids_known = process.image.args_truncated = process.kernel_thread = true;
	process.image.exe_deleted = process.image.exe_memfd = process.image.secureexec = true;
	process.loginuid = process.session_id = process.sid = process.pgid = process.tty_major = 4;
	process.pid_ns = process.ns_pid = process.mnt_ns = process.net_ns = process.user_ns = process.uts_ns = 1;
	process.ipc_ns = process.cgroup_ns = process.time_ns = process.session_start = 1;
	process.image.exe_upper = process.image.exe_ctime_known = true;
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
	CHECK(count(entry, "EXECSNOOP_ENV") >= 20);
	process.image.env = many("ab");
	CHECK(count(entry_of(&event), "EXECSNOOP_ENV") >= 50);
}

/* As an archive may have it: fields, and none of their bytes. */
TEST(entry_with_empty_fields_is_read_from_an_archive)
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
	static const char *const ids[] = { MESSAGE_ID_STARTED, MESSAGE_ID_EXITED, MESSAGE_ID_ERROR,
					   MESSAGE_ID_FORKED,  MESSAGE_ID_LOST,	  MESSAGE_ID_MARK };
	const char *top = getenv("top_srcdir");
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	char path[4096];
	bool seen[6] = { false }, subject = true;
	size_t capacity = 0, n = 0;

	snprintf(path, sizeof(path), "%s/systemd/execsnoopd.catalog", top ? top : ".");
	f = fopen(path, "re");
	CHECK(f != NULL);
	while (getline(&line, &capacity, f) > 0) {
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
		for (size_t i = 0; i < 6; i++) {
			if (strncmp(line + 3, ids[i], 32) == 0) {
				CHECK(!seen[i]);
				seen[i] = true;
				n++;
			}
		}
	}
	CHECK(subject);
	CHECK_INT(n, 6);
}

static const char *message_of(size_t size)
{
	static char text[4096];

	memset(text, '#', sizeof(text));
	journal_message(text, size, &event);
	CHECK(strlen(text) < size);
	CHECK(text[size] == '#');
	CHECK_INT(utf8_valid(text, strlen(text)), strlen(text));
	return text;
}

TEST(long_message_is_cut_between_characters)
{
	static char args[10000];
	const char *text;

	memset(args, 'x', sizeof(args) - 1);
	process.image.args = (struct bytes){ args, sizeof(args) };
	text = message_of(2048);
	CHECK_INT(strlen(text), 2047);
	CHECK_STR(text + 2040, "xxxx…");
	/* Never within a character or an escape. */
	for (size_t i = 0; i + 3 < sizeof(args); i += 3)
		memcpy(args + i, "€", 3);
	message_of(2048);
	memset(args, '\n', sizeof(args) - 1);
	text = message_of(2048);
	CHECK(strcmp(text + strlen(text) - 5, "\\n…") == 0);
	process.image.args = ARGS("€\xff\x01\"'\\");
	for (size_t size = 1; size < 100; size++)
		message_of(size);
	CHECK_STR(message_of(100), "curl[22022] started by bash[15785]: $'€\\xff\\x01\"\\x27\\\\'");
}

TEST(message_has_no_terminal_controls)
{
	char every[257];
	const char *text;

	for (int i = 0; i < 256; i++)
		every[i] = (char)(i + 1);
	process.image.args = (struct bytes){ every, 256 };
	text = message_of(4000);
	for (const char *p = text; *p; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
	/* C1 controls, a line separator, a right-to-left override; what is plain text stays. */
	process.image.args = ARGS("a\xc2\x9b"
				  "1m\0\xe2\x80\xa8\0\xe2\x80\xae\0é€😀\0a b\0it's\0$x\0~\0#");
	CHECK_STR(message_of(2048),
		  "curl[22022] started by bash[15785]: $'a\\xc2\\x9b1m' $'\\xe2\\x80\\xa8' $'\\xe2\\x80\\xae' "
		  "é€😀 'a b' 'it'\\''s' '$x' '~' '#'");
}

/* The same set as in JSON (utf8.h). */
TEST(message_escapes_the_same_characters_as_json)
{
	process.image.args = ARGS("\xd8\x9c\0\xe2\x81\xaf\0\x7f\0\xc2\x85");
	CHECK_STR(field(entry_of(&event), "MESSAGE"),
		  "curl[22022] started by bash[15785]: $'\\xd8\\x9c' $'\\xe2\\x81\\xaf' $'\\x7f' $'\\xc2\\x85'");
}

TEST(message_has_what_is_known)
{
	process.ppid = 0;
	process.parent_comm = BYTES_NONE;
	CHECK_STR(message_of(2048), "curl[22022] started: curl -O https://x.y/z");
	process.image.args = BYTES_NONE;
	CHECK_STR(message_of(2048), "curl[22022] started: /usr/bin/curl");
	event.source = SOURCE_PROC;
	CHECK_STR(message_of(2048), "curl[22022] was already running: /usr/bin/curl");
	event.source = SOURCE_RESYNC;
	CHECK_STR(message_of(2048), "curl[22022] was found running: /usr/bin/curl");
	event.source = SOURCE_PROBE;
	event.snapshot = true;
	process.comm = BYTES("kthreadd");
	process.kernel_thread = true;
	CHECK_STR(message_of(2048), "kthreadd[22022] is running (kernel thread)");
	event = (struct event){ .type = EVENT_LOST, .lost = { LOST_JOURNAL, 1, 7, 7 } };
	CHECK_STR(message_of(2048), "lost 1 event (journal), from number 7 to 7");
}

TAP_MAIN
