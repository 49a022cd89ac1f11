/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/text/event_text.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/nulstr.h"

#define USERS_MAX 64

void text_command(struct text *text, const struct process *process)
{
	const struct image *image = &process->image;

	if (image->args.size > 0) {
		text_args(text, image->args);
		if (image->args_truncated)
			text_string(text, " ...");
	} else if (image->exe.size > 0) {
		text_name(text, image->exe);
	} else if (process->comm.size > 0) {
		text_string(text, "[");
		text_name(text, process->comm);
		text_string(text, "]");
	}
}

void text_failed_command(struct text *text, const struct process *process)
{
	const struct bytes args = process->image.args, file = process->image.filename;
	struct bytes arg;
	size_t at = 0;

	if (file.size == 0 || !nulstr_next(args, &at, &arg)) {
		text_command(text, process);
		return;
	}
	text_arg(text, file, true);
	while (!text->cut && nulstr_next(args, &at, &arg)) {
		text_string(text, " ");
		text_arg(text, arg, false);
	}
	if (process->image.args_truncated)
		text_string(text, " ...");
}

int put_sh(FILE *out, struct bytes cwd, const struct image *image, bool *guarded)
{
	/* Each byte is four at most, and the quotes of an argument are no more than those of its NUL. */
	size_t size = 4 * (image->args.size + cwd.size) + 64;
	_cleanup_free_ char *line = malloc(size), *folder = strndup(cwd.size > 0 ? cwd.data : "", cwd.size);
	struct text text;

	if (!line || !folder)
		return -ENOMEM;
	text_begin(&text, line, size);
	if (image->args_truncated)
		text_string(&text, "# not all arguments: ");
	if (cwd.size > 0) {
		text_string(&text, "cd ");
		text_args(&text, (struct bytes){ folder, cwd.size + 1 });
		text_string(&text, " && ");
	}
	text_args(&text, image->args);
	if (!*guarded && strstr(line, "$'")) {
		fputs("[ $'\\x41' = A ] || { echo \"this shell has no \\$'...'\" >&2; exit 1; }\n", out);
		*guarded = true;
	}
	fprintf(out, "%s\n", line);
	return 0;
}

/* getpwuid(3) may read a file each time; most events are of few users. */
void text_user(struct text *text, uint32_t uid, bool numeric)
{
	static struct {
		uint32_t uid;
		char name[33];
	} users[USERS_MAX];
	static size_t count;
	const struct passwd *user;
	size_t i;

	for (i = 0; i < count && users[i].uid != uid; i++)
		;
	if (i == count) {
		if (count == USERS_MAX)
			i = count = 0;
		user = numeric ? NULL : getpwuid(uid);
		users[i].uid = uid;
		if (user)
			snprintf(users[i].name, sizeof(users[i].name), "%s", user->pw_name);
		else
			snprintf(users[i].name, sizeof(users[i].name), "%" PRIu32, uid);
		count++;
	}
	text_name(text, bytes_of(users[i].name));
}

/* "2026-11-29 10:02:11"; "" where there is no such time. */
static void put_time(char *ret, size_t size, uint64_t ns, bool utc)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!(utc ? gmtime_r : localtime_r)(&seconds, &tm) || strftime(ret, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		*ret = '\0';
}

void text_time(struct text *text, uint64_t ns, bool date, bool utc)
{
	char buffer[64];

	put_time(buffer, sizeof(buffer), ns, utc);
	if (*buffer)
		text_printf(text, "%s.%03u", date ? buffer : buffer + strlen("2026-11-29 "),
			    (unsigned)(ns / 1000000 % 1000));
}

void text_time_short(struct text *text, uint64_t ns, bool date, bool utc)
{
	char buffer[64];

	put_time(buffer, sizeof(buffer), ns, utc);
	if (*buffer)
		text_string(text, buffer + strlen(date ? "2026-" : "2026-11-29 "));
}
