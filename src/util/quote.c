/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two kinds of quoting, since exact and harmless exclude each other. Exact: '...', which every
 * POSIX shell reads the same, with all bytes as they are. Harmless: no byte that moves a terminal's
 * cursor, ends a line or changes the direction of writing; $'...' can name them all, but only newer
 * shells know it, and it is for people. An older one, such as dash, reads $'...' as a dollar sign and '...', in which
 * a backslash has no meaning: so no quote may be within, not even after a backslash.
 */
#include "util/quote.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/cleanup.h"
#include "util/nulstr.h"
#include "util/utf8.h"

#define ELLIPSIS "…"
#define ELLIPSIS_SIZE (sizeof(ELLIPSIS) - 1)

/* Bytes that have no meaning for any shell, anywhere in a word. */
static const bool safe[256] = {
	['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['_'] = true, ['@'] = true,
	['%'] = true,	      ['+'] = true,	    ['='] = true,	  [':'] = true, [','] = true,
	['.'] = true,	      ['/'] = true,	    ['-'] = true,
};

/* first: "A=b" as the first word would be an assignment. */
static bool needs_quotes(struct bytes arg, bool first)
{
	if (arg.size == 0)
		return true;
	for (size_t i = 0; i < arg.size; i++)
		if (!safe[(unsigned char)arg.data[i]] || (first && arg.data[i] == '='))
			return true;
	return false;
}

size_t quote_args_size(struct bytes args)
{
	struct bytes arg;
	size_t size = 0, n = 0;

	for (size_t at = 0; nulstr_next(args, &at, &arg); n++) {
		size += (n > 0) + arg.size;
		if (!needs_quotes(arg, n == 0))
			continue;
		size += 2;
		for (size_t i = 0; i < arg.size; i++)
			size += arg.data[i] == '\'' ? 3 : 0;
	}
	return size;
}

static char *put(char *to, const char *from, size_t size)
{
	return (char *)mempcpy(to, from, size);
}

static char *quote_arg(char *to, struct bytes arg)
{
	const char *p = arg.data, *end = arg.data + arg.size;

	*to++ = '\'';
	while (p < end) {
		const char *quote = memchr(p, '\'', (size_t)(end - p));

		to = put(to, p, (size_t)((quote ? quote : end) - p));
		if (!quote)
			break;
		to = put(to, "'\\''", 4);
		p = quote + 1;
	}
	*to++ = '\'';
	return to;
}

char *quote_args(char *to, struct bytes args)
{
	struct bytes arg;
	size_t n = 0;

	for (size_t at = 0; nulstr_next(args, &at, &arg); n++) {
		if (n > 0)
			*to++ = ' ';
		to = needs_quotes(arg, n == 0) ? quote_arg(to, arg) : put(to, arg.data, arg.size);
	}
	return to;
}

void text_begin(struct text *text, char *data, size_t size)
{
	ASSERT(size > 0);
	*text = (struct text){ .data = data, .size = size };
	data[0] = '\0';
}

static size_t text_space(const struct text *text)
{
	size_t space = text->size - 1 - text->used;

	return space > ELLIPSIS_SIZE ? space - ELLIPSIS_SIZE : 0;
}

/* All of it; or the ellipsis, and nothing after that. */
static void text_put(struct text *text, const char *data, size_t size)
{
	if (text->cut)
		return;
	if (size > text_space(text)) {
		text->cut = true;
		if (text->size - 1 - text->used < ELLIPSIS_SIZE)
			return;
		data = ELLIPSIS;
		size = ELLIPSIS_SIZE;
	}
	memcpy(text->data + text->used, data, size);
	text->used += size;
	text->data[text->used] = '\0';
}

void text_string(struct text *text, const char *string)
{
	text_put(text, string, strlen(string));
}

void text_number(struct text *text, uint64_t number)
{
	char digits[20], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	text_put(text, p, (size_t)(digits + sizeof(digits) - p));
}

void text_printf(struct text *text, const char *format, ...)
{
	char buffer[128];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(buffer, sizeof(buffer), format, ap);
	va_end(ap);
	ASSERT(n >= 0 && (size_t)n < sizeof(buffer));
	text_put(text, buffer, (size_t)n);
}

/* The size of the character at p, or of bytes that are not UTF-8; and whether it can be shown. */
static size_t character(const char *p, size_t size, bool *ret_shown)
{
	unsigned char c = (unsigned char)p[0];
	size_t max = size < 4 ? size : 4, n;

	if (c < 0x80) {
		*ret_shown = c >= 0x20 && c != 0x7f;
		return 1;
	}
	if (utf8_valid(p, max) == 0) {
		*ret_shown = false;
		return utf8_bad(p, size);
	}
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	*ret_shown = utf8_acts(p, n) == 0;
	return n;
}

static void text_escape(struct text *text, const char *p, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)p[i];
		char hex[4] = { '\\', 'x', digits[c >> 4], digits[c & 15] };

		switch (c) {
		case '\n':
			text_put(text, "\\n", 2);
			break;
		case '\t':
			text_put(text, "\\t", 2);
			break;
		case '\r':
			text_put(text, "\\r", 2);
			break;
		default:
			text_put(text, hex, sizeof(hex));
		}
	}
}

/* How much of it is printable ASCII, to be copied at once; quoted: without what quotes cannot hold as it is. */
static size_t plain_run(const struct text *text, const char *p, size_t size, bool quoted)
{
	size_t max = text_space(text), n = 0;

	if (size < max)
		max = size;
	while (n < max && p[n] >= 0x20 && p[n] < 0x7f && (!quoted || (p[n] != '\'' && p[n] != '\\')))
		n++;
	return n;
}

void text_name(struct text *text, struct bytes name)
{
	for (size_t i = 0; i < name.size && !text->cut;) {
		size_t run = plain_run(text, name.data + i, name.size - i, false), n;
		bool shown;

		if (run > 0) {
			text_put(text, name.data + i, run);
			i += run;
			continue;
		}
		n = character(name.data + i, name.size - i, &shown);

		(shown ? text_put : text_escape)(text, name.data + i, n);
		i += n;
	}
}

enum quotes { QUOTES_NONE, QUOTES_PLAIN, QUOTES_DOLLAR };

/* Looks no further than what fits. first: "A=b" as the first word would be an assignment. */
static enum quotes quotes_needed(const struct text *text, struct bytes arg, bool first)
{
	enum quotes quotes = arg.size == 0 ? QUOTES_PLAIN : QUOTES_NONE;
	size_t space = text_space(text);

	for (size_t i = 0; i < arg.size && i <= space;) {
		bool shown;
		size_t n;

		if (safe[(unsigned char)arg.data[i]] && !(first && arg.data[i] == '=')) {
			i++;
			continue;
		}
		n = character(arg.data + i, arg.size - i, &shown);
		if (!shown)
			return QUOTES_DOLLAR;
		if (n == 1)
			quotes = QUOTES_PLAIN;
		i += n;
	}
	return quotes;
}

void text_arg(struct text *text, struct bytes arg, bool is_first)
{
	enum quotes quotes = quotes_needed(text, arg, is_first);

	if (quotes == QUOTES_NONE) {
		text_name(text, arg);
		return;
	}
	if (quotes == QUOTES_DOLLAR)
		text_put(text, "$", 1);
	text_put(text, "'", 1);
	for (size_t i = 0; i < arg.size && !text->cut;) {
		const char *p = arg.data + i;
		bool shown = true;
		size_t run = plain_run(text, p, arg.size - i, true);
		size_t n = run > 0 ? run : character(p, arg.size - i, &shown);

		if (!shown)
			text_escape(text, p, n);
		else if (*p == '\'')
			text_put(text, quotes == QUOTES_DOLLAR ? "\\x27" : "'\\''", 4);
		else if (*p == '\\' && quotes == QUOTES_DOLLAR)
			text_put(text, "\\\\", 2);
		else
			text_put(text, p, n);
		i += n;
	}
	text_put(text, "'", 1);
}

void text_args(struct text *text, struct bytes args)
{
	struct bytes arg;
	size_t n = 0;

	for (size_t at = 0; !text->cut && nulstr_next(args, &at, &arg); n++) {
		if (n > 0)
			text_put(text, " ", 1);
		text_arg(text, arg, n == 0);
	}
}
