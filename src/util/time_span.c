/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/time_span.h"

#include <ctype.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define MINUTE (60 * NS_PER_S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
/* As systemd.time(7) defines them. */
#define MONTH (30 * DAY + 10 * HOUR + 30 * MINUTE)
#define YEAR (365 * DAY + 6 * HOUR)

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },
	{ "nsec", 1 },
	{ "us", 1000 },
	{ "usec", 1000 },
	{ "ms", NS_PER_MS },
	{ "msec", NS_PER_MS },
	{ "s", NS_PER_S },
	{ "sec", NS_PER_S },
	{ "second", NS_PER_S },
	{ "seconds", NS_PER_S },
	{ "m", MINUTE },
	{ "min", MINUTE },
	{ "minute", MINUTE },
	{ "minutes", MINUTE },
	{ "h", HOUR },
	{ "hr", HOUR },
	{ "hour", HOUR },
	{ "hours", HOUR },
	{ "d", DAY },
	{ "day", DAY },
	{ "days", DAY },
	{ "w", 7 * DAY },
	{ "week", 7 * DAY },
	{ "weeks", 7 * DAY },
	{ "M", MONTH },
	{ "month", MONTH },
	{ "months", MONTH },
	{ "y", YEAR },
	{ "year", YEAR },
	{ "years", YEAR },
};

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

bool time_decimal_at(const char **text, uint64_t unit, uint64_t *ret)
{
	const char *s = *text;
	uint64_t whole = 0, part = unit;

	if (!isdigit((unsigned char)*s))
		return false;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
			return false;
	if (__builtin_mul_overflow(whole, unit, &whole))
		return false;
	if (*s == '.') {
		s++;
		for (; isdigit((unsigned char)*s); s++) {
			part /= 10;
			whole += (uint64_t)(*s - '0') * part;
		}
	}
	*text = s;
	*ret = whole;
	return true;
}

static bool unit_at(const char **text, uint64_t *ret)
{
	size_t size = strspn(*text, "abcdefghijklmnopqrstuvwxyzM");

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (size == strlen(units[i].name) && memcmp(*text, units[i].name, size) == 0) {
			*text += size;
			*ret = units[i].ns;
			return true;
		}
	}
	return false;
}

bool time_span_at(const char **text, uint64_t *ret)
{
	const char *s = skip_blanks(*text);
	uint64_t sum = 0;
	bool any = false;

	while (isdigit((unsigned char)*s)) {
		const char *number = s, *end = s + strspn(s, "0123456789."), *rest = end;
		uint64_t unit = NS_PER_S, value;

		rest = skip_blanks(rest);
		if (isalpha((unsigned char)*rest) && strncmp(rest, "ago", 3) != 0 && !unit_at(&rest, &unit))
			return false;
		if (!time_decimal_at(&number, unit, &value) || number != end ||
		    __builtin_add_overflow(sum, value, &sum))
			return false;
		s = skip_blanks(rest);
		any = true;
	}
	*text = s;
	*ret = sum;
	return any;
}

bool time_span_parse(const char *text, uint64_t *ret_ns)
{
	return time_span_at(&text, ret_ns) && *text == '\0';
}
