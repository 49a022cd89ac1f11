/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/export/markup.h"

#include "util/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* One character, or what is none. */
struct piece {
	const char *data;
	size_t size;
	bool bad;      /* not UTF-8 */
	unsigned acts; /* the number of one that acts on how text is shown, also U+FFFE and U+FFFF; 0: it does not */
};

static bool is_noncharacter(const char *data, size_t size)
{
	return size >= 3 && memcmp(data, "\xef\xbf", 2) == 0 && (unsigned char)data[2] >= 0xbe;
}

/* *valid: the end of what is known to be UTF-8. */
static bool next(struct bytes bytes, size_t *at, size_t *valid, struct piece *ret)
{
	size_t rest = bytes.size - *at, size;
	const char *data;
	unsigned char c;

	if (rest == 0)
		return false;
	data = bytes.data + *at;
	c = (unsigned char)*data;
	if (*valid <= *at)
		*valid = *at + utf8_valid(data, rest);
	*ret = (struct piece){ .data = data, .size = 1 };
	if (*valid == *at) {
		ret->bad = true;
		ret->size = utf8_bad(data, rest);
	} else if (c < 0x20 || c == 0x7f) {
		ret->acts = c ? c : 0xfffd;
	} else if (c >= 0x80) {
		ret->size = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		size = utf8_acts(data, rest);
		if (size > 0)
			ret->acts = utf8_code(data, size);
		else if (is_noncharacter(data, rest))
			ret->acts = 0xfffd;
	}
	*at += ret->size;
	return true;
}

static void put_piece(FILE *out, const struct piece *piece)
{
	if (piece->bad)
		fputs(REPLACEMENT, out);
	else
		fwrite(piece->data, 1, piece->size, out);
}

void put_json(FILE *out, struct bytes bytes)
{
	struct piece piece;

	fputc('"', out);
	for (size_t at = 0, valid = 0; next(bytes, &at, &valid, &piece);) {
		char c = piece.size == 1 ? *piece.data : 0;

		if (piece.bad)
			fputs(REPLACEMENT, out);
		else if (piece.acts)
			fprintf(out, "\\u%04x", piece.size == 1 ? (unsigned char)c : piece.acts);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '<' || c == '>' || c == '&')
			fprintf(out, "\\u%04x", (unsigned)c);
		else
			put_piece(out, &piece);
	}
	fputc('"', out);
}

void put_xml(FILE *out, struct bytes bytes)
{
	struct piece piece;

	for (size_t at = 0, valid = 0; next(bytes, &at, &valid, &piece);) {
		char c = piece.size == 1 ? *piece.data : 0;

		if (piece.bad || piece.acts)
			fputs(REPLACEMENT, out);
		else if (strchr("&<>\"'", c) && c)
			fprintf(out, "&#%d;", c);
		else
			put_piece(out, &piece);
	}
}

/* owasp.org, "CSV Injection". */
static bool is_formula(struct bytes bytes)
{
	return bytes.size > 0 && strchr("=+-@\t\r|", bytes.data[0]) && bytes.data[0];
}

void put_csv(FILE *out, struct bytes bytes)
{
	struct piece piece;

	fputs(is_formula(bytes) ? "\"'" : "\"", out);
	for (size_t at = 0, valid = 0; next(bytes, &at, &valid, &piece);) {
		if (piece.acts)
			fputs(REPLACEMENT, out);
		else if (piece.size == 1 && *piece.data == '"' && !piece.bad)
			fputs("\"\"", out);
		else
			put_piece(out, &piece);
	}
	fputc('"', out);
}

void put_dot(FILE *out, struct bytes bytes)
{
	struct piece piece;

	fputc('"', out);
	for (size_t at = 0, valid = 0; next(bytes, &at, &valid, &piece);) {
		char c = piece.size == 1 && !piece.bad ? *piece.data : 0;

		if (piece.acts)
			fputs(REPLACEMENT, out);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else
			put_piece(out, &piece);
	}
	fputc('"', out);
}
