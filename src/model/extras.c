/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/extras.h"

#include "util/nulstr.h"

#define KEYS_PARENT (KEY_BIT(KEY_PARENT_EXE) | KEY_BIT(KEY_PARENT_ARGS) | KEY_BIT(KEY_PARENT_ARGS_TRUNCATED))

/* What the parent runs now: by identity, since its pid may be another process's by now. */
static void make_parent(struct extras *extras, const struct process *process)
{
	const struct proctable *table = extras->source->table;
	const struct entry *parent = table && process->ppid != 0 && process->parent_start != 0
					     ? proctable_find(table, process->ppid, process->parent_start)
					     : NULL;

	extras->parent_exe = parent ? parent->process.image.exe : BYTES_NONE;
	extras->parent_args = parent ? parent->process.image.args : BYTES_NONE;
	extras->parent_args_truncated = parent && parent->process.image.args_truncated;
	if (extras->parent_args.size > EXTRAS_PARENT_ARGS_MAX) {
		extras->parent_args.size = nulstr_cut(extras->parent_args, EXTRAS_PARENT_ARGS_MAX);
		extras->parent_args_truncated = true;
	}
}

static void make_names(struct extras *extras, const struct process *process)
{
	const struct extras_source *source = extras->source;

	extras->user = names_find(source->users, process->uid);
	extras->group = names_find(source->groups, process->gid);
	extras->login_user = process->loginuid != PROCESS_UNSET ? names_find(source->users, process->loginuid)
								: BYTES_NONE;
}

void extras_make(struct extras *extras, const struct process *process, key_set keys)
{
	const key_set names = KEY_BIT(KEY_USER) | KEY_BIT(KEY_GROUP) | KEY_BIT(KEY_LOGIN_USER);

	keys &= ~extras->made;
	if (!(keys & KEYS_ON_REQUEST) || !extras->source)
		return;
	extras->host = extras->source->host;
	extras->made |= KEY_BIT(KEY_HOST);
	if (process && keys & names) {
		make_names(extras, process);
		extras->made |= names;
	}
	if (process && keys & KEYS_PARENT) {
		make_parent(extras, process);
		extras->made |= KEYS_PARENT;
	}
}
