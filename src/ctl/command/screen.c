/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control sequences: console_codes(4), and ctlseqs of xterm for the alternate screen (1049). */
#include "ctl/command/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "util/bytebuf.h"
#include "util/cleanup.h"

/* The alternate screen, without a cursor, and without a second line for what is too long; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

static struct termios saved;
static bool is_entered;
static int signal_fd = -1;

static int write_all(const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Only calls that signal-safety(7) allows. */
static void leave(void)
{
	if (!is_entered)
		return;
	is_entered = false;
	write_all(LEAVE, sizeof(LEAVE) - 1);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

static int enter(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return -errno;
	raw = saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	is_entered = true;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return -errno;
	return write_all(ENTER, sizeof(ENTER) - 1);
}

static void on_fault(int number)
{
	leave();
	signal(number, SIG_DFL);
	raise(number);
}

int screen_open(void)
{
	static const int handled[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH },
			 faults[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	sigset_t set;
	int r;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaddset(&set, handled[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		signal(faults[i], on_fault);
	r = enter();
	if (r < 0)
		screen_close();
	return r;
}

void screen_close(void)
{
	leave();
	if (signal_fd >= 0)
		close(signal_fd);
	signal_fd = -1;
}

static int take_signal(void)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return SCREEN_NOTHING;
	if (info.ssi_signo == SIGTSTP) {
		leave();
		raise(SIGSTOP);
		return enter() < 0 ? SCREEN_ENDED : SCREEN_RESIZED;
	}
	return info.ssi_signo == SIGWINCH ? SCREEN_RESIZED : SCREEN_ENDED;
}

/* The sequences of other keys, arrows and the like, are nothing. */
static int take_key(void)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, 1);

	if (n <= 0)
		return n < 0 && errno == EINTR ? SCREEN_NOTHING : SCREEN_ENDED;
	if (keys[0] == '\033') {
		struct pollfd more = { .fd = STDIN_FILENO, .events = POLLIN };

		/* Escape alone is a key. */
		if (poll(&more, 1, 0) == 0)
			return '\033';
		n = read(STDIN_FILENO, keys, sizeof(keys));
		return SCREEN_NOTHING;
	}
	return (unsigned char)keys[0];
}

int screen_wait(int fd, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = signal_fd, .events = POLLIN },
				{ .fd = STDIN_FILENO, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };

	if (poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms) <= 0)
		return SCREEN_NOTHING;
	if (fds[0].revents)
		return take_signal();
	return fds[1].revents ? take_key() : SCREEN_NOTHING;
}

void screen_size(unsigned *ret_width, unsigned *ret_lines)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){ .ws_col = 80, .ws_row = 24 };
	*ret_width = size.ws_col;
	*ret_lines = size.ws_row;
}

/* Each line is cleared after its text, and the screen below the last one: what was there before does not flicker. */
int screen_draw(const char *text, size_t size)
{
	_cleanup_(bytebuf_free) struct bytebuf out = { 0 };
	const char *end = text + size, *newline;
	int r;

	r = bytebuf_reserve(&out, 6 * size + 64);
	if (r < 0)
		return r;
	bytebuf_put(&out, "\033[H", 3);
	while ((newline = memchr(text, '\n', (size_t)(end - text)))) {
		bytebuf_put(&out, text, (size_t)(newline - text));
		bytebuf_put(&out, "\033[K", 3);
		text = newline + 1;
		if (text < end)
			bytebuf_put(&out, "\r\n", 2);
	}
	bytebuf_put(&out, "\033[J", 3);
	return write_all(out.data, out.size);
}
