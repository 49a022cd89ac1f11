/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/text/terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#define WIDTH_DEFAULT 80

static pid_t pager_pid;

static bool is_true(const char *text)
{
	return strcmp(text, "1") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "y") == 0 ||
	       strcmp(text, "true") == 0 || strcmp(text, "t") == 0 || strcmp(text, "on") == 0;
}

static bool is_false(const char *text)
{
	return strcmp(text, "0") == 0 || strcmp(text, "no") == 0 || strcmp(text, "n") == 0 ||
	       strcmp(text, "false") == 0 || strcmp(text, "f") == 0 || strcmp(text, "off") == 0;
}

/* systemd(1), SYSTEMD_COLORS: a boolean, or "16" and "256" for colours. no-color.org: set and not empty. */
static bool wants_colors(enum color_mode mode, bool is_terminal)
{
	const char *value;

	if (mode != COLOR_AUTO)
		return mode == COLOR_ALWAYS;
	value = getenv("SYSTEMD_COLORS");
	if (value && is_false(value))
		return false;
	if (value && (is_true(value) || strcmp(value, "16") == 0 || strcmp(value, "256") == 0))
		return true;
	value = getenv("NO_COLOR");
	if (value && *value)
		return false;
	value = getenv("TERM");
	return is_terminal && value && strcmp(value, "dumb") != 0;
}

static unsigned find_width(int fd, bool is_terminal)
{
	const char *value = getenv("COLUMNS");
	struct winsize size;
	long width = value ? strtol(value, NULL, 10) : 0;

	if (width > 0 && width < 10000)
		return (unsigned)width;
	if (!is_terminal)
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return WIDTH_DEFAULT;
}

static const char *pager_command(void)
{
	const char *value = getenv("SYSTEMD_PAGER");

	if (!value)
		value = getenv("PAGER");
	return value;
}

static void run_pager(const char *command)
{
	/* As systemd's, so that keys and colours are those of journalctl(1). */
	const char *less = getenv("SYSTEMD_LESS");

	signal(SIGPIPE, SIG_DFL);
	setenv("LESS", less ? less : "FRSXMK", 1);
	if (getenv("SUDO_USER"))
		setenv("LESSSECURE", "1", 1);
	if (command)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	execlp("less", "less", (char *)NULL);
	execlp("more", "more", (char *)NULL);
	execlp("cat", "cat", (char *)NULL);
	_exit(EXIT_FAILURE);
}

/* Whether standard output is a pager's from now on. */
static bool start_pager(void)
{
	const char *command = pager_command();
	int ends[2];

	if (command && (*command == '\0' || strcmp(command, "cat") == 0))
		return false;
	if (pipe(ends) < 0)
		return false;
	fflush(stdout);
	pager_pid = fork();
	if (pager_pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
		close(ends[1]);
		run_pager(command);
	}
	close(ends[0]);
	if (pager_pid > 0)
		dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	/* ^C is the pager's; it ends us by closing the pipe. */
	if (pager_pid > 0)
		signal(SIGINT, SIG_IGN);
	return pager_pid > 0;
}

void terminal_open(struct terminal *terminal, enum color_mode mode, bool pager, bool full)
{
	bool is_terminal = isatty(STDOUT_FILENO);

	setlocale(LC_CTYPE, "");
	*terminal = (struct terminal){
		.out = stdout,
		.is_terminal = is_terminal,
		.width = full ? 0 : find_width(STDOUT_FILENO, is_terminal),
		.colors = wants_colors(mode, is_terminal),
		.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
	};
	terminal->is_resizable = is_terminal && !full && !getenv("COLUMNS");
	signal(SIGPIPE, SIG_IGN);
	terminal->scrolls = pager && is_terminal && start_pager();
	if (terminal->scrolls)
		terminal->is_resizable = false;
}

void terminal_resize(struct terminal *terminal)
{
	if (terminal->is_resizable)
		terminal->width = find_width(STDOUT_FILENO, true);
}

void terminal_open_error(struct terminal *terminal, enum color_mode mode, bool full)
{
	bool is_terminal = isatty(STDERR_FILENO);

	setlocale(LC_CTYPE, "");
	*terminal = (struct terminal){
		.out = stderr,
		.is_terminal = is_terminal,
		.width = full ? 0 : find_width(STDERR_FILENO, is_terminal),
		.colors = wants_colors(mode, is_terminal),
		.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
	};
}

/* Where nothing is left to be flushed after an error, the last call failed that wrote: errno is of that. */
int file_flush(FILE *file)
{
	int error = errno;

	if (fflush(file) != 0)
		return -errno;
	return !ferror(file) ? 0 : error > 0 ? -error : -EIO;
}

int terminal_flush(struct terminal *terminal)
{
	if (terminal->error == 0)
		terminal->error = file_flush(terminal->out);
	return terminal->error;
}

int terminal_close(struct terminal *terminal)
{
	int r = terminal_flush(terminal);

	if (pager_pid > 0) {
		close(STDOUT_FILENO);
		while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
			;
		pager_pid = 0;
	}
	if (r == -EPIPE)
		return 0;
	if (r < 0)
		fprintf(stderr, "execsnoopctl: standard output: %s\n", strerror(-r));
	return r;
}

void terminal_color(const struct terminal *terminal, enum color color)
{
	static const char *const codes[] = {
		[COLOR_NONE] = "\033[0m",     [COLOR_RED] = "\033[0;31m",	 [COLOR_YELLOW] = "\033[0;33m",
		[COLOR_GREEN] = "\033[0;32m", [COLOR_GREY] = "\033[0;38;5;245m", [COLOR_BOLD] = "\033[0;1m",
	};

	if (terminal->colors)
		fputs(codes[color], terminal->out);
}

/* One character of safe text: its bytes, and its columns. */
static size_t step(const struct terminal *terminal, const char *text, size_t *ret_columns)
{
	unsigned char c = (unsigned char)*text;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	wchar_t wide;
	int columns;

	if (n == 1) {
		*ret_columns = 1;
		return 1;
	}
	if (!terminal->utf8) {
		*ret_columns = 4 * n;
		return n;
	}
	columns = mbtowc(&wide, text, n) == (int)n ? wcwidth(wide) : -1;
	*ret_columns = columns < 0 ? 1 : (size_t)columns;
	return n;
}

size_t terminal_columns(const struct terminal *terminal, const char *text)
{
	size_t sum = 0, columns;

	while (*text) {
		text += step(terminal, text, &columns);
		sum += columns;
	}
	return sum;
}

static void put_character(const struct terminal *terminal, const char *text, size_t size)
{
	if (size == 1 || terminal->utf8) {
		fwrite(text, 1, size, terminal->out);
		return;
	}
	for (size_t i = 0; i < size; i++)
		fprintf(terminal->out, "\\x%02x", (unsigned char)text[i]);
}

size_t terminal_put(const struct terminal *terminal, const char *text, size_t most)
{
	const char *ellipsis = terminal->utf8 ? "…" : "...";
	size_t dots = terminal->utf8 ? 1 : 3;
	bool cut = most > 0 && terminal_columns(terminal, text) > most;
	size_t limit = !cut ? SIZE_MAX : most > dots ? most - dots : 0, used = 0;

	while (*text) {
		size_t columns, size = step(terminal, text, &columns);

		if (used + columns > limit)
			break;
		put_character(terminal, text, size);
		used += columns;
		text += size;
	}
	if (cut && dots <= most) {
		fputs(ellipsis, terminal->out);
		used += dots;
	}
	return used;
}

void terminal_cell(const struct terminal *terminal, const char *text, size_t width, bool right)
{
	size_t columns = terminal_columns(terminal, text), used;

	if (right && columns < width)
		fprintf(terminal->out, "%*s", (int)(width - columns), "");
	/* A number that is cut is another number. */
	used = terminal_put(terminal, text, right ? 0 : width);
	if (!right && used < width)
		fprintf(terminal->out, "%*s", (int)(width - used), "");
}
