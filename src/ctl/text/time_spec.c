/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/text/time_spec.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/time_span.h"

#define ZONES "/usr/share/zoneinfo/"
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

static bool relative(const char *s, uint64_t now, uint64_t *ret)
{
	char sign = *s == '-' || *s == '+' ? *s++ : '\0';
	uint64_t span;

	if (!time_span_at(&s, &span))
		return false;
	if (sign == '\0') {
		if (strcmp(s, "ago") != 0 && strcmp(s, "left") != 0)
			return false;
		sign = *s == 'a' ? '-' : '+';
	} else if (*s != '\0') {
		return false;
	}
	/* As systemd has it, what is longer ago than the epoch is the epoch. */
	if (sign == '-')
		*ret = span < now ? now - span : 0;
	else if (__builtin_add_overflow(now, span, ret))
		return false;
	return true;
}

static bool since_epoch(const char *s, uint64_t *ret)
{
	return *s++ == '@' && time_decimal_at(&s, NS_PER_S, ret) && *s == '\0';
}

static bool field(const char **text, size_t least, size_t most, int *ret)
{
	size_t n = strspn(*text, "0123456789");

	if (n < least || n > most)
		return false;
	*ret = atoi(*text);
	*text += n;
	return true;
}

static bool is_in(int value, int least, int most)
{
	return value >= least && value <= most;
}

static bool date_at(const char **text, struct tm *tm)
{
	const char *s = *text;
	int year, month, day;

	if (!field(&s, 4, 4, &year) || *s++ != '-' || !field(&s, 1, 2, &month) || *s++ != '-' ||
	    !field(&s, 1, 2, &day) || !is_in(year, 1970, 2500) || !is_in(month, 1, 12) || !is_in(day, 1, 31))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	*text = s;
	return true;
}

static bool clock_at(const char **text, struct tm *tm, uint64_t *ret_fraction)
{
	const char *s = *text;
	int hour, minute, second = 0;
	uint64_t ns = 0;

	if (!field(&s, 1, 2, &hour) || *s++ != ':' || !field(&s, 2, 2, &minute) || !is_in(hour, 0, 23) ||
	    !is_in(minute, 0, 59))
		return false;
	if (*s == ':') {
		s++;
		if (!time_decimal_at(&s, NS_PER_S, &ns) || ns >= 61 * NS_PER_S)
			return false;
		second = (int)(ns / NS_PER_S);
	}
	tm->tm_hour = hour;
	tm->tm_min = minute;
	tm->tm_sec = second;
	*ret_fraction = ns % NS_PER_S;
	*text = s;
	return true;
}

/* "Z", "UTC", or "+02:00", of RFC 3339. ret_offset: seconds east of Greenwich. */
static bool ends_in_offset(const char **text, time_t *ret_offset)
{
	const char *s = *text;
	int hours, minutes, sign = *s == '-' ? -1 : 1;

	*ret_offset = 0;
	if (strcmp(s, "Z") == 0 || strcmp(skip_blanks(s), "UTC") == 0) {
		*text += strlen(s);
		return true;
	}
	if ((*s != '+' && *s != '-') || (s++, !field(&s, 2, 2, &hours)) || *s++ != ':' || !field(&s, 2, 2, &minutes) ||
	    *s != '\0' || !is_in(hours, 0, 14) || !is_in(minutes, 0, 59))
		return false;
	*ret_offset = sign * (hours * 3600 + minutes * 60);
	*text = s;
	return true;
}

/* -1: there is none. */
static int weekday_at(const char **text)
{
	static const char *const days[] = {
		"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
	};
	size_t size = strcspn(*text, " \t");

	for (int day = 0; day < 7; day++) {
		if ((size != 3 && size != strlen(days[day])) || strncasecmp(*text, days[day], size) != 0)
			continue;
		*text = skip_blanks(*text + size);
		return day;
	}
	return -1;
}

/* A date, a time of day, or both. */
static bool date_and_clock(const char **text, struct tm *tm, uint64_t *ret_fraction)
{
	const char *s = *text;

	if (!date_at(&s, tm)) {
		if (!clock_at(&s, tm, ret_fraction))
			return false;
	} else if ((*s == ' ' || *s == 'T') && isdigit((unsigned char)s[1])) {
		s++;
		if (!clock_at(&s, tm, ret_fraction))
			return false;
	}
	*text = s;
	return true;
}

/* The 30th of February is a day in March for timegm(3), which knows of no clock that is changed. weekday -1: any. */
static bool is_date(const struct tm *tm, int weekday)
{
	struct tm date = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday };

	return timegm(&date) >= 0 && date.tm_mday == tm->tm_mday && (weekday < 0 || weekday == date.tm_wday);
}

/* A local time. When a clock is set back at the end of summer, some come twice: last says which one is meant. */
static time_t local(const struct tm *tm, bool last)
{
	time_t found = mktime(&(struct tm){ .tm_year = tm->tm_year,
					    .tm_mon = tm->tm_mon,
					    .tm_mday = tm->tm_mday,
					    .tm_hour = tm->tm_hour,
					    .tm_min = tm->tm_min,
					    .tm_sec = tm->tm_sec,
					    .tm_isdst = -1 });

	for (int is_dst = 0; is_dst <= 1; is_dst++) {
		struct tm other = *tm;
		time_t seconds;

		other.tm_isdst = is_dst;
		seconds = mktime(&other);
		/* The other reading of the same digits. */
		if (other.tm_isdst == is_dst && other.tm_hour == tm->tm_hour && other.tm_min == tm->tm_min &&
		    (last ? seconds > found : seconds < found))
			found = seconds;
	}
	return found;
}

static bool absolute(const char *s, uint64_t now, bool last, uint64_t *ret)
{
	time_t seconds = (time_t)(now / NS_PER_S), offset;
	int weekday = weekday_at(&s);
	uint64_t fraction = 0;
	struct tm tm, today;
	bool has_offset;

	if (!localtime_r(&seconds, &today))
		return false;
	tm = (struct tm){ .tm_year = today.tm_year, .tm_mon = today.tm_mon, .tm_mday = today.tm_mday, .tm_isdst = -1 };
	if (!date_and_clock(&s, &tm, &fraction))
		return false;
	has_offset = ends_in_offset(&s, &offset);
	if (*s != '\0' || !is_date(&tm, weekday))
		return false;
	seconds = has_offset ? timegm(&tm) - offset : local(&tm, last);
	if (seconds < 0)
		return false;
	*ret = (uint64_t)seconds * NS_PER_S + fraction;
	return true;
}

static bool named(const char *s, uint64_t now, uint64_t *ret)
{
	static const struct {
		const char *name;
		int day;
	} days[] = { { "yesterday", -1 }, { "today", 0 }, { "tomorrow", 1 } };
	time_t seconds = (time_t)(now / NS_PER_S);
	struct tm tm;

	if (strcmp(s, "now") == 0) {
		*ret = now;
		return true;
	}
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		if (strcmp(s, days[i].name) != 0)
			continue;
		if (!localtime_r(&seconds, &tm))
			return false;
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		tm.tm_mday += days[i].day;
		tm.tm_isdst = -1;
		*ret = (uint64_t)mktime(&tm) * NS_PER_S;
		return true;
	}
	return false;
}

static bool parse(const char *text, uint64_t now_ns, bool last, uint64_t *ret_ns)
{
	return named(text, now_ns, ret_ns) || since_epoch(text, ret_ns) || relative(text, now_ns, ret_ns) ||
	       absolute(text, now_ns, last, ret_ns);
}

/* A name of tzdata, such as Europe/Berlin. */
static bool is_zone(const char *name)
{
	char path[256];
	struct stat st;

	if (!isupper((unsigned char)*name) || strstr(name, "..") || strlen(name) > 64)
		return false;
	snprintf(path, sizeof(path), ZONES "%s", name);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static void set_zone(const char *name)
{
	if (name)
		setenv("TZ", name, 1);
	else
		unsetenv("TZ");
	tzset();
}

/* "TIME ZONE": mktime(3) takes the zone from the environment. */
static bool parse_in_zone(const char *text, const char *zone, uint64_t now_ns, bool last, uint64_t *ret_ns)
{
	_cleanup_free_ char *time = strndup(text, (size_t)(zone - 1 - text)), *was = NULL;
	const char *old = getenv("TZ");
	bool parsed;

	was = old ? strdup(old) : NULL;
	if (!time || (old && !was))
		return false;
	set_zone(zone);
	parsed = named(time, now_ns, ret_ns) || absolute(time, now_ns, last, ret_ns);
	set_zone(was);
	return parsed;
}

bool time_spec_parse(const char *text, uint64_t now_ns, bool last, uint64_t *ret_ns)
{
	const char *space;
	uint64_t ns;

	text = skip_blanks(text);
	space = strrchr(text, ' ');
	if (!parse(text, now_ns, last, &ns) &&
	    !(space && is_zone(space + 1) && parse_in_zone(text, space + 1, now_ns, last, &ns)))
		return false;
	*ret_ns = ns > 0 ? ns : 1;
	return true;
}

void time_span_format(char *ret, size_t size, uint64_t ns)
{
	uint64_t s = ns / NS_PER_S;

	if (ns < NS_PER_MS)
		snprintf(ret, size, "%" PRIu64 "us", ns / 1000);
	else if (ns < NS_PER_S)
		snprintf(ret, size, "%" PRIu64 "ms", ns / NS_PER_MS);
	else if (s < 10)
		snprintf(ret, size, "%" PRIu64 ".%" PRIu64 "s", s, ns % NS_PER_S / (100 * NS_PER_MS));
	else if (s < 60)
		snprintf(ret, size, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(ret, size, "%" PRIu64 "min %" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(ret, size, "%" PRIu64 "h %" PRIu64 "min", s / 3600, s / 60 % 60);
	else
		snprintf(ret, size, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
}

void size_format(char *ret, size_t size, uint64_t bytes)
{
	static const char units_of[] = "BKMGTPE";
	unsigned unit = 0;
	uint64_t rest = 0;

	for (; bytes >= 1024; unit++) {
		rest = bytes % 1024;
		bytes /= 1024;
	}
	if (unit > 0 && bytes < 10)
		snprintf(ret, size, "%" PRIu64 ".%" PRIu64 "%c", bytes, rest * 10 / 1024, units_of[unit]);
	else
		snprintf(ret, size, "%" PRIu64 "%c", bytes, units_of[unit]);
}
