/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/event/key_text.h"

#include <inttypes.h>

#include "ctl/text/event_text.h"

/* Others come with the key: `type`, and all of a loss. */
struct wanted {
	struct text *text;
	enum key key;
};

static int put_bytes(void *userdata, enum key key, struct bytes value)
{
	struct wanted *wanted = userdata;

	if (key == wanted->key)
		text_name(wanted->text, value);
	return 0;
}

static int put_list(void *userdata, enum key key, struct bytes items)
{
	struct wanted *wanted = userdata;

	if (key == wanted->key)
		text_args(wanted->text, items);
	return 0;
}

void key_text(struct text *text, const struct parsed *parsed, enum key key, const char *flag)
{
	static const struct event_visitor visitor = { .bytes = put_bytes, .list = put_list, .object = put_list };
	struct wanted wanted = { text, key };
	struct bytes value;

	if (parsed_as_it_came(parsed, key, &value))
		text_name(text, value);
	else if (!parsed_has(parsed, key) || parsed->event.type == EVENT_TYPE_MAX)
		return;
	else if (parsed_kind(key) == PARSED_FLAG)
		text_string(text, flag);
	else
		event_visit(&parsed->event, KEY_BIT(key), &visitor, &wanted);
}

/* Each byte is four when it is shown, with quotes around each argument. */
size_t key_text_size_max(const struct parsed *parsed)
{
	const struct process *process = &parsed->process;
	const struct image *image = &process->image;
	const struct extras *extras = &parsed->extras;
	const struct bytes texts[] = {
		image->args,	      image->env,     image->exe,	  image->filename,     image->cwd,
		image->cgroup,	      image->unit,    image->pod_uid,	  image->container_id, process->comm,
		process->parent_comm, extras->host,   extras->user,	  extras->group,       extras->login_user,
		extras->parent_exe,   parsed->type,   parsed->id,	  parsed->parent_id,   parsed->starter_id,
		parsed->tty,	      parsed->source, parsed->error_name, parsed->host,	       process->ancestors,
		extras->parent_args,
	};
	size_t sum = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		sum += texts[i].size;
	return 5 * sum + 512;
}

void user_text(struct text *text, const struct parsed *parsed, bool numeric)
{
	if (parsed_has(parsed, KEY_UID))
		text_user(text, parsed->process.uid, numeric);
}

void parent_text(struct text *text, const struct parsed *parsed)
{
	text_name(text, parsed->process.parent_comm);
	if (parsed_has(parsed, KEY_PPID))
		text_printf(text, "(%" PRIu32 ")", parsed->process.ppid);
}
