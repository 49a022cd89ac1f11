/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading, checking and writing of the configuration, all from the table in settings_table.c.
 *
 * inih does the syntax. It is given the file line by line by a reader of ours, so that we know the line of every
 * complaint, and lines that it would split (they are longer than its buffer) or continue (they begin with a blank)
 * never reach it: both are complained of. Comments behind a value are not taken off: a value may hold '#' or ';'.
 */
#include "settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

#include "config.h"
#include "settings_table.h"

#define FILE_MOST (1 << 20) /* bytes of one file */
#define LINE_MOST 16384	    /* bytes of one line, its end included */

/* One file being read. */
struct reading {
	struct settings *settings;
	const char *name;
	const char *data;
	size_t size, at;
	unsigned line;
	bool *given; /* by key of the table: in this file already */
	settings_complain complain;
	void *userdata;
	unsigned problems;
	bool out_of_memory;
};

__attribute__((format(printf, 2, 3))) static void problem(struct reading *r, const char *format, ...)
{
	char text[1024], message[1400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(message, sizeof(message), "%s:%u: %s", r->name, r->line, text);
	r->problems++;
	if (r->complain)
		r->complain(r->userdata, message);
}

/* Lines. */

/* What is wrong with a line before it is looked at; NULL if nothing is. */
static const char *bad_line(const char *line, size_t size)
{
	size_t blank = 0;

	if (size >= LINE_MOST)
		return "the line is too long";
	if (memchr(line, '\0', size))
		return "there is a NUL byte in the line";
	while (blank < size && (line[blank] == ' ' || line[blank] == '\t'))
		blank++;
	if (blank > 0 && blank < size && !strchr("#;\r", line[blank]))
		return "the line begins with a blank; a value cannot go on from line to line";
#if !HAVE_DECL_INI_MAX_LINE
	if (memmem(line, size, " ;", 2) || memmem(line, size, "\t;", 2))
		return "a ';' behind a blank: this build's INI library would take it for a comment";
#endif
	return NULL;
}

/* ini_reader: like fgets(3). A bad line is handed on as an empty one. */
static char *next_line(char *to, int room, void *stream)
{
	struct reading *r = stream;
	const char *line = r->data + r->at, *end, *wrong;
	size_t size;

	if (r->at >= r->size)
		return NULL;
	end = memchr(line, '\n', r->size - r->at);
	size = end ? (size_t)(end - line) : r->size - r->at;
	r->at += size + 1;
	r->line++;
	wrong = bad_line(line, size);
	/* Its buffer may be smaller than we ask for: that was decided when it was built. */
	if (!wrong && size + 2 > (size_t)room)
		wrong = "the line is too long";
	if (wrong) {
		problem(r, "%s", wrong);
		size = 0;
	}
	memcpy(to, line, size);
	to[size] = '\n';
	to[size + 1] = '\0';
	return to;
}

/* Values. */

static int on_value(void *userdata, const char *section, const char *name, const char *value)
{
	struct reading *r = userdata;
	const struct setting *setting;
	const char *wrong = NULL;
	char buffer[512];
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
	if (r->given[settings_index(setting)] && !setting->many) {
		problem(r, "%s is given twice in this file", name);
		return 1;
	}
	result = settings_set(r->settings, setting, value, !r->given[settings_index(setting)], buffer, sizeof(buffer),
			      &wrong);
	r->given[settings_index(setting)] = true;
	if (result == -ENOMEM)
		r->out_of_memory = true;
	else if (result < 0)
		problem(r, "%s = %s: %s", name, value, wrong);
	return 1;
}

/* A section without keys is not told of by inih, but may be misspelt all the same. Lines that are neither a
 * section, nor a key, nor a comment are found here too, each with its number: inih tells the first only. */
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
		if (r->line == 1 && size >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
			continue;
		if (line[0] == '[') {
			char section[64];

			close = memchr(line, ']', size);
			if (!close || close != line + size - 1)
				problem(r, "a section is [NAME]");
			else if (snprintf(section, sizeof(section), "%.*s", (int)(size - 2), line + 1) < 0 ||
				 !settings_has_section(section))
				problem(r, "unknown section [%.*s]", (int)(size - 2), line + 1);
		} else if (!memchr(line, '=', size) && !memchr(line, ':', size)) {
			problem(r, "neither a section nor a key = value: %.*s", (int)size, line);
		}
	}
}

static int read_data(struct settings *settings, const char *name, const char *data, size_t size,
		     settings_complain complain, void *userdata)
{
	_cleanup_free_ bool *given = calloc(settings_count(), sizeof(*given));
	struct reading r = {
		.settings = settings,
		.name = name,
		.data = data,
		.size = size,
		.given = given,
		.complain = complain,
		.userdata = userdata,
	};

	if (!given)
		return -ENOMEM;
#if HAVE_DECL_INI_MAX_LINE
	ini_max_line = LINE_MOST + 4;
	ini_initial_alloc = LINE_MOST + 4;
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

static void complain_file(settings_complain complain, void *userdata, const char *name, int error)
{
	char message[4400];

	snprintf(message, sizeof(message), "%s: %s", name, error == EFBIG ? "the file is too large" : strerror(error));
	if (complain)
		complain(userdata, message);
}

static int read_whole(const char *name, char **ret, size_t *ret_size)
{
	_cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *data = malloc(FILE_MOST + 1);
	size_t size = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (!data)
		return -ENOMEM;
	while ((n = read(fd, data + size, FILE_MOST + 1 - size)) > 0)
		size += (size_t)n;
	if (n < 0)
		return -errno;
	if (size > FILE_MOST)
		return -EFBIG;
	*ret = TAKE_PTR(data);
	*ret_size = size;
	return 0;
}

static int read_file(struct settings *settings, const char *name, bool must_exist, settings_complain complain,
		     void *userdata)
{
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	int r = read_whole(name, &data, &size);

	if (r == -ENOENT && !must_exist)
		return 0;
	if (r < 0) {
		complain_file(complain, userdata, name, -r);
		return r;
	}
	return read_data(settings, name, data, size, complain, userdata);
}

static int is_dropin(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* The first failure stays; all files are read, so that all problems are told. */
static int read_dropins(struct settings *settings, const char *file, settings_complain complain, void *userdata)
{
	_cleanup_free_ char *folder = NULL;
	struct dirent **found;
	int result = 0, n, r;

	if (asprintf(&folder, "%s.d", file) < 0)
		return -ENOMEM;
	n = scandir(folder, &found, is_dropin, alphasort); /* by strcoll(3): strcmp(3) in the C locale that we run in */
	if (n < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		r = -errno;
		complain_file(complain, userdata, folder, -r);
		return r;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *name = NULL;

		r = asprintf(&name, "%s/%s", folder, found[i]->d_name) < 0
			    ? -ENOMEM
			    : read_file(settings, name, true, complain, userdata);
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

	if (r < 0)
		return r;
	r = read_file(settings, file, must_exist, complain, userdata);
	other = read_dropins(settings, file, complain, userdata);
	if (r == 0)
		r = other;
	if (r < 0)
		return r;
	settings_finish(settings);
	*ret = TAKE_PTR(settings);
	return 0;
}

int settings_parse(struct settings **ret, const char *name, const char *data, size_t size, settings_complain complain,
		   void *userdata)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL;
	int r = settings_new(&settings);

	if (r < 0)
		return r;
	if (size > FILE_MOST) {
		complain_file(complain, userdata, name, EFBIG);
		return -EFBIG;
	}
	r = read_data(settings, name, data, size, complain, userdata);
	if (r < 0)
		return r;
	settings_finish(settings);
	*ret = TAKE_PTR(settings);
	return 0;
}

bool string_list_equal(string_list a, string_list b)
{
	size_t i = 0;

	for (; a && b && a[i] && b[i]; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return (!a || !a[i]) && (!b || !b[i]);
}

bool settings_output_equal(const struct settings_output *a, const struct settings_output *b)
{
	for (enum filter_key key = 0; key < FILTER_KEYS_; key++)
		if (!string_list_equal(a->filter[key], b->filter[key]))
			return false;
	return a->fields == b->fields;
}

int settings_filter(const struct settings_output *output, struct filter **ret)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	const char *reason;
	int r = filter_new(&filter);

	if (r < 0)
		return r;
	for (enum filter_key key = 0; key < FILTER_KEYS_; key++) {
		for (string_list entry = output->filter[key]; entry && *entry; entry++) {
			r = filter_add(filter, key, bytes_of(*entry), &reason);
			if (r < 0)
				return r;
		}
	}
	*ret = TAKE_PTR(filter);
	return 0;
}
