/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How values are written. What every event has is formatted by hand: snprintf(3) and gmtime_r(3) would take longer than
 * all the rest.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "model/event.h"
#include "util/digits.h"

#define SIGNAL_RT_FIRST 34 /* of the kernel's 32 to 64, glibc keeps two for itself */
#define SIGNAL_RT_LAST 64

size_t event_number_format(char ret[static EVENT_NUMBER_SIZE], enum key key, int64_t value)
{
	bool negative = key == KEY_ERROR_CODE && value < 0;
	uint64_t rest = negative ? -(uint64_t)value : (uint64_t)value;
	/* The digits end in the middle, at the NUL, so that a copy of constant size has all of
	 * them. */
	char digits[2 * EVENT_NUMBER_SIZE], *end = digits + EVENT_NUMBER_SIZE, *begin = end;

	/* Most are. */
	if (rest < 10 && !negative) {
		ret[0] = (char)('0' + rest);
		ret[1] = '\0';
		return 1;
	}
	memset(end, 0, EVENT_NUMBER_SIZE);
	for (; rest >= 10; rest /= 100, begin -= 2)
		two_digits(begin, (unsigned)(rest % 100));
	/* The last digit of an odd number of them; 0 has one. */
	if (rest > 0 || begin == end)
		*--begin = (char)('0' + rest);
	if (negative)
		*--begin = '-';
	memcpy(ret, begin, EVENT_NUMBER_SIZE);
	return (size_t)(end - begin);
}

/*
 * A day of the Gregorian calendar, counted from 1970-01-01. Years are taken to begin in March: then
 * the leap day is the last of its year, and the months begin on the days (153 * month + 2) / 5. 400
 * years always have 146097 days.
 */
static void civil(uint32_t days, unsigned *year, unsigned *month, unsigned *day)
{
	uint32_t since = days + 719468; /* 0000-03-01 */
	uint32_t of_era = since % 146097;
	uint32_t of_years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * of_years + of_years / 4 - of_years / 100);
	uint32_t from_march = (5 * of_year + 2) / 153;

	*day = of_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = since / 146097 * 400 + of_years + (*month <= 2);
}

/* 64 bits of nanoseconds end in the year 2554: four digits are enough. */
void event_time_format(char ret[static EVENT_TIME_SIZE], uint64_t ns)
{
	uint64_t seconds = ns / 1000000000;
	uint32_t of_day = (uint32_t)(seconds % 86400), of_second = (uint32_t)(ns % 1000000000);
	unsigned year, month, day;

	civil((uint32_t)(seconds / 86400), &year, &month, &day);
	memcpy(ret, "0000-00-00T00:00:00.000000000Z", EVENT_TIME_SIZE);
	two_digits(ret + 2, year / 100);
	two_digits(ret + 4, year);
	two_digits(ret + 7, month);
	two_digits(ret + 10, day);
	two_digits(ret + 13, of_day / 3600);
	two_digits(ret + 16, of_day / 60 % 60);
	two_digits(ret + 19, of_day % 60);
	ret[20] = (char)('0' + of_second / 100000000);
	two_digits(ret + 23, of_second / 1000000);
	two_digits(ret + 25, of_second / 10000);
	two_digits(ret + 27, of_second / 100);
	two_digits(ret + 29, of_second);
}

/* 0 has the name "0" for glibc. */
const char *errno_name(int error)
{
	return error > 0 ? strerrorname_np(error) : NULL;
}

/* As signal(7) has them: glibc calls SIGIO by its synonym, SIGPOLL. */
void signal_name(char *ret, size_t size, int number)
{
	const char *name = number == SIGIO ? "IO" : sigabbrev_np(number);

	if (name)
		snprintf(ret, size, "SIG%s", name);
	else if (number == SIGNAL_RT_FIRST)
		snprintf(ret, size, "SIGRTMIN");
	else if (number > SIGNAL_RT_FIRST && number <= SIGNAL_RT_LAST)
		snprintf(ret, size, "SIGRTMIN+%d", number - SIGNAL_RT_FIRST);
	else
		snprintf(ret, size, "SIG%d", number);
}
