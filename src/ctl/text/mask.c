/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/text/mask.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "util/bytes.h"

#define NUMBER_MIN 3
#define HEX_MIN 8
#define SUFFIX_MAX 5 /* ".json" */

static bool is_hex(char c)
{
	return isxdigit((unsigned char)c);
}

/* Whatever else the locale has. */
static bool is_letter(char c)
{
	return ascii_upper(c) >= 'A' && ascii_upper(c) <= 'Z';
}

static bool is_word(char c)
{
	return is_letter(c) || isdigit((unsigned char)c) || c == '_';
}

/* Its length at the beginning of text, or 0. */
static size_t uuid(const char *text)
{
	static const size_t parts[] = { 8, 4, 4, 4, 12 };
	const char *at = text;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t n = 0; n < parts[i]; n++)
			if (!is_hex(*at++))
				return 0;
		if (i + 1 < sizeof(parts) / sizeof(parts[0]) && *at++ != '-')
			return 0;
	}
	return is_word(*at) ? 0 : (size_t)(at - text);
}

/* A word of hexadecimal digits with letters and decimals, as checksums and addresses are. */
static size_t hex(const char *text)
{
	size_t size = 0, decimals = 0;

	if (text[0] == '0' && text[1] == 'x')
		size = decimals = 2;
	while (is_hex(text[size]))
		decimals += (bool)isdigit((unsigned char)text[size++]);
	return size >= HEX_MIN && decimals > 0 && decimals < size && !is_word(text[size]) ? size : 0;
}

static size_t number(const char *text)
{
	size_t size = strspn(text, "0123456789");

	return size >= NUMBER_MIN ? size : 0;
}

/* A folder for temporary files, at the beginning of a path. */
static size_t temporary(const char *text)
{
	static const char *const folders[] = { "/tmp/", "/var/tmp/", "/dev/shm/" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (strncmp(text, folders[i], strlen(folders[i])) == 0)
			return strlen(folders[i]);
	return 0;
}

/* The name there, without its suffix. */
static size_t temporary_name(const char *text)
{
	size_t size = strcspn(text, "/ '\""), dot = size;

	while (dot > 0 && text[dot - 1] != '.')
		dot--;
	return dot > 1 && size - dot < SUFFIX_MAX && size > dot && is_letter(text[dot]) ? dot - 1 : size;
}

struct output {
	char *to;
	size_t size, used;
};

static void put(struct output *out, const char *text, size_t size)
{
	if (size > out->size - 1 - out->used)
		size = out->size - 1 - out->used;
	memcpy(out->to + out->used, text, size);
	out->used += size;
}

/* What begins here and is masked; *ret: as what. 0: nothing. */
static size_t masked(const char *text, bool begins_word, const char **ret)
{
	size_t size = begins_word ? uuid(text) : 0;

	*ret = "UUID";
	if (size > 0)
		return size;
	*ret = "X";
	size = begins_word ? hex(text) : 0;
	if (size > 0)
		return size;
	*ret = "N";
	return number(text);
}

void mask_text(char *to, size_t size, const char *text)
{
	struct output out = { .to = to, .size = size };
	bool begins_word = true, begins_path = true;

	while (*text) {
		const char *as;
		size_t n = begins_path ? temporary(text) : 0;

		if (n > 0) {
			put(&out, text, n);
			text += n;
			n = temporary_name(text);
			put(&out, "*", n > 0);
			text += n;
			begins_path = begins_word = false;
			continue;
		}
		n = masked(text, begins_word, &as);
		if (n > 0)
			put(&out, as, strlen(as));
		else
			put(&out, text, n = 1);
		begins_path = !is_word(text[n - 1]) && text[n - 1] != '/' && text[n - 1] != '.';
		begins_word = !is_word(text[n - 1]);
		text += n;
	}
	to[out.used] = '\0';
}
