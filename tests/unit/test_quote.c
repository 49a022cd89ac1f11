/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/mman.h>

#include "tap.h"
#include "util/cleanup.h"
#include "util/quote.h"

#define ARGS(literal) ((struct bytes){ (literal), sizeof(literal) }) /* its last NUL is the last argument's */

static char *quoted(struct bytes args, size_t *ret_size)
{
	char *text = malloc(quote_args_size(args) + 1);

	CHECK(text);
	*ret_size = quote_args_size(args);
	*quote_args(text, args) = '\0';
	return text;
}

/* What a shell makes of "printf '%s\0' QUOTED". */
static size_t through_shell(const char *quoted, size_t size, char *ret, size_t room)
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
		execlp("sh", "sh", path, (char *)NULL);
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
	size_t size;
	_cleanup_free_ char *text = quoted(args, &size), *back = malloc(args.size + 100);

	CHECK(back);
	CHECK(memchr(text, '\0', size) == NULL);
	CHECK(bytes_equal((struct bytes){ back, through_shell(text, size, back, args.size + 100) }, args));
}

TEST(shell_reads_quoted_arguments_back)
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

TEST(shell_reads_quoted_random_bytes_back)
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

TEST(only_what_needs_quotes_is_quoted)
{
	size_t size;
	_cleanup_free_ char *text = quoted(ARGS("A=b\0A=b\0/x-1_2.3,4:5@6%7+8\0a b\0\0it's"), &size), *none = NULL;

	CHECK_STR(text, "'A=b' A=b /x-1_2.3,4:5@6%7+8 'a b' '' 'it'\\''s'");
	CHECK_INT(size, strlen(text));
	none = quoted(BYTES(""), &size);
	CHECK_INT(size, 0);
}

TAP_MAIN
