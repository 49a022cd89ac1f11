/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_journald.h"
#include "output/journal_entry.h"
#include "tap.h"
#include "util/utf8.h"

static struct process process;
static struct event event;

static void begin(void)
{
	process = curl();
	event = event_of(EVENT_STARTED, &process);
}
SETUP(begin)

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
