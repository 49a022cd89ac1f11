/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/top_source.h"

#include <errno.h>

/* Of every event; and of its groups, by their key. */
#define FIELDS                                                                                                           \
	"\"id\",\"snapshot\",\"source\",\"exe\",\"path_tries\",\"comm\",\"running_time_ns\",\"result\",\"cpu_user_ns\"," \
	"\"cpu_system_ns\",\"max_rss_bytes\",\"read_bytes\",\"write_bytes\",\"error_code\""

static const char *const key_fields[GROUP_KEYS] = {
	[GROUP_EXE] = "",
	[GROUP_UNIT] = ",\"unit\"",
	[GROUP_USER] = ",\"uid\"",
	[GROUP_SPAWNER] = ",\"ppid\",\"parent_comm\"",
	[GROUP_CONTAINER] = ",\"container_id\"",
	[GROUP_ARGS] = ",\"args\"",
	[GROUP_COMM] = "",
	[GROUP_STATUS] = ",\"exit_code\",\"exit_signal\",\"error\"",
	[GROUP_HOST] = ",\"host\"",
	[GROUP_PROGRAM] = "",
	[GROUP_COMMAND] = ",\"args\"",
};

/* Without local conditions, the daemon does all that the query wants, and needs no keys for that. */
static int complete(char **request, const struct groups_options *by, bool all_keys)
{
	_cleanup_free_ char *old = *request;
	char keys[256] = "";
	int n;

	for (size_t i = 0; i < by->key_count; i++)
		strcat(keys, key_fields[by->keys[i]]);
	n = all_keys ? asprintf(request, "{\"path_search\":\"fold\",%s", old + 1)
		     : asprintf(request, "{\"path_search\":\"fold\",\"fields\":[" FIELDS "%s],%s", keys, old + 1);
	if (n < 0)
		*request = NULL;
	return *request ? 0 : -ENOMEM;
}

int top_source_open(struct event_source **ret, const struct options *options, const struct groups_options *by,
		    bool *ret_local)
{
	_cleanup_free_ char *request = NULL;
	int r;

	*ret_local = options->input || query_is_local(options->query);
	if (options->input) {
		r = source_open_file(ret, options->input);
		return r < 0 ? options_file_status(r) : 0;
	}
	r = query_request(options->query, true, &request);
	if (r == 0)
		r = complete(&request, by, *ret_local);
	if (r < 0)
		return CTL_FAILED;
	r = source_open_socket(ret, options->socket, request);
	return r < 0 ? options_status(r) : 0;
}
