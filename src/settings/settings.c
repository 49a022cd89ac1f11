/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and checks the configuration, by the table in settings_table.c.
 *
 * inih parses the syntax. It gets the file line by line from next_line(), so the line of each
 * problem is known, and a line that it would take for a continuation (with a blank at its
 * beginning) never reaches it. How it reads a value depends on how it was built (the size of its
 * buffer, whether " ;" begins a comment), so it gets the key alone, and the value is taken from the
 * line itself. A comment after a value is part of it, since a value may contain '#' and ';'; there
 * is a warning.
 */
#include "settings/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>

#include "config.h"
#include "settings/settings_table.h"
#include "settings/settings_value.h"

#define FILE_MAX (1 << 20)  /* bytes of one file */
#define LINE_SIZE_MAX 16384 /* bytes of one line, its end included */

struct loading {
	struct settings *settings;
	settings_complain complain;
	void *userdata;
};

/* One file being read. */
struct reading {
	const struct loading *loading;
	const char *name;
	const char *data;
	size_t size, at;
	unsigned line;
	char value[LINE_SIZE_MAX]; /* of that line */
	bool *given;		   /* by index of the table: in this file already */
	unsigned problems;
	bool out_of_memory;
};

__attribute__((format(printf, 3, 4))) static void report(struct reading *r, int level, const char *format, ...)
{
	const struct loading *l = r->loading;
	char text[1024], message[1400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(message, sizeof(message), "%s:%u: %s%s", r->name, r->line, level == LOG_ERR ? "" : "warning: ", text);
	if (level == LOG_ERR)
		r->problems++;
	if (l->complain)
		l->complain(l->userdata, level, message);
}
#define problem(r, ...) report(r, LOG_ERR, __VA_ARGS__)

/* Lines. */

/* Why inih may not have the line; NULL. */
static const char *bad_line(const char *line, size_t size)
{
	size_t blank = 0;

	if (size >= LINE_SIZE_MAX)
		return "the line is too long";
	if (memchr(line, '\0', size))
		return "the line contains a NUL byte";
	while (blank < size && (line[blank] == ' ' || line[blank] == '\t'))
		blank++;
	if (blank > 0 && blank < size && !strchr("#;\r", line[blank]))
		return "the line begins with a blank; a value cannot continue on the next line";
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The size of the key with its sign; 0: the line has no key. */
static size_t key_size(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (line[i] == '=' || line[i] == ':')
			return i + 1;
		if (line[i] == ';' && i > 0 && is_blank(line[i - 1]))
			return 0;
	}
	return 0;
}

/* The text after the key, without the blanks around it. */
static void copy_value(struct reading *r, const char *line, size_t size)
{
	while (size > 0 && is_blank(*line)) {
		line++;
		size--;
	}
	while (size > 0 && is_blank(line[size - 1]))
		size--;
	memcpy(r->value, line, size);
	r->value[size] = '\0';
}

/* ini_reader: as fgets(3). A bad line is passed on empty. */
static char *next_line(char *to, int capacity, void *stream)
{
	struct reading *r = stream;
	const char *line, *end, *wrong;
	size_t size, key;

	if (r->at >= r->size)
		return NULL;
	line = r->data + r->at;
	end = memchr(line, '\n', r->size - r->at);
	size = end ? (size_t)(end - line) : r->size - r->at;
	r->at += size + 1;
	r->line++;
	wrong = bad_line(line, size);
	if (!wrong && size > 0 && !strchr("#;[", line[0])) {
		key = key_size(line, size);
		copy_value(r, line + key, size - key);
		size = key;
	}
	if (!wrong && size + 3 > (size_t)capacity)
		wrong = "the key is too long";
	if (wrong) {
		problem(r, "%s", wrong);
		size = 0;
	}
	memcpy(to, line, size);
	/* Any value will do. */
	snprintf(to + size, 3, "%s\n", size > 0 && !strchr("#;[", line[0]) ? "v" : "");
	return to;
}

static int on_value(void *userdata, const char *section, const char *name, const char *placeholder)
{
	struct reading *r = userdata;
	struct setting_input input = { .text = r->value };
	const struct setting *setting;
	const char *doubt;
	bool *given;
	int result;

	if (!settings_has_section(section)) {
		problem(r, *section ? "unknown section [%s]" : "a key before any section%s", section);
		return 1;
	}
	setting = settings_find(section, name);
	if (!setting) {
		problem(r, "unknown key '%s' in [%s]", name, section);
		return 1;
	}
	given = &r->given[settings_index(setting)];
	if (*given && !setting->many) {
		problem(r, "%s is given twice in this file", name);
		return 1;
	}
	input.first = !*given;
	*given = true;
	result = settings_set(r->loading->settings, setting, &input);
	doubt = setting_doubt(setting, input.text);
	if (result == -ENOMEM)
		r->out_of_memory = true;
	else if (result < 0)
		problem(r, "%s = %s: %s%s%s", name, input.text, input.wrong, doubt ? "; " : "", doubt ? doubt : "");
	else if (doubt && setting->type->is_text)
		report(r, LOG_WARNING, "%s = %s: %s", name, input.text, doubt);
	return 1;
}

/* inih does not report a section without keys, which may be misspelt, and of the lines that are
 * neither a section, nor a key, nor a comment it reports the first only. */
static void check_syntax(struct reading *r)
{
	size_t at = 0;

	r->line = 0;
	while (at < r->size) {
		const char *line = r->data + at, *end = memchr(line, '\n', r->size - at), *close;
		size_t size = end ? (size_t)(end - line) : r->size - at;

		at += size + 1;
		r->line++;
		while (size > 0 && strchr(" \t\r", line[size - 1]))
			size--;
		if (size == 0 || line[0] == '#' || line[0] == ';' || bad_line(line, size))
			continue;
		if (line[0] == '[') {
			char section[64];

			close = memchr(line, ']', size);
			if (!close || close != line + size - 1)
				problem(r, "a section is written as [NAME]");
			else if (snprintf(section, sizeof(section), "%.*s", (int)(size - 2), line + 1) < 0 ||
				 !settings_has_section(section))
				problem(r, "unknown section [%.*s]", (int)(size - 2), line + 1);
		} else if (key_size(line, size) == 0) {
			problem(r, "neither a section nor a key = value: %.*s", (int)size, line);
		}
	}
}

static int read_data(const struct loading *l, const char *name, const char *data, size_t size)
{
	_cleanup_free_ bool *given = calloc(settings_count(), sizeof(*given));
	struct reading r = {
		.loading = l,
		.name = name,
		.data = data,
		.size = size,
		.given = given,
	};

	if (!given)
		return -ENOMEM;
	/* The byte order mark of some editors. */
	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
		r.data += 3;
		r.size -= 3;
	}
#if HAVE_DECL_INI_MAX_LINE
	ini_max_line = LINE_SIZE_MAX + 4;
	ini_initial_alloc = LINE_SIZE_MAX + 4;
	ini_use_stack = false;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
#endif
	check_syntax(&r);
	r.line = 0;
	if (ini_parse_stream(next_line, &r, on_value, &r) == -2 || r.out_of_memory)
		return -ENOMEM;
	return r.problems ? -EINVAL : 0;
}

static void complain_file(const struct loading *l, const char *name, int error)
{
	char message[4400];

	snprintf(message, sizeof(message), "%s: %s", name,
		 error == EFBIG	   ? "the file is too large"
		 : error == EBADFD ? "not a regular file"
				   : strerror(error));
	if (l->complain)
		l->complain(l->userdata, LOG_ERR, message);
}

/* Other kinds may never end, or block. /dev/null is an empty file: a symbolic link to it masks a
 * drop-in (systemd.unit(5)). */
static int check_kind(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
		return 0;
	return S_ISDIR(st.st_mode) ? -EISDIR : -EBADFD;
}

static int read_whole(const char *name, char **ret, size_t *ret_size)
{
	/* O_NONBLOCK: does not wait for a FIFO's writer (fifo(7)). */
	_cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_free_ char *data = malloc(FILE_MAX + 1);
	size_t size = 0;
	ssize_t n;
	int r;

	/* open(2): a socket, or a device without a driver. */
	if (fd < 0)
		return errno == ENXIO ? -EBADFD : -errno;
	if (!data)
		return -ENOMEM;
	r = check_kind(fd);
	if (r < 0)
		return r;
	while ((n = read(fd, data + size, FILE_MAX + 1 - size)) > 0)
		size += (size_t)n;
	if (n < 0)
		return -errno;
	if (size > FILE_MAX)
		return -EFBIG;
	*ret = TAKE_PTR(data);
	*ret_size = size;
	return 0;
}

static int read_file(const struct loading *l, const char *name, bool must_exist)
{
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	int r = read_whole(name, &data, &size);

	if (r == -ENOENT && !must_exist)
		return 0;
	if (r < 0) {
		complain_file(l, name, -r);
		return r;
	}
	return read_data(l, name, data, size);
}

static int is_dropin(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* All files are read, so that all problems are reported. Returns the first error. */
static int read_dropins(const struct loading *l, const char *file)
{
	_cleanup_free_ char *folder = NULL;
	struct dirent **found;
	int result = 0, n, r;

	if (asprintf(&folder, "%s.d", file) < 0)
		return -ENOMEM;
	n = scandir(folder, &found, is_dropin, alphasort); /* by strcoll(3), which is strcmp(3) in the C locale */
	if (n < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		r = -errno;
		complain_file(l, folder, -r);
		return r;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *name = NULL;

		r = asprintf(&name, "%s/%s", folder, found[i]->d_name) < 0 ? -ENOMEM : read_file(l, name, true);
		if (result == 0)
			result = r;
		free(found[i]);
	}
	free(found);
	return result;
}

int settings_load(struct settings **ret, const char *file, bool must_exist, settings_complain complain, void *userdata)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL;
	int r = settings_new(&settings), other;
	struct loading l = { settings, complain, userdata };

	if (r < 0)
		return r;
	r = read_file(&l, file, must_exist);
	other = read_dropins(&l, file);
	if (r < 0 || other < 0)
		return r < 0 ? r : other;
	settings_finish(settings);
	*ret = TAKE_PTR(settings);
	return 0;
}

int settings_parse(struct settings **ret, const char *name, const char *data, size_t size, settings_complain complain,
		   void *userdata)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL;
	int r = settings_new(&settings);
	struct loading l = { settings, complain, userdata };

	if (r < 0)
		return r;
	if (size > FILE_MAX) {
		complain_file(&l, name, EFBIG);
		return -EFBIG;
	}
	r = read_data(&l, name, data, size);
	if (r < 0)
		return r;
	settings_finish(settings);
	*ret = TAKE_PTR(settings);
	return 0;
}

static bool string_list_equal(string_list a, string_list b)
{
	size_t i = 0;

	for (; a && b && a[i] && b[i]; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return (!a || !a[i]) && (!b || !b[i]);
}

bool settings_output_equal(const struct settings_output *a, const struct settings_output *b)
{
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++)
		if (!string_list_equal(a->filter[key], b->filter[key]))
			return false;
	return a->fields == b->fields && a->path_search == b->path_search;
}
