/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/event/query.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#include "ctl/event/query_internal.h"
#include "util/quote.h"

int query_new(struct query **ret)
{
	_cleanup_(query_free_p) struct query *query = calloc(1, sizeof(*query));
	int r;

	if (!query)
		return -ENOMEM;
	r = filter_new(&query->filter);
	if (r == 0)
		r = filter_new(&query->trees);
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
	filter_free(query->trees);
	for (size_t i = 0; i < query->program_count; i++)
		glob_free(query->programs[i].glob);
	for (size_t i = 0; i < query->match_count; i++)
		glob_free(query->matches[i].glob);
	if (query->has_regex)
		regfree(&query->regex);
	free(query->programs);
	free(query->matches);
	bytebuf_free(&query->command);
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
	return filter_add(key == FILTER_TREE ? query->trees : query->filter, key, bytes_of(value), ret_reason);
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

struct query_bounds *query_set_bounds(struct query *query)
{
	return &query->bounds;
}

const struct query_bounds *query_bounds(const struct query *query)
{
	return &query->bounds;
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

static int look_at_list(void *userdata, enum key key, struct bytes items)
{
	if (items.size == 0)
		return 0;
	for (const char *item = items.data; item < items.data + items.size; item += strlen(item) + 1)
		look_at(userdata, key, bytes_of(item));
	return 0;
}

static bool passes_key(const struct query *query, const struct parsed *parsed, enum key key)
{
	static const struct event_visitor visitor = {
		.bytes = look_at,
		.list = look_at_list,
		.object = look_at_list,
	};
	struct look look = { .query = query, .key = key };
	struct bytes value;

	for (size_t i = 0; i < query->match_count; i++)
		look.plain |= query->matches[i].key == key && !query->matches[i].excludes;
	if (parsed_as_it_came(parsed, key, &value)) {
		if (value.data)
			look_at(&look, key, value);
	} else if (parsed_has(parsed, key)) {
		event_visit(&parsed->event, KEY_BIT(key), &visitor, &look);
	} else if (key == KEY_ANCESTORS) {
		look_at_list(&look, key, parsed->ancestors);
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
	struct text text;

	if (!query->has_regex)
		return true;
	if (bytebuf_reserve(&query->command, 4 * process->image.args.size + 64) < 0)
		return false;
	text_begin(&text, query->command.data, query->command.capacity);
	if (process->image.args.size > 0)
		text_args(&text, process->image.args);
	else if (process->image.exe.data)
		text_name(&text, process->image.exe);
	return regexec(&query->regex, query->command.data, 0, NULL, 0) == 0;
}

static bool passes_cost(const struct query *query, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	if (query->bounds.failed && !parsed_failed(parsed))
		return false;
	if (query->bounds.slower > 0 && (event->type != EVENT_EXITED || event->end.running_ns < query->bounds.slower))
		return false;
	return query->bounds.cpu == 0 || (event->type == EVENT_EXITED && event->end.cpu_known &&
					  event->end.cpu_user_ns + event->end.cpu_system_ns >= query->bounds.cpu);
}

/* An end has the times of the beginning and the end, whenever these were; other events are of before the end of the
 * time. */
static bool passes_lived(const struct query *query, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	uint64_t time = event->type == EVENT_EXITED ? parsed->process.start_time : event->time;

	if (event->type == EVENT_ERROR && event->time < query->bounds.since)
		return false;
	return query->bounds.until == 0 || time < query->bounds.until;
}

static bool passes_times(const struct query *query, const struct parsed *parsed)
{
	uint64_t time = parsed_has(parsed, KEY_TIME) ? parsed->event.time : 0;

	if (query->bounds.lived)
		return passes_lived(query, parsed);
	return time >= query->bounds.since && (query->bounds.until == 0 || time < query->bounds.until);
}

void query_follow(struct query *query, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;

	if (query->trees_at_source || (event->type != EVENT_STARTED && event->type != EVENT_FORKED))
		return;
	if (filter_fork(query->trees, event->process) < 0)
		query->trees_unknown = true;
}

/* A process belongs to a tree if its parent did: so all that start are looked at, whatever else the query asks for. */
static bool passes_trees(struct query *query, const struct parsed *parsed)
{
	if (query->trees_at_source || filter_is_empty(query->trees) || !parsed->event.process)
		return true;
	query_follow(query, parsed);
	return query->trees_unknown || filter_pass(query->trees, &parsed->event);
}

bool query_pass(struct query *query, const struct parsed *parsed)
{
	const struct event *event = &parsed->event;
	bool in_trees = passes_trees(query, parsed);

	if (!passes_times(query, parsed))
		return false;
	if (event->type == EVENT_LOST || event->type == EVENT_LIVE)
		return true;
	if (event->type == EVENT_TYPE_MAX)
		return false;
	return in_trees && filter_pass(query->filter, event) && passes_programs(query, event->process) &&
	       passes_cost(query, parsed) && passes_matches(query, parsed) && passes_regex(query, event->process);
}

bool query_takes_all(const struct query *query)
{
	for (enum filter_key key = 0; key < FILTER_KEY_MAX; key++)
		if (filter_entry(query->filter, key, 0) || filter_entry(query->trees, key, 0))
			return false;
	return query->program_count == 0 && query->match_count == 0 && !query->has_regex && !query->bounds.failed &&
	       query->bounds.slower == 0 && query->bounds.cpu == 0;
}

bool query_is_local(const struct query *query)
{
	return query->program_count > 0 || query->match_count > 0 || query->has_regex || query->bounds.failed ||
	       query->bounds.slower > 0 || query->bounds.cpu > 0 || query->bounds.since > 0 || query->bounds.until > 0;
}

bool query_has_tree(const struct query *query)
{
	return !filter_is_empty(query->trees);
}
