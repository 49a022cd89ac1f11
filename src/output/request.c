/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yajl makes a tree of the line. Before that, one pass over the bytes refuses what yajl accepts and
 * must not: yajl frees a tree by recursion, so a peer must not choose its depth; the strings of the
 * tree end at a NUL; half a surrogate pair becomes a '?', or bytes that are not UTF-8, overlong
 * forms and surrogates are accepted, and all that would be sent again in the reply;
 * yajl_tree_parse() accepts comments. Reasons repeat what the peer sent as printable ASCII only.
 */
#include "output/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_tree.h>

#include "output/reply.h"
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

/* *ret: the size of the escape at `at`. */
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

/* What yajl does not refuse; it finds all else that is not JSON. */
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

/* One member of the object. */
struct member {
	struct request *request;
	const char *name;
	unsigned key; /* enum filter_key, or one of enum other_key */
	yajl_val value;
	char *reason;
};

/* The keys of a request: those of a filter, and after them these. */
enum other_key { STATS = FILTER_KEY_MAX, SNAPSHOT, FIELDS, MARK, ARGS_BYTES, PATH_SEARCH, NAME, ACK, FORGET };

static int read_bool(const struct member *m, bool *to)
{
	if (!YAJL_IS_TRUE(m->value) && !YAJL_IS_FALSE(m->value))
		return refuse(m->reason, "%s must be true or false", m->name);
	*to = YAJL_IS_TRUE(m->value);
	return 0;
}

/* A number without sign, fraction or exponent. */
static int read_count(const struct member *m, uint64_t most, uint64_t *to)
{
	const char *text = YAJL_IS_NUMBER(m->value) ? YAJL_GET_NUMBER(m->value) : "";
	uint64_t value;

	errno = 0;
	value = strtoull(text, NULL, 10);
	if (!*text || text[strspn(text, "0123456789")] || errno == ERANGE || value > most)
		return refuse(m->reason, "%s must be a number from 0 to %llu", m->name, (unsigned long long)most);
	*to = value;
	return 0;
}

/* Nothing in it needs an escape anywhere. */
static int read_name(const struct member *m)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-";
	const char *text = YAJL_IS_STRING(m->value) ? YAJL_GET_STRING(m->value) : "";
	size_t size = strlen(text);

	if (size == 0 || size > REQUEST_NAME_MAX || text[strspn(text, characters)])
		return refuse(m->reason, "%s must be 1 to %d letters, digits and ._:@-", m->name, REQUEST_NAME_MAX);
	memcpy(m->request->name, text, size + 1);
	return 0;
}

/* A string or a number as a configuration file would have it, and for secureexec a boolean. */
static const char *text_of(unsigned key, yajl_val value)
{
	if (key == FILTER_SECUREEXEC && (YAJL_IS_TRUE(value) || YAJL_IS_FALSE(value)))
		return YAJL_IS_TRUE(value) ? "true" : "false";
	return YAJL_IS_STRING(value) ? YAJL_GET_STRING(value) : YAJL_IS_NUMBER(value) ? YAJL_GET_NUMBER(value) : NULL;
}

/* Calls add() for the value, or for each value of an array. */
static int add_values(const struct member *m, int (*add)(const struct member *m, const char *text))
{
	size_t n = YAJL_IS_ARRAY(m->value) ? YAJL_GET_ARRAY(m->value)->len : 1;

	for (size_t i = 0; i < n; i++) {
		const char *text =
			text_of(m->key, YAJL_IS_ARRAY(m->value) ? YAJL_GET_ARRAY(m->value)->values[i] : m->value);
		int r;

		if (!text)
			return refuse(m->reason, "%s: not a string, a number, or a list of these", m->name);
		r = add(m, text);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_filter(const struct member *m, const char *text)
{
	const char *wrong = "";
	int r = filter_add(m->request->filter, (enum filter_key)m->key, bytes_of(text), &wrong);

	if (r == -EINVAL)
		return refuse(m->reason, "%s: '%.64s': %s", m->name, text, wrong);
	if (r == -E2BIG)
		return refuse(m->reason, "%s: %s", m->name, wrong);
	return r;
}

static int add_field(const struct member *m, const char *text)
{
	key_set wanted;

	if (!keys_by_name(bytes_of(text), &wanted))
		return refuse(m->reason, "fields: unknown key '%.64s'", text);
	m->request->keys |= wanted;
	return 0;
}

static int read_fields(const struct member *m)
{
	if (YAJL_IS_ARRAY(m->value) && YAJL_GET_ARRAY(m->value)->len > REQUEST_FIELDS_MAX)
		return refuse(m->reason, "fields: too many");
	m->request->keys_given = true;
	m->request->keys |= KEY_BIT(KEY_TYPE);
	return add_values(m, add_field);
}

static int read_path_search(const struct member *m)
{
	const char *text = YAJL_IS_STRING(m->value) ? YAJL_GET_STRING(m->value) : "";

	if (strcmp(text, "fold") != 0 && strcmp(text, "all") != 0)
		return refuse(m->reason, "path_search must be \"all\" or \"fold\"");
	m->request->folds_given = true;
	m->request->folds = text[0] == 'f';
	return 0;
}

static bool find_key(const char *name, unsigned *ret)
{
	static const char *const others[] = { "stats",	     "snapshot", "fields", "mark",  "args_bytes",
					      "path_search", "name",	 "ack",	   "forget" };
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

#define KEY(key) (UINT64_C(1) << (key))

/* *given: bits of the keys so far. */
static int read_member(struct member *m, uint64_t *given)
{
	if (!find_key(m->name, &m->key))
		return refuse(m->reason, "unknown key '%.64s'", m->name);
	if (*given & KEY(m->key))
		return refuse(m->reason, "%s is given twice", m->name);
	*given |= KEY(m->key);
	switch (m->key) {
	case STATS:
		return read_bool(m, &m->request->stats);
	case SNAPSHOT:
		return read_bool(m, &m->request->snapshot);
	case FIELDS:
		return read_fields(m);
	case MARK:
		m->request->mark_given = true;
		return read_count(m, REQUEST_MARK_MAX, &m->request->mark);
	case PATH_SEARCH:
		return read_path_search(m);
	case NAME:
		return read_name(m);
	case ACK:
		m->request->ack_given = true;
		return read_count(m, UINT64_MAX, &m->request->ack);
	case FORGET:
		m->request->forget = true;
		return read_name(m);
	case ARGS_BYTES:
		return read_count(m, REQUEST_ARGS_BYTES_MAX, &m->request->args_bytes);
	default:
		return add_values(m, add_filter);
	}
}

/* What is no subscription must not replace one. */
static int check_alone(const struct request *request, uint64_t given, char *reason)
{
	if (given & KEY(STATS) && given != KEY(STATS))
		return refuse(reason, "stats must be the only key");
	if (given & KEY(STATS) && !request->stats)
		return refuse(reason, "stats must be true");
	if (given & KEY(FORGET) && given != KEY(FORGET))
		return refuse(reason, "forget must be the only key");
	if (given & KEY(ACK) && !(given & KEY(NAME)) && given != KEY(ACK))
		return refuse(reason, "ack must be the only key, or be given with a name");
	return 0;
}

static int read_tree(struct request *request, yajl_val tree, char *reason)
{
	uint64_t given = 0;

	if (!YAJL_IS_OBJECT(tree))
		return refuse(reason, "not a JSON object");
	for (size_t i = 0; i < YAJL_GET_OBJECT(tree)->len; i++) {
		struct member m = {
			.request = request,
			.name = YAJL_GET_OBJECT(tree)->keys[i],
			.value = YAJL_GET_OBJECT(tree)->values[i],
			.reason = reason,
		};
		int r = read_member(&m, &given);

		if (r < 0)
			return r;
	}
	return check_alone(request, given, reason);
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

static void gen_fields(yajl_gen gen, key_set keys)
{
	reply_text(gen, "fields");
	if (keys == KEYS_ALL || keys == KEYS_HISTORY) {
		reply_text(gen, keys == KEYS_ALL ? "all" : "history");
		return;
	}
	yajl_gen_array_open(gen);
	if ((keys & KEYS_ALL) == KEYS_ALL) {
		reply_text(gen, "all");
		keys &= ~KEYS_ALL;
	}
	if (keys & KEYS_TIME_BUT_OF_END) {
		reply_text(gen, "history");
		keys &= ~KEYS_HISTORY;
	}
	for (enum key key = 0; key < KEY_MAX; key++)
		if (keys & KEY_BIT(key))
			reply_text(gen, key_name(key));
	yajl_gen_array_close(gen);
}

static void gen_entries(yajl_gen gen, const struct filter *filter, enum filter_key key)
{
	const char *entry = filter_entry(filter, key, 0);

	if (!entry)
		return;
	reply_text(gen, filter_key_name(key));
	yajl_gen_array_open(gen);
	for (size_t i = 0; (entry = filter_entry(filter, key, i)); i++)
		reply_text(gen, entry);
	yajl_gen_array_close(gen);
}

void request_gen(const struct request *request, yajl_gen gen)
{
	if (*request->name)
		reply_pair(gen, "name", request->name);
	reply_text(gen, "snapshot");
	yajl_gen_bool(gen, request->snapshot);
	gen_fields(gen, request->keys);
	if (request->mark > 0)
		reply_count(gen, "mark", request->mark);
	if (request->args_bytes > 0)
		reply_count(gen, "args_bytes", request->args_bytes);
	if (request->folds)
		reply_pair(gen, "path_search", "fold");
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++)
		gen_entries(gen, request->filter, key);
}

static bool same_entries(const struct filter *a, const struct filter *b, enum filter_key key)
{
	const char *left, *right;
	size_t i = 0;

	do {
		left = filter_entry(a, key, i);
		right = filter_entry(b, key, i++);
	} while (left && right && strcmp(left, right) == 0);
	return !left && !right;
}

bool request_asks_for(const struct request *request, key_set keys, const struct filter *filter)
{
	if (request->keys != keys || !filter)
		return false;
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++)
		if (!same_entries(request->filter, filter, key))
			return false;
	return true;
}
