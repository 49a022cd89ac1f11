/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/event/query.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <yajl/yajl_gen.h>

#include "util/glob.h"
#include "util/quote.h"

struct program {
	struct glob *glob;
	bool has_slash;
};

/* Of a key that the daemon's filter does not know. */
struct match {
	enum key key;
	bool excludes;
	struct glob *glob;
};

struct query {
	struct filter *filter;
	struct program *programs;
	size_t program_count;
	struct match *matches;
	size_t match_count;
	regex_t regex;
	bool has_regex, failed, lived;
	uint64_t slower, cpu, since, until;
	char *command; /* scratch for the regex */
	size_t command_size;
};

int query_new(struct query **ret)
{
	_cleanup_(query_free_p) struct query *query = calloc(1, sizeof(*query));
	int r;

	if (!query)
		return -ENOMEM;
	r = filter_new(&query->filter);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(query);
	return 0;
}

struct query *query_free(struct query *query)
{
	if (!query)
		return NULL;
	filter_free(query->filter);
	for (size_t i = 0; i < query->program_count; i++)
		glob_free(query->programs[i].glob);
	for (size_t i = 0; i < query->match_count; i++)
		glob_free(query->matches[i].glob);
	if (query->has_regex)
		regfree(&query->regex);
	free(query->programs);
	free(query->matches);
	free(query->command);
	free(query);
	return NULL;
}

int query_add_program(struct query *query, const char *glob, const char **ret_reason)
{
	struct program *programs = reallocarray(query->programs, query->program_count + 1, sizeof(*programs));
	struct program *program;
	int r;

	if (!programs)
		return -ENOMEM;
	query->programs = programs;
	program = &programs[query->program_count];
	program->has_slash = strchr(glob, '/');
	r = glob_new(&program->glob, bytes_of(glob), ret_reason);
	if (r < 0)
		return r;
	query->program_count++;
	return 0;
}

int query_add(struct query *query, enum filter_key key, const char *value, const char **ret_reason)
{
	return filter_add(query->filter, key, bytes_of(value), ret_reason);
}

static int add_match(struct query *query, enum key key, const char *value, const char **ret_reason)
{
	struct match *matches = reallocarray(query->matches, query->match_count + 1, sizeof(*matches));
	struct match *match;
	int r;

	if (!matches)
		return -ENOMEM;
	query->matches = matches;
	match = &matches[query->match_count];
	*match = (struct match){ .key = key, .excludes = *value == '!' };
	r = glob_new(&match->glob, bytes_of(value + match->excludes), ret_reason);
	if (r < 0)
		return r;
	query->match_count++;
	return 0;
}

int query_add_pair(struct query *query, const char *pair, const char **ret_reason)
{
	const char *equals = strchr(pair, '=');
	struct bytes name = { pair, equals ? (size_t)(equals - pair) : 0 };
	enum filter_key filter_key;
	enum key key;

	*ret_reason = "not KEY=VALUE";
	if (!equals)
		return -EINVAL;
	if (bytes_equal(name, BYTES("type")))
		name = BYTES("types");
	if (filter_key_by_name(name, &filter_key))
		return query_add(query, filter_key, equals + 1, ret_reason);
	*ret_reason = "no such key, see execsnoopd-events(7)";
	if (!key_by_name(name, &key))
		return -EINVAL;
	return add_match(query, key, equals + 1, ret_reason);
}

int query_set_regex(struct query *query, const char *regex, const char **ret_reason)
{
	static char reason[128];
	int r;

	if (query->has_regex)
		regfree(&query->regex);
	query->has_regex = false;
	r = regcomp(&query->regex, regex, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		regerror(r, NULL, reason, sizeof(reason));
		*ret_reason = reason;
		return -EINVAL;
	}
	query->has_regex = true;
	return 0;
}

void query_set_failed(struct query *query)
{
	query->failed = true;
}

void query_set_slower(struct query *query, uint64_t ns)
{
	query->slower = ns;
}

void query_set_cpu(struct query *query, uint64_t ns)
{
	query->cpu = ns;
}

void query_set_times(struct query *query, uint64_t since_ns, uint64_t until_ns)
{
	query->since = since_ns;
	query->until = until_ns;
}

void query_set_lived(struct query *query)
{
	query->lived = true;
}

bool query_lived(const struct query *query)
{
	return query->lived;
}

static struct bytes base_name(struct bytes path)
{
	const char *slash = path.size ? memrchr(path.data, '/', path.size) : NULL;

	return slash ? (struct bytes){ slash + 1, path.size - (size_t)(slash + 1 - path.data) } : path;
}

static bool is_program(const struct program *program, const struct process *process)
{
	const struct image *image = &process->image;

	if (program->has_slash)
		return (image->exe.data && glob_match(program->glob, image->exe)) ||
		       (image->filename.data && glob_match(program->glob, image->filename));
	return (process->comm.data && glob_match(program->glob, process->comm)) ||
	       (image->exe.data && glob_match(program->glob, base_name(image->exe))) ||
	       (image->filename.data && glob_match(program->glob, base_name(image->filename)));
}

static bool passes_programs(const struct query *query, const struct process *process)
{
	for (size_t i = 0; i < query->program_count; i++)
		if (is_program(&query->programs[i], process))
			return true;
	return query->program_count == 0;
}

/* One key, and what there is of it. */
struct look {
	const struct query *query;
	enum key key;
	bool plain, matched, excluded;
};

static int look_at(void *userdata, enum key key, struct bytes value)
{
	struct look *look = userdata;

	for (size_t i = 0; i < look->query->match_count; i++) {
		const struct match *match = &look->query->matches[i];

		if (match->key == key && glob_match(match->glob, value))
			*(match->excludes ? &look->excluded : &look->matched) = true;
	}
	return 0;
}

static int look_at_number(void *userdata, enum key key, int64_t value)
{
	char text[EVENT_NUMBER_SIZE];

	return look_at(userdata, key, (struct bytes){ text, event_number_format(text, key, value) });
}

static int look_at_flag(void *userdata, enum key key)
{
	return look_at(userdata, key, BYTES("true"));
}

static int look_at_text(void *userdata, enum key key, const char *value)
{
	return look_at(userdata, key, bytes_of(value));
}

static int look_at_time(void *userdata, enum key key, uint64_t ns)
{
	char text[EVENT_TIME_SIZE];

	event_time_format(text, ns);
	return look_at(userdata, key, bytes_of(text));
}

static int look_at_list(void *userdata, enum key key, struct bytes items)
{
	for (const char *item = items.data; item < items.data + items.size; item += strlen(item) + 1)
		look_at(userdata, key, bytes_of(item));
	return 0;
}

static bool passes_key(const struct query *query, const struct parsed *parsed, enum key key)
{
	static const struct event_visitor visitor = {
		.number = look_at_number,
		.flag = look_at_flag,
		.text = look_at_text,
		.time = look_at_time,
		.bytes = look_at,
		.list = look_at_list,
		.object = look_at_list,
	};
	struct look look = { .query = query, .key = key };

	for (size_t i = 0; i < query->match_count; i++)
		look.plain |= query->matches[i].key == key && !query->matches[i].excludes;
	/* These are kept as they came, not as the daemon's encoder would make them. */
	if (key == KEY_ID || key == KEY_PARENT_ID || key == KEY_STARTER_ID || key == KEY_TTY || key == KEY_SOURCE) {
		struct bytes value = key == KEY_ID	     ? parsed->id
				     : key == KEY_PARENT_ID  ? parsed->parent_id
				     : key == KEY_STARTER_ID ? parsed->starter_id
				     : key == KEY_TTY	     ? parsed->tty
							     : parsed->source;

		if (value.data)
			look_at(&look, key, value);
	} else if (parsed_has(parsed, key)) {
		event_visit(&parsed->event, KEY_BIT(key), &visitor, &look);
	}
	return !look.excluded && (look.matched || !look.plain);
}

static bool passes_matches(const struct query *query, const struct parsed *parsed)
{
	for (size_t i = 0; i < query->match_count; i++)
		if (!passes_key(query, parsed, query->matches[i].key))
			return false;
	return true;
}

/* An argument list can be 2 MiB, and each byte four when shown. */
static bool passes_regex(struct query *query, const struct process *process)
{
	size_t size = 4 * process->image.args.size + 64;
	struct text text;

	if (!query->has_regex)
		return true;
	if (size > query->command_size) {
		char *command = realloc(query->command, size);

		if (!command)
			return false;
		query->command = command;
		query->command_size = size;
	}
	text_begin(&text, query->command, query->command_size);
	if (process->image.args.size > 0)
		text_args(&text, process->image.args);
	else if (process->image.exe.data)
		text_name(&text, process->image.exe);
	return regexec(&query->regex, query->command, 0, NULL, 0) == 0;
}

static bool passes_cost(const struct query *query, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	if (query->failed && !parsed_failed(parsed))
		return false;
	if (query->slower > 0 && (event->type != EVENT_EXITED || event->end.running_ns < query->slower))
		return false;
	return query->cpu == 0 || (event->type == EVENT_EXITED && event->end.cpu_known &&
				   event->end.cpu_user_ns + event->end.cpu_system_ns >= query->cpu);
}

/* An end says when the process began and ended, whenever that was; other events are of before the end of the time. */
static bool passes_lived(const struct query *query, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	uint64_t time = event->type == EVENT_EXITED ? parsed->process.start_time : event->time;

	if (event->type == EVENT_ERROR && event->time < query->since)
		return false;
	return query->until == 0 || time < query->until;
}

static bool passes_times(const struct query *query, const struct parsed *parsed)
{
	uint64_t time = parsed_has(parsed, KEY_TIME) ? parsed->event.time : 0;

	if (query->lived)
		return passes_lived(query, parsed);
	return time >= query->since && (query->until == 0 || time < query->until);
}

bool query_pass(struct query *query, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	if (!passes_times(query, parsed))
		return false;
	if (event->type == EVENT_LOST || event->type == EVENT_LIVE)
		return true;
	if (event->type == EVENT_TYPE_MAX)
		return false;
	return filter_pass(query->filter, event) && passes_programs(query, event->process) &&
	       passes_cost(query, parsed) && passes_matches(query, parsed) && passes_regex(query, event->process);
}

bool query_is_local(const struct query *query)
{
	return query->program_count > 0 || query->match_count > 0 || query->has_regex || query->failed ||
	       query->slower > 0 || query->cpu > 0 || query->since > 0 || query->until > 0;
}

const struct filter *query_filter(const struct query *query)
{
	return query->filter;
}

uint64_t query_since(const struct query *query)
{
	return query->since;
}

uint64_t query_until(const struct query *query)
{
	return query->until;
}

static void put_text(yajl_gen gen, const char *text)
{
	yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

int query_request(const struct query *query, bool snapshot, char **ret)
{
	const unsigned char *data;
	size_t size;
	yajl_gen gen = yajl_gen_alloc(NULL);

	if (!gen)
		return -ENOMEM;
	yajl_gen_map_open(gen);
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++) {
		const char *entry = filter_entry(query->filter, key, 0);

		if (!entry)
			continue;
		put_text(gen, filter_key_name(key));
		yajl_gen_array_open(gen);
		for (size_t i = 0; entry; entry = filter_entry(query->filter, key, ++i))
			put_text(gen, entry);
		yajl_gen_array_close(gen);
	}
	put_text(gen, "snapshot");
	yajl_gen_bool(gen, snapshot);
	yajl_gen_map_close(gen);
	yajl_gen_get_buf(gen, &data, &size);
	*ret = NULL;
	if (asprintf(ret, "%.*s\n", (int)size, data) < 0)
		*ret = NULL;
	yajl_gen_free(gen);
	return *ret ? 0 : -ENOMEM;
}
