/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arbitrary bytes through the JSON encoder and back. The input is parts divided by lines "%%":
 *
 *	TYPE FLAGS NUMBER KEYS   TYPE a name; the others hexadecimal: FLAG_x, all the numbers of the event, a key_set
 *	%%
 *	comm
 *	%%
 *	... and so on in the order of `fields`; a part that is not there is not known
 *
 * What comes out must be one line of JSON for yajl's parser, its keys in order, each at most once. Texts are the
 * bytes that went in, those not UTF-8 replaced; raw twins decode to the exact bytes, and are there just when the bytes
 * are not UTF-8. What is UTF-8 is decided here by arithmetic, not by the code under test.
 */
#include <inttypes.h>
#include <yajl/yajl_parse.h>

#include "fuzz/parts.h"
#include "output/json.h"
#include "sequence.h"
#include "util/nulstr.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAG_STATUS 1u
#define FLAG_TRUNCATED 2u
#define FLAG_SNAPSHOT 4u
#define FLAG_IDS 8u
#define FLAG_KTHREAD 16u
#define FLAG_RESYNC 32u

#define REPLACEMENT "\xef\xbf\xbd"

/* What the parser saw of one member of the object. */
struct member {
	char name[32];
	size_t name_size;
	char *data; /* strings, each behind its size_t */
	size_t used, strings;
	char number[32];
	bool is_array, is_map;
};

struct seen {
	struct member members[2 * KEY_MAX];
	size_t count;
	int depth; /* 1: in the event */
};

static struct member *last(struct seen *s)
{
	ASSERT(s->count > 0);
	return &s->members[s->count - 1];
}

static int on_string(void *userdata, const unsigned char *text, size_t size)
{
	struct member *m = last(userdata);

	m->data = realloc(m->data, m->used + sizeof(size) + size);
	ASSERT(m->data);
	memcpy(m->data + m->used, &size, sizeof(size));
	memcpy(m->data + m->used + sizeof(size), text, size);
	m->used += sizeof(size) + size;
	m->strings++;
	return 1;
}

static int on_number(void *userdata, const char *text, size_t size)
{
	struct member *m = last(userdata);

	ASSERT(size > 0 && size < sizeof(m->number) && m->number[0] == '\0');
	memcpy(m->number, text, size);
	return 1;
}

static int on_boolean(void *userdata, int value)
{
	ASSERT(value); /* flags are true or not there */
	return 1;
}

static int on_map_key(void *userdata, const unsigned char *text, size_t size)
{
	struct seen *s = userdata;
	struct member *m;

	if (s->depth > 1)
		return on_string(userdata, text, size);
	ASSERT(s->count < sizeof(s->members) / sizeof(s->members[0]) && size < sizeof(m->name));
	m = &s->members[s->count++];
	*m = (struct member){ 0 };
	memcpy(m->name, text, size);
	m->name_size = size;
	return 1;
}

static int on_start_map(void *userdata)
{
	struct seen *s = userdata;

	if (++s->depth > 1)
		last(s)->is_map = true;
	return 1;
}

static int on_end_map(void *userdata)
{
	((struct seen *)userdata)->depth--;
	return 1;
}

static int on_start_array(void *userdata)
{
	last(userdata)->is_array = true;
	return 1;
}

static int on_end_array(void *userdata)
{
	return 1;
}

/* No null: a key without a value is left out. Numbers as text, for those beyond int64_t. */
static const yajl_callbacks callbacks = {
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_map_key,
	.yajl_end_map = on_end_map,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end_array,
};

static bool next_string(const struct member *m, size_t *at, struct bytes *ret)
{
	size_t size;

	if (*at == m->used)
		return false;
	memcpy(&size, m->data + *at, sizeof(size));
	*ret = (struct bytes){ m->data + *at + sizeof(size), size };
	*at += sizeof(size) + size;
	return true;
}

static const struct member *find(const struct seen *s, const char *name, const char *suffix)
{
	size_t size = strlen(name), suffix_size = strlen(suffix);

	for (size_t i = 0; i < s->count; i++) {
		const struct member *m = &s->members[i];

		if (m->name_size == size + suffix_size && memcmp(m->name, name, size) == 0 &&
		    memcmp(m->name + size, suffix, suffix_size) == 0)
			return m;
	}
	return NULL;
}

/* Returns whether all of `bytes` is UTF-8; `text` must be what shows it. */
static bool check_text(struct bytes text, struct bytes bytes)
{
	bool good = true;

	while (bytes.size > 0) {
		size_t n = sequence((const unsigned char *)bytes.data, bytes.size);

		if (n > 0) {
			ASSERT(text.size >= n && memcmp(text.data, bytes.data, n) == 0);
			text.data += n;
			text.size -= n;
		} else {
			n = utf8_bad(bytes.data, bytes.size);
			ASSERT(n >= 1 && n <= 3 && n <= bytes.size);
			ASSERT(text.size >= 3 && memcmp(text.data, REPLACEMENT, 3) == 0);
			text.data += 3;
			text.size -= 3;
			good = false;
		}
		bytes.data += n;
		bytes.size -= n;
	}
	ASSERT(text.size == 0);
	return good;
}

static unsigned digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	ASSERT(c == '+' || c == '/');
	return c == '+' ? 62 : 63;
}

/* Decodes base64 bit by bit. */
static void check_raw(struct bytes text, struct bytes bytes)
{
	size_t digits = (bytes.size * 8 + 5) / 6;
	unsigned bits = 0, have = 0;
	size_t at = 0;

	ASSERT(text.size == (bytes.size + 2) / 3 * 4);
	for (size_t i = 0; i < text.size; i++) {
		if (i >= digits) {
			ASSERT(text.data[i] == '=');
			continue;
		}
		bits = (bits << 6 | digit(text.data[i])) & 0xfff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			ASSERT(at < bytes.size && (bits >> have & 0xff) == (unsigned char)bytes.data[at]);
			at++;
		}
	}
	ASSERT(at == bytes.size && (bits & ((1u << have) - 1)) == 0);
}

static void check_bytes(const struct seen *s, enum key key, struct bytes value, bool there)
{
	const struct member *m = find(s, key_name(key), ""), *raw = find(s, key_name(key), "_raw");
	struct bytes text;
	size_t at = 0;
	bool good;

	ASSERT(!m == !there);
	if (!there) {
		ASSERT(!raw);
		return;
	}
	ASSERT(m->strings == 1 && !m->is_array && next_string(m, &at, &text));
	good = check_text(text, value);
	ASSERT(!raw == (good || !key_has_raw(key)));
	if (raw) {
		at = 0;
		ASSERT(raw == m + 1 && raw->strings == 1 && next_string(raw, &at, &text));
		check_raw(text, value);
	}
}

static void check_list(const struct seen *s, enum key key, struct bytes items, bool there)
{
	const struct member *m = find(s, key_name(key), ""), *raw = find(s, key_name(key), "_raw");
	size_t at = 0, text_at = 0, raw_at = 0, count = 0;
	struct bytes item, text;
	bool good = true;

	ASSERT(!m == !there);
	if (!there) {
		ASSERT(!raw);
		return;
	}
	ASSERT(m->is_array && (!raw || (raw == m + 1 && raw->is_array)));
	while (nulstr_next(items, &at, &item)) {
		ASSERT(next_string(m, &text_at, &text));
		good &= check_text(text, item);
		if (raw) {
			ASSERT(next_string(raw, &raw_at, &text));
			check_raw(text, item);
		}
		count++;
	}
	ASSERT(m->strings == count && (!raw || raw->strings == count));
	ASSERT(!raw == (good || !key_has_raw(key)));
}

/* Each name once, and its first value. The first '=' of the text is between name and value. */
static void check_env(const struct seen *s, struct bytes items, bool there)
{
	const struct member *m = find(s, "env", "");
	struct bytes name, value, other, ignored, item;
	size_t at = 0, other_at, vars = 0;

	ASSERT(!m == !there);
	if (!there)
		return;
	ASSERT(m->is_map && m->strings % 2 == 0);
	while (next_string(m, &at, &name)) {
		bool found = false;

		ASSERT(next_string(m, &at, &value));
		ASSERT(name.size > 0 && !memchr(name.data, '=', name.size));
		other_at = at;
		while (next_string(m, &other_at, &other)) {
			ASSERT(next_string(m, &other_at, &ignored));
			ASSERT(!bytes_equal(name, other));
		}
		/* Where it is UTF-8 it can be compared simply. */
		if (!memmem(name.data, name.size, REPLACEMENT, 3) && !memmem(value.data, value.size, REPLACEMENT, 3)) {
			for (other_at = 0; !found && nulstr_next(items, &other_at, &item);) {
				if (item.size <= name.size || memcmp(item.data, name.data, name.size) != 0 ||
				    item.data[name.size] != '=')
					continue;
				item.data += name.size + 1;
				item.size -= name.size + 1;
				ASSERT(bytes_equal(item, value));
				found = true;
			}
			ASSERT(found);
		}
	}
	for (at = 0; nulstr_next(items, &at, &item);)
		vars += item.size > 0 && item.data[0] != '=' && memchr(item.data, '=', item.size);
	ASSERT(m->strings / 2 <= vars && (m->strings > 0 || vars == 0));
}

static void check_order(const struct seen *s)
{
	int before = -1;

	for (size_t i = 0; i < s->count; i++) {
		const struct member *m = &s->members[i];
		enum key key;

		if (key_by_name(bytes_of(m->name), &key)) {
			ASSERT((int)key > before);
			before = (int)key;
		} else {
			struct bytes name = bytes_of(m->name);

			ASSERT(i > 0 && name.size > 4 && memcmp(name.data + name.size - 4, "_raw", 4) == 0);
			name.size -= 4;
			ASSERT(key_by_name(name, &key) && (int)key == before && key_has_raw(key));
		}
	}
	ASSERT(s->count > 0 && strcmp(s->members[0].name, "type") == 0);
}

static void check_event(const struct seen *s, const struct event *event, key_set keys)
{
	const struct process *p = event->process;
	const struct image *image = &p->image;
	const struct member *inode = find(s, "exe_inode", "");
	char digits[32];

#define THERE(key, known) ((known) && (keys & KEY_BIT(key)))
	check_bytes(s, KEY_COMM, p->comm, THERE(KEY_COMM, p->comm.data));
	check_bytes(s, KEY_PARENT_COMM, p->parent_comm, THERE(KEY_PARENT_COMM, p->parent_comm.data));
	check_bytes(s, KEY_EXE, image->exe, THERE(KEY_EXE, image->exe.data));
	check_bytes(s, KEY_FILENAME, image->filename, THERE(KEY_FILENAME, image->filename.data));
	check_bytes(s, KEY_CWD, image->cwd, THERE(KEY_CWD, image->cwd.data));
	check_bytes(s, KEY_CGROUP, image->cgroup, THERE(KEY_CGROUP, image->cgroup.data));
	check_bytes(s, KEY_UNIT, image->unit, THERE(KEY_UNIT, image->unit.data));
	check_list(s, KEY_ARGS, image->args, THERE(KEY_ARGS, image->args.data));
	check_list(s, KEY_ANCESTORS, p->ancestors, THERE(KEY_ANCESTORS, p->ancestors.size > 0));
	check_env(s, image->env, THERE(KEY_ENV, image->env.size > 0));
	ASSERT(!inode == !THERE(KEY_EXE_INODE, image->exe_inode != 0));
	snprintf(digits, sizeof(digits), "%" PRIu64, image->exe_inode);
	ASSERT(!inode || strcmp(inode->number, digits) == 0);
#undef THERE
}

/* Of the line as it is written, not as it is parsed: nothing in it acts on a terminal. By the numbers of the
 * characters. */
static void check_harmless(const struct line *line)
{
	for (size_t at = 0; at + 1 < line->size;) {
		const unsigned char *p = (const unsigned char *)line->data + at;
		size_t n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
		unsigned code = *p & (n == 1 ? 0x7fu : 0x3fu >> (n - 1));

		for (size_t i = 1; i < n; i++)
			code = code << 6 | (p[i] & 0x3fu);
		ASSERT(code >= 0x20 && (code < 0x7f || code > 0x9f) && code != 0x61c && code != 0x200e &&
		       code != 0x200f);
		ASSERT((code < 0x2028 || code > 0x202e) && (code < 0x2066 || code > 0x206f));
		at += n;
	}
}

static void check_line(const struct line *line, const struct event *event, key_set keys)
{
	struct seen s = { 0 };
	yajl_handle parser = yajl_alloc(&callbacks, NULL, &s);

	ASSERT(parser);
	ASSERT(line->size > 2 && memchr(line->data, '\n', line->size) == line->data + line->size - 1);
	ASSERT(utf8_valid(line->data, line->size) == line->size);
	ASSERT(yajl_parse(parser, (const unsigned char *)line->data, line->size) == yajl_status_ok);
	ASSERT(yajl_complete_parse(parser) == yajl_status_ok && s.depth == 0);
	yajl_free(parser);
	check_order(&s);
	if (event->process)
		check_event(&s, event, keys);
	for (size_t i = 0; i < s.count; i++)
		free(s.members[i].data);
}

static void fill(struct process *p, struct event *event, unsigned flags, uint64_t number)
{
	uint32_t half = (uint32_t)number;

	p->tgid = p->ppid = p->uid = p->gid = p->euid = p->egid = p->loginuid = p->session_id = p->sid = p->pgid = half;
	p->tty_major = (uint32_t)(number >> 32);
	p->tty_minor = p->pid_ns = p->mnt_ns = p->ns_pid = half;
	p->start = p->start_time = p->parent_start = p->caps = number;
	p->ids_known = flags & FLAG_IDS;
	p->kernel_thread = flags & FLAG_KTHREAD;
	p->image.args_truncated = p->image.exe_deleted = flags & FLAG_TRUNCATED;
	p->image.argc = p->image.exe_dev_major = p->image.exe_dev_minor = half;
	p->image.args_size = p->image.exe_inode = number;
	event->seq = event->time = event->boot = number;
	event->snapshot = flags & FLAG_SNAPSHOT;
	event->source = flags & FLAG_RESYNC ? SOURCE_RESYNC : SOURCE_PROBE;
	event->error = (int)(number & INT32_MAX);
	event->end.running_ns = number;
	event->end.status = half;
	event->end.status_known = event->end.cpu_known = event->end.rss_known = event->end.io_known = flags &
												      FLAG_STATUS;
	event->end.cpu_user_ns = event->end.max_rss_bytes = event->end.write_bytes = number;
	event->lost.where = (enum lost_where)(number % 3);
	event->lost.count = event->lost.first_seq = event->lost.last_seq = number;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct json *json;
	struct bytes rest = { (const char *)data, size }, head = BYTES_NONE;
	struct process process = { 0 };
	struct event event = { .process = &process };
	struct image *image = &process.image;
	struct bytes *const fields[] = {
		&process.comm, &process.parent_comm, &image->exe,	 &image->filename, &image->args,
		&image->cwd,   &image->env,	     &process.ancestors, &image->cgroup,   &image->unit,
	};
	unsigned long long number = 0, keys = 0;
	char text[80] = "", type[16] = "";
	unsigned flags = 0;

	if (!data || !next_part(&rest, &head))
		return 0;
	memcpy(text, head.data, head.size < sizeof(text) ? head.size : sizeof(text) - 1);
	if (sscanf(text, "%15s %x %llx %llx", type, &flags, &number, &keys) != 4 ||
	    !event_type_by_name(bytes_of(type), &event.type))
		return 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		next_part(&rest, fields[i]);
	fill(&process, &event, flags, number);
	if (event.type == EVENT_LOST || event.type == EVENT_LIVE)
		event.process = NULL;
	if (!json)
		ASSERT(json_new(&json) == 0);
	/* Twice: nothing of the first may be in the second. */
	for (int i = 0; i < 2; i++) {
		_cleanup_(line_unref_p) struct line *line = NULL;

		ASSERT(json_event(json, &line, &event, keys) == 0);
		check_line(line, &event, keys);
		check_harmless(line);
	}
	return 0;
}
