/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/collect/groups.h"

static const char *const order_names[GROUP_ORDERS] = { "started", "cpu",     "failed", "longest", "rss",
						       "ended",	  "running", "short",  "mean",	  "read",
						       "write",	  "name",    "io" };

const char *group_order_name(enum group_order order)
{
	return order_names[order];
}

bool group_order_by_name(const char *name, enum group_order *ret)
{
	for (enum group_order order = 0; order < GROUP_ORDERS; order++) {
		if (strcmp(name, order_names[order]) == 0) {
			*ret = order;
			return true;
		}
	}
	return false;
}

static uint64_t value_of(const struct group *group, enum group_order order)
{
	const struct sums *sums = &group->sums;

	switch (order) {
	case ORDER_STARTED:
		return sums->started;
	case ORDER_CPU:
		return sums->cpu_ns;
	case ORDER_FAILED:
		return sums->failed + sums->errors;
	case ORDER_LONGEST:
		return sums->longest_ns;
	case ORDER_RSS:
		return sums->rss;
	case ORDER_ENDED:
		return sums->ended;
	case ORDER_RUNNING:
		return group->running;
	case ORDER_SHORT:
		return sums->below_1s;
	case ORDER_MEAN:
		return sums->ended > 0 ? sums->running_ns / sums->ended : 0;
	case ORDER_READ:
		return sums->read_bytes;
	case ORDER_WRITE:
		return sums->write_bytes;
	case ORDER_IO:
		return sums->read_bytes + sums->write_bytes;
	default:
		return 0;
	}
}

int group_compare(const struct group *x, const struct group *y, enum group_order order)
{
	uint64_t first = value_of(x, order), second = value_of(y, order);
	int r = (first < second) - (first > second);

	for (size_t i = 0; r == 0 && i < GROUP_KEYS_MAX && x->names[i]; i++)
		r = strcmp(x->names[i], y->names[i]);
	return r;
}
