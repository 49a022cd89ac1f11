/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/filter_item.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "util/time_span.h"

#define ERRNO_MAX 4095 /* MAX_ERRNO, include/linux/err.h */

void filter_item_free(struct filter_item *item)
{
	free(item->entry);
	glob_free(item->glob);
}

/* Decimal digits and nothing else. */
static bool number_parse(struct bytes text, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (text.size == 0)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.data[i] - '0');
		if (n > max)
			return false;
	}
	*ret = n;
	return true;
}

/* An error's number, negative as in error_code or positive as in errno(3), or its name, which may
 * be a glob. A name that does not exist is refused, since it would never match. */
static int error_parse(struct filter_item *item, struct bytes value, const char **ret_reason)
{
	struct bytes digits = value, name;
	int r;

	if (digits.size > 0 && digits.data[0] == '-') {
		digits.data++;
		digits.size--;
	}
	if (number_parse(digits, ERRNO_MAX, &item->number) && item->number > 0)
		return 0;
	r = glob_new(&item->glob, value, ret_reason);
	if (r < 0 || !glob_is_literal(item->glob, &name))
		return r;
	for (int i = 1; i <= ERRNO_MAX; i++) {
		const char *known = errno_name(i);

		if (known && bytes_equal(name, bytes_of(known))) {
			item->glob = glob_free(item->glob);
			item->number = (uint32_t)i;
			return 0;
		}
	}
	*ret_reason = "no such error";
	return -EINVAL;
}

/* A glob of the results' names becomes the set of those that it matches. */
static int result_parse(struct filter_item *item, struct bytes value, const char **ret_reason)
{
	_cleanup_(glob_free_p) struct glob *glob = NULL;
	int r = glob_new(&glob, value, ret_reason);

	if (r < 0)
		return r;
	for (enum result result = RESULT_SUCCESS; result < RESULT_MAX; result++)
		if (glob_match(glob, bytes_of(result_name(result))))
			item->number |= UINT64_C(1) << result;
	if (item->number != 0)
		return 0;
	*ret_reason = "no such result";
	return -EINVAL;
}

/* A number, or "unset", as in auditctl(8). */
static bool loginuid_parse(struct bytes value, uint64_t *ret)
{
	if (!bytes_equal(value, BYTES("unset")))
		return number_parse(value, UINT32_MAX, ret);
	*ret = PROCESS_UNSET;
	return true;
}

/* As a configuration file has booleans. */
static bool boolean_parse(struct bytes value, uint64_t *ret)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (value.size == strlen(words[i]) && strncasecmp(value.data, words[i], value.size) == 0) {
			*ret = i % 2;
			return true;
		}
	}
	return false;
}

static bool duration_parse(struct bytes value, uint64_t *ret)
{
	char text[128] = "";

	if (value.size >= sizeof(text))
		return false;
	memcpy(text, value.data, value.size);
	return time_span_parse(text, ret);
}

static int refuse(bool good, const char *reason, const char **ret_reason)
{
	if (good)
		return 0;
	*ret_reason = reason;
	return -EINVAL;
}

int filter_item_parse(struct filter_item *item, enum filter_key key, struct bytes value, const char **ret_reason)
{
	enum event_type type;

	switch (key) {
	case FILTER_TYPES:
		if (event_type_by_name(value, &type))
			item->number = type;
		else
			type = EVENT_TYPE_MAX;
		return refuse(type != EVENT_TYPE_MAX, "no such event type", ret_reason);
	case FILTER_PID:
	case FILTER_PPID:
	case FILTER_TREE:
	case FILTER_UID:
	case FILTER_GID:
		return refuse(number_parse(value, UINT32_MAX, &item->number), "not a number", ret_reason);
	case FILTER_LOGINUID:
		return refuse(loginuid_parse(value, &item->number), "neither a number nor unset", ret_reason);
	case FILTER_SECUREEXEC:
		return refuse(boolean_parse(value, &item->number), "not a boolean (yes or no)", ret_reason);
	case FILTER_MIN_RUNNING_TIME:
	case FILTER_MIN_CPU:
		return refuse(duration_parse(value, &item->number), "not a duration (as 100ms or 2min 3s)", ret_reason);
	case FILTER_ERROR:
		return error_parse(item, value, ret_reason);
	case FILTER_RESULT:
		return result_parse(item, value, ret_reason);
	default:
		return glob_new(&item->glob, value, ret_reason);
	}
}
