/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/group_options.h"

static int add_key(struct groups_options *ret, const char *name, size_t size)
{
	if (ret->key_count == GROUP_KEYS_MAX) {
		fprintf(stderr, "execsnoopctl: --by: at most %d keys\n", GROUP_KEYS_MAX);
		return CTL_USAGE;
	}
	if (!group_key_by_name((struct bytes){ name, size }, &ret->keys[ret->key_count])) {
		fprintf(stderr, "execsnoopctl: --by %.*s: not one of", (int)size, name);
		for (enum group_key key = 0; key < GROUP_KEYS; key++)
			fprintf(stderr, "%s %s", key > 0 ? "," : "", group_key_name(key));
		fputc('\n', stderr);
		return CTL_USAGE;
	}
	ret->key_count++;
	return 0;
}

static int check_sort(const char *name)
{
	enum group_order order;

	if (!name || group_order_by_name(name, &order))
		return 0;
	fprintf(stderr, "execsnoopctl: --sort %s: not one of", name);
	for (order = 0; order < GROUP_ORDERS; order++)
		fprintf(stderr, "%s %s", order > 0 ? "," : "", group_order_name(order));
	fputc('\n', stderr);
	return CTL_USAGE;
}

int group_options(struct groups_options *ret, const struct options *options)
{
	const char *names = options->by ? options->by : "exe";

	for (;;) {
		size_t size = strcspn(names, ",");
		int r = add_key(ret, names, size);

		if (r != 0)
			return r;
		if (names[size] == '\0')
			return check_sort(options->sort);
		names += size + 1;
	}
}
