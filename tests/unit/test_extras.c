/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/event_cut.h"

#include "tap.h"

static struct proctable *table;
static struct names *users, *groups;
static struct extras_source source = { .host = { "host.example", 12 } };
static struct extras extras = { .source = &source };

static struct bytes name_of(struct bytes name)
{
	return name.data ? name : BYTES("none");
}

static void begin(void)
{
	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	CHECK_INT(names_new(&users, BYTES("root:x:0:\nbob:x:1000:\nalice:x:1001:\n")), 0);
	CHECK_INT(names_new(&groups, BYTES("root:x:0:\nstaff:x:50:\n")), 0);
	source.table = table;
	source.users = users;
	source.groups = groups;
}
SETUP(begin)

static void add(const struct process *process)
{
	struct entry *entry;

	CHECK_INT(proctable_add(table, &entry, process), 0);
}

static void make(const struct process *process, key_set keys)
{
	extras.made = 0;
	extras_make(&extras, process, keys);
}

TEST(names_are_those_of_the_ids)
{
	struct process process = { .uid = 1000, .gid = 50, .loginuid = 1001 };

	make(&process, KEYS_EVERY);
	CHECK(bytes_equal(extras.host, BYTES("host.example")));
	CHECK(bytes_equal(extras.user, BYTES("bob")));
	CHECK(bytes_equal(extras.group, BYTES("staff")));
	CHECK(bytes_equal(extras.login_user, BYTES("alice")));
	process = (struct process){ .uid = 7, .gid = 7, .loginuid = PROCESS_UNSET };
	make(&process, KEYS_EVERY);
	CHECK(!extras.user.data && !extras.group.data && !extras.login_user.data);
	/* Nothing was read, as where no output asks for names. */
	source.users = source.groups = NULL;
	process = (struct process){ 0 };
	make(&process, KEYS_EVERY);
	CHECK(!extras.user.data && !extras.group.data && !extras.login_user.data);
}

TEST(parent_is_found_by_its_identity)
{
	struct process parent = { .tgid = 10, .start = 5, .image = { .exe = BYTES("/p"), .args = BYTES("p\0-x\0") } };
	struct process child = { .tgid = 11, .ppid = 10, .parent_start = 5 };

	add(&parent);
	make(&child, KEYS_EVERY);
	CHECK(bytes_equal(extras.parent_exe, BYTES("/p")));
	CHECK(bytes_equal(extras.parent_args, BYTES("p\0-x\0")));
	CHECK(!extras.parent_args_truncated);
	/* Another process has its pid now. */
	child.parent_start = 4;
	make(&child, KEYS_EVERY);
	CHECK(!extras.parent_exe.data && !extras.parent_args.data && !extras.parent_args_truncated);
	child.parent_start = 0;
	make(&child, KEYS_EVERY);
	CHECK(!extras.parent_exe.data);
	child = (struct process){ .tgid = 1 };
	make(&child, KEYS_EVERY);
	CHECK(!extras.parent_exe.data);
}

TEST(long_arguments_of_a_parent_are_cut_between_two)
{
	static char args[3 * 30000];
	struct process parent = { .tgid = 10, .start = 5 }, child = { .ppid = 10, .parent_start = 5 };

	for (size_t i = 0; i < sizeof(args); i++)
		args[i] = (i + 1) % 30000 ? 'a' : '\0';
	parent.image.args = (struct bytes){ args, sizeof(args) };
	add(&parent);
	make(&child, KEYS_EVERY);
	CHECK_INT(extras.parent_args.size, 60000);
	CHECK(extras.parent_args_truncated);
	parent = (struct process){ .tgid = 12, .start = 5, .image = { .args = BYTES("a\0"), .args_truncated = true } };
	child.ppid = 12;
	add(&parent);
	make(&child, KEYS_EVERY);
	CHECK_INT(extras.parent_args.size, 2);
	CHECK(extras.parent_args_truncated);
}

TEST(limit_of_an_output_is_for_the_arguments_of_the_parent_too)
{
	struct process parent = { .tgid = 10, .start = 5, .image = { .args = BYTES("parent\0-x\0-y\0") } };
	struct process child = { .ppid = 10, .parent_start = 5, .image = { .args = BYTES("c\0") } };
	const key_set keys = KEYS_ALL | KEY_BIT(KEY_PARENT_ARGS);
	struct event event = { .type = EVENT_STARTED, .process = &child, .extras = &extras };
	const struct event *view;
	struct event_cut cut;

	add(&parent);
	extras.made = 0;
	CHECK(event_cut_args(&event, KEYS_ALL, 10, &cut) == &event);
	CHECK(event_cut_args(&event, keys, 13, &cut) == &event);
	view = event_cut_args(&event, keys, 11, &cut);
	CHECK(view == &cut.event);
	CHECK(bytes_equal(view->extras->parent_args, BYTES("parent\0-x\0")));
	CHECK(view->extras->parent_args_truncated && !view->process->image.args_truncated);
	CHECK(bytes_equal(view->process->image.args, BYTES("c\0")));
	/* Another output has all of them. */
	CHECK_INT(extras.parent_args.size, 13);
	CHECK(!extras.parent_args_truncated);
}

TEST(nothing_is_made_that_is_not_asked_for)
{
	struct process process = { .uid = 1000, .loginuid = 1001 };

	make(&process, KEYS_ALL);
	CHECK(extras.made == 0);
	make(&process, KEY_BIT(KEY_HOST));
	CHECK(extras.made == KEY_BIT(KEY_HOST));
	/* What was made of the event before is not of this one. */
	make(&process, KEY_BIT(KEY_USER));
	CHECK(bytes_equal(name_of(extras.user), BYTES("bob")));
	process.uid = 7;
	make(&process, KEY_BIT(KEY_USER));
	CHECK(bytes_equal(name_of(extras.user), BYTES("none")));
	/* Of an event without a process only the host. */
	make(NULL, KEYS_EVERY);
	CHECK(extras.made == KEY_BIT(KEY_HOST));
}

TAP_MAIN
