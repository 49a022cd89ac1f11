/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yajl makes a tree of the line. Its depth is looked at first, since a tree is freed by recursion and a peer must not
 * choose how deep. What the peer sent is repeated in reasons only as printable ASCII.
 */
#include "request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_tree.h>

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

/* Brackets outside strings. What is no JSON is found by the parser. */
static bool is_too_deep(const char *line, size_t size)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		if (in_string && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			in_string = !in_string;
		else if (!in_string && (line[i] == '[' || line[i] == '{') && ++depth > REQUEST_DEPTH_MOST)
			return true;
		else if (!in_string && (line[i] == ']' || line[i] == '}') && depth > 0)
			depth--;
	}
	return false;
}

static int read_truth(bool *to, const char *key, yajl_val value, char *reason)
{
	if (!YAJL_IS_TRUE(value) && !YAJL_IS_FALSE(value))
		return refuse(reason, "%s is neither true nor false", key);
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
			 : refuse(reason, "%s: neither a string, a number, nor a list of these", key);
	}
	return r;
}

static int add_filter(struct request *request, const char *key, const char *text, char *reason)
{
	const char *wrong = "";
	enum filter_key filter_key;
	int r;

	if (!filter_key_by_name(bytes_of(key), &filter_key))
		return refuse(reason, "unknown key '%.64s'", key);
	r = filter_add(request->filter, filter_key, bytes_of(text), &wrong);
	if (r == -EINVAL)
		return refuse(reason, "%s: '%.64s': %s", key, text, wrong);
	if (r == -E2BIG)
		return refuse(reason, "%s: too many or too long entries", key);
	return r;
}

static int add_field(struct request *request, const char *key, const char *text, char *reason)
{
	enum key wanted;

	(void)key;
	if (strcmp(text, "all") == 0)
		request->keys |= KEYS_ALL;
	else if (strcmp(text, "basic") == 0)
		request->keys |= KEYS_BASIC;
	else if (key_by_name(bytes_of(text), &wanted))
		request->keys |= KEY_BIT(wanted);
	else
		return refuse(reason, "fields: there is no key '%.64s'", text);
	return 0;
}

static int read_pair(struct request *request, const char *key, yajl_val value, char *reason)
{
	if (strcmp(key, "stats") == 0)
		return read_truth(&request->stats, key, value, reason);
	if (strcmp(key, "snapshot") == 0)
		return read_truth(&request->snapshot, key, value, reason);
	if (strcmp(key, "fields") == 0) {
		request->keys_given = true;
		request->keys |= KEY_BIT(KEY_TYPE);
		return for_each(value, add_field, request, key, reason);
	}
	return for_each(value, add_filter, request, key, reason);
}

static int read_tree(struct request *request, yajl_val tree, char *reason)
{
	int r = 0;

	if (!YAJL_IS_OBJECT(tree))
		return refuse(reason, "not a JSON object");
	for (size_t i = 0; r == 0 && i < YAJL_GET_OBJECT(tree)->len; i++)
		r = read_pair(request, YAJL_GET_OBJECT(tree)->keys[i], YAJL_GET_OBJECT(tree)->values[i], reason);
	if (r == 0 && request->stats && YAJL_GET_OBJECT(tree)->len > 1)
		return refuse(reason, "stats stands alone");
	return r;
}

int request_parse(struct request *ret, const char *line, size_t size, char reason[static REQUEST_REASON_SIZE])
{
	struct request request = {};
	_cleanup_free_ char *text = NULL;
	char error[128] = "";
	yajl_val tree;
	int r;

	if (memchr(line, '\0', size))
		return refuse(reason, "there is a NUL byte in the line");
	/* yajl's strings end at it. */
	if (memmem(line, size, "\\u0000", 6))
		return refuse(reason, "there is a NUL in a string");
	if (is_too_deep(line, size))
		return refuse(reason, "more than %d levels deep", REQUEST_DEPTH_MOST);
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
