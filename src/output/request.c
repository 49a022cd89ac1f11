/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yajl makes a tree of the line. Before, one pass over the bytes refuses what yajl would let through: a tree is freed by
 * recursion and a peer must not choose how deep; the tree's strings end at a NUL; half a surrogate pair becomes a '?' or
 * bytes that are no UTF-8, overlong forms and surrogates are not seen at all, and all that would go out again in the
 * answer; yajl_tree_parse takes comments for JSON. What the peer sent is repeated in reasons only as printable ASCII.
 */
#include "output/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_tree.h>

#include "util/utf8.h"

__attribute__((format(printf, 2, 3))) static int refuse(char *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, REQUEST_REASON_SIZE, format, args);
	va_end(args);
	for (char *c = reason; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	return -EINVAL;
}

/* The code unit of a \uXXXX at `at`; -1: there is none. */
static int escape_unit(const char *line, size_t size, size_t at)
{
	int unit = 0;

	if (size - at < 6 || line[at] != '\\' || line[at + 1] != 'u')
		return -1;
	for (size_t i = at + 2; i < at + 6; i++) {
		char c = line[i];

		if (c >= '0' && c <= '9')
			c = (char)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			c = (char)((c | 0x20) - 'a' + 10);
		else
			return -1;
		unit = unit << 4 | c;
	}
	return unit;
}

/* How many bytes the escape at `at` takes. */
static int check_escape(const char *line, size_t size, size_t at, size_t *ret, char *reason)
{
	int unit = escape_unit(line, size, at), second = -1;

	if (unit < 0) {
		*ret = 2;
		return 0;
	}
	if (unit == 0)
		return refuse(reason, "a string contains a NUL");
	if ((unit & 0xfc00) == 0xd800)
		second = escape_unit(line, size, at + 6);
	if ((unit & 0xf800) == 0xd800 && (second & 0xfc00) != 0xdc00)
		return refuse(reason, "a string contains half a surrogate pair");
	*ret = second < 0 ? 6 : 12;
	return 0;
}

/* What yajl does not look at; what else is no JSON, it finds. */
static int check_bytes(const char *line, size_t size, char *reason)
{
	unsigned depth = 0;
	bool in_string = false;
	size_t step;

	if (memchr(line, '\0', size))
		return refuse(reason, "the line contains a NUL byte");
	if (utf8_valid(line, size) < size)
		return refuse(reason, "not UTF-8");
	for (size_t i = 0; i < size; i += step) {
		step = 1;
		if (in_string && line[i] == '\\') {
			int r = check_escape(line, size, i, &step, reason);

			if (r < 0)
				return r;
		} else if (line[i] == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (line[i] == '/')
			return refuse(reason, "not JSON: '/' outside a string");
		else if ((line[i] == '[' || line[i] == '{') && ++depth > REQUEST_DEPTH_MAX)
			return refuse(reason, "more than %d levels deep", REQUEST_DEPTH_MAX);
		else if ((line[i] == ']' || line[i] == '}') && depth > 0)
			depth--;
	}
	return 0;
}

static int read_truth(bool *to, const char *key, yajl_val value, char *reason)
{
	if (!YAJL_IS_TRUE(value) && !YAJL_IS_FALSE(value))
		return refuse(reason, "%s must be true or false", key);
	*to = YAJL_IS_TRUE(value);
	return 0;
}

/* A string or a number as the text that a configuration file would have. */
static const char *text_of(yajl_val value)
{
	return YAJL_IS_STRING(value) ? YAJL_GET_STRING(value) : YAJL_IS_NUMBER(value) ? YAJL_GET_NUMBER(value) : NULL;
}

/* Calls `each` for a value, or for all values of an array. */
static int for_each(yajl_val value, int (*each)(struct request *, const char *key, const char *text, char *reason),
		    struct request *request, const char *key, char *reason)
{
	size_t n = YAJL_IS_ARRAY(value) ? YAJL_GET_ARRAY(value)->len : 1;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *text = text_of(YAJL_IS_ARRAY(value) ? YAJL_GET_ARRAY(value)->values[i] : value);

		r = text ? each(request, key, text, reason)
			 : refuse(reason, "%s: not a string, a number, or a list of these", key);
	}
	return r;
}

static int add_filter(struct request *request, const char *key, const char *text, char *reason)
{
	const char *wrong = "";
	enum filter_key filter_key;
	int r;

	ASSERT(filter_key_by_name(bytes_of(key), &filter_key));
	r = filter_add(request->filter, filter_key, bytes_of(text), &wrong);
	if (r == -EINVAL)
		return refuse(reason, "%s: '%.64s': %s", key, text, wrong);
	if (r == -E2BIG)
		return refuse(reason, "%s: %s", key, wrong);
	return r;
}

static int add_field(struct request *request, const char *key, const char *text, char *reason)
{
	enum key wanted;

	if (strcmp(text, "all") == 0)
		request->keys |= KEYS_ALL;
	else if (strcmp(text, "basic") == 0)
		request->keys |= KEYS_BASIC;
	else if (key_by_name(bytes_of(text), &wanted))
		request->keys |= KEY_BIT(wanted);
	else
		return refuse(reason, "fields: unknown key '%.64s'", text);
	return 0;
}

/* The keys of a request: the filter's, and after them these. */
enum { STATS = FILTER_KEY_MAX, SNAPSHOT, FIELDS };

static bool find_key(const char *name, unsigned *ret)
{
	static const char *const others[] = { "stats", "snapshot", "fields" };
	enum filter_key filter_key;

	if (filter_key_by_name(bytes_of(name), &filter_key)) {
		*ret = filter_key;
		return true;
	}
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(name, others[i]) == 0) {
			*ret = STATS + i;
			return true;
		}
	}
	return false;
}

static int read_fields(struct request *request, const char *key, yajl_val value, char *reason)
{
	if (YAJL_IS_ARRAY(value) && YAJL_GET_ARRAY(value)->len > REQUEST_FIELDS_MAX)
		return refuse(reason, "fields: too many");
	request->keys_given = true;
	request->keys |= KEY_BIT(KEY_TYPE);
	return for_each(value, add_field, request, key, reason);
}

/* given: the keys so far. */
static int read_pair(struct request *request, unsigned *given, const char *name, yajl_val value, char *reason)
{
	unsigned key;

	if (!find_key(name, &key))
		return refuse(reason, "unknown key '%.64s'", name);
	if (*given & 1u << key)
		return refuse(reason, "%s is given twice", name);
	*given |= 1u << key;
	switch (key) {
	case STATS:
		return read_truth(&request->stats, name, value, reason);
	case SNAPSHOT:
		return read_truth(&request->snapshot, name, value, reason);
	case FIELDS:
		return read_fields(request, name, value, reason);
	default:
		return for_each(value, add_filter, request, name, reason);
	}
}

static int read_tree(struct request *request, yajl_val tree, char *reason)
{
	unsigned given = 0;
	int r = 0;

	if (!YAJL_IS_OBJECT(tree))
		return refuse(reason, "not a JSON object");
	for (size_t i = 0; r == 0 && i < YAJL_GET_OBJECT(tree)->len; i++)
		r = read_pair(request, &given, YAJL_GET_OBJECT(tree)->keys[i], YAJL_GET_OBJECT(tree)->values[i],
			      reason);
	if (r == 0 && given & 1u << STATS && given != 1u << STATS)
		return refuse(reason, "stats must be the only key");
	/* It is no subscription, so it must not replace one. */
	if (r == 0 && given & 1u << STATS && !request->stats)
		return refuse(reason, "stats must be true");
	return r;
}

int request_parse(struct request *ret, const char *line, size_t size, char reason[static REQUEST_REASON_SIZE])
{
	struct request request = {};
	_cleanup_free_ char *text = NULL;
	char error[128] = "";
	yajl_val tree;
	int r;

	r = check_bytes(line, size, reason);
	if (r < 0)
		return r;
	text = strndup(line, size);
	if (!text)
		return -ENOMEM;
	tree = yajl_tree_parse(text, error, sizeof(error));
	if (!tree) {
		error[strcspn(error, "\n")] = '\0';
		return refuse(reason, "not JSON: %s", error);
	}
	r = filter_new(&request.filter);
	if (r == 0)
		r = read_tree(&request, tree, reason);
	yajl_tree_free(tree);
	if (r < 0) {
		request_clear(&request);
		return r;
	}
	*ret = request;
	return 0;
}

void request_clear(struct request *request)
{
	request->filter = filter_free(request->filter);
}

static void gen_text(yajl_gen gen, const char *text)
{
	yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

static void gen_fields(yajl_gen gen, key_set keys)
{
	gen_text(gen, "fields");
	if (keys == KEYS_ALL) {
		gen_text(gen, "all");
		return;
	}
	yajl_gen_array_open(gen);
	for (enum key key = 0; key < KEY_MAX; key++)
		if (keys & KEY_BIT(key))
			gen_text(gen, key_name(key));
	yajl_gen_array_close(gen);
}

static void gen_entries(yajl_gen gen, const struct filter *filter, enum filter_key key)
{
	const char *entry = filter_entry(filter, key, 0);

	if (!entry)
		return;
	gen_text(gen, filter_key_name(key));
	yajl_gen_array_open(gen);
	for (size_t i = 0; (entry = filter_entry(filter, key, i)); i++)
		gen_text(gen, entry);
	yajl_gen_array_close(gen);
}

void request_gen(const struct request *request, yajl_gen gen)
{
	gen_text(gen, "snapshot");
	yajl_gen_bool(gen, request->snapshot);
	gen_fields(gen, request->keys);
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++)
		gen_entries(gen, request->filter, key);
}
