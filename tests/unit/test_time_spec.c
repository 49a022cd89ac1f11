/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/text/time_spec.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "util/time_span.h"

#define S UINT64_C(1000000000)
/* 2026-11-29 10:02:11.5 UTC, a Sunday. */
#define NOW (UINT64_C(1795946531) * S + S / 2)

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static uint64_t parsed(const char *text)
{
	uint64_t ns = 0;

	CHECK(time_spec_parse(text, NOW, false, &ns));
	return ns;
}

TEST(time_is_read_as_systemd_time_has_it)
{
	set_zone("UTC");
	CHECK_INT(parsed("now"), NOW);
	CHECK_INT(parsed("2026-11-29 10:02:11.5"), NOW);
	CHECK_INT(parsed("2026-11-29T10:02:11.500000000Z"), NOW);
	CHECK_INT(parsed("10:02:11.5"), NOW);
	CHECK_INT(parsed("@1795946531.5"), NOW);
	CHECK_INT(parsed("10:02"), NOW - 11 * S - S / 2);
	CHECK_INT(parsed("today"), NOW - (10 * 3600 + 2 * 60 + 11) * S - S / 2);
	CHECK_INT(parsed("2026-11-29"), parsed("today"));
	CHECK_INT(parsed("yesterday"), parsed("today") - 86400 * S);
	CHECK_INT(parsed("tomorrow"), parsed("today") + 86400 * S);
	CHECK_INT(parsed("-5min"), NOW - 300 * S);
	CHECK_INT(parsed("5min ago"), NOW - 300 * S);
	CHECK_INT(parsed("5 minutes ago"), NOW - 300 * S);
	CHECK_INT(parsed("+1h 30min"), NOW + 5400 * S);
	CHECK_INT(parsed("-2d"), NOW - 2 * 86400 * S);
}

TEST(time_is_local_unless_it_says_utc)
{
	/* POSIX: five hours west of Greenwich. */
	set_zone("EST5");
	CHECK_INT(parsed("2026-11-29 05:02:11.5"), NOW);
	CHECK_INT(parsed("2026-11-29 10:02:11.5 UTC"), NOW);
	CHECK_INT(parsed("today"), NOW - (5 * 3600 + 2 * 60 + 11) * S - S / 2);
}

TEST(time_has_a_weekday_an_offset_or_a_zone)
{
	set_zone("EST5");
	CHECK_INT(parsed("Sun 2026-11-29 05:02:11.5"), NOW);
	CHECK_INT(parsed("sunday 2026-11-29 05:02:11.5"), NOW);
	CHECK_INT(parsed("Sun 2026-11-29 10:02:11.5 UTC"), NOW);
	CHECK_INT(parsed("2026-11-29T12:02:11.5+02:00"), NOW);
	CHECK_INT(parsed("2026-11-29T04:32:11.5-05:30"), NOW);
	CHECK_INT(parsed("2h left"), NOW + 7200 * S);
	CHECK_INT(parsed("2028-02-29"), parsed("2028-02-28") + 86400 * S);
	if (access("/usr/share/zoneinfo/Asia/Tokyo", R_OK) < 0)
		return;
	CHECK_INT(parsed("2026-11-29 19:02:11.5 Asia/Tokyo"), NOW);
	CHECK_INT(parsed("Sun 2026-11-29 19:02:11.5 Asia/Tokyo"), NOW);
	CHECK_INT(parsed("today Asia/Tokyo"), NOW - (19 * 3600 + 2 * 60 + 11) * S - S / 2);
	/* The zone of the user is as it was. */
	CHECK_STR(getenv("TZ"), "EST5");
	CHECK_INT(parsed("2026-11-29 05:02:11.5"), NOW);
}

static uint64_t last(const char *text)
{
	uint64_t ns = 0;

	CHECK(time_spec_parse(text, NOW, true, &ns));
	return ns;
}

/* The rules are POSIX's, so that no zone has to be installed. */
TEST(time_that_comes_twice_or_never_is_read)
{
	/* Clocks go from 3:00 to 2:00 on 2026-10-25, and from 2:00 to 3:00 on 2026-03-29. */
	set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	CHECK_INT(parsed("2026-10-25 02:30"), parsed("2026-10-25 00:30 UTC"));
	CHECK_INT(last("2026-10-25 02:30"), parsed("2026-10-25 01:30 UTC"));
	CHECK_INT(parsed("2026-10-25 02:30"), parsed("2026-10-25 00:30 UTC")); /* whatever was asked before */
	for (int hour = 0; hour < 24; hour++) {
		char text[32];

		snprintf(text, sizeof(text), "2026-10-25 %02d:30", hour);
		if (hour != 2)
			CHECK_INT(parsed(text), last(text));
	}
	CHECK_INT(parsed("2026-03-29 02:30"), parsed("2026-03-29 01:30 UTC"));
	CHECK_INT(parsed("2026-10-26"), parsed("2026-10-25") + 25 * 3600 * S);
	/* Clocks go from 0:00 to 1:00: the day begins there. */
	set_zone("<-03>3<-02>,M11.1.0/0,M2.3.0/0");
	CHECK_INT(parsed("2026-11-01"), parsed("2026-11-01 03:00 UTC"));
	CHECK_INT(parsed("Sun 2026-11-01"), parsed("2026-11-01 03:00 UTC"));
}

TEST(time_that_is_far_away_is_no_other_time)
{
	uint64_t ns = 7;

	set_zone("UTC");
	/* 0 would be no time at all. */
	CHECK_INT(parsed("@0"), 1);
	CHECK_INT(parsed("1970-01-01"), 1);
	CHECK_INT(parsed("-100y"), 1);
	CHECK_INT(parsed("100y ago"), 1);
	CHECK(parsed("+500y") > NOW);
	CHECK(!time_spec_parse("+584y", NOW, false, &ns));
	CHECK_INT(ns, 7);
}

TEST(time_that_is_none_is_refused)
{
	static const char *const bad[] = { "",
					   "x",
					   "25:00",
					   "10:60",
					   "2026-13-01",
					   "2026-11-29 10",
					   "-",
					   "+",
					   "5min",
					   "-5 parsecs",
					   "@",
					   "@x",
					   "2026-11-29 10:02:11.5 Nowhere/Land",
					   "2026-11-29 10:02:11.5 ../../etc/passwd",
					   "2026-11-29 10:02:11.5 Europe",
					   "2026-02-30",
					   "2025-02-29",
					   "Mon 2026-11-29",
					   "Sun",
					   "Sunday 2h ago",
					   "2026-11-29T10:02:11+25:00",
					   "2026-11-29T10:02:11+2",
					   "5min left ago",
					   "10:02:11 ago",
					   "yesterdays",
					   "-99999999999999y",
					   "1969-01-01" };
	uint64_t ns = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!time_spec_parse(bad[i], NOW, false, &ns));
	CHECK_INT(ns, 7);
}

TEST(span_is_a_sum_of_units)
{
	uint64_t ns;

	CHECK(time_span_parse("2", &ns));
	CHECK_INT(ns, 2 * S);
	CHECK(time_span_parse("1h 30min", &ns));
	CHECK_INT(ns, 5400 * S);
	CHECK(time_span_parse("2.5s", &ns));
	CHECK_INT(ns, 5 * S / 2);
	CHECK(time_span_parse("100ms", &ns));
	CHECK_INT(ns, S / 10);
	CHECK(!time_span_parse("", &ns));
	CHECK(!time_span_parse("ms", &ns));
	CHECK(!time_span_parse("-1s", &ns));
	CHECK(!time_span_parse("1s x", &ns));
	CHECK(!time_span_parse("1.2.3s", &ns));
	CHECK(!time_span_parse("1..5", &ns));
	CHECK(!time_span_parse("99999999999999999999", &ns));
}

static void check_span(uint64_t ns, const char *expected)
{
	char text[32];

	time_span_format(text, sizeof(text), ns);
	CHECK_STR(text, expected);
}

TEST(span_has_three_digits_or_so)
{
	check_span(0, "0us");
	check_span(999999, "999us");
	check_span(74 * S / 1000, "74ms");
	check_span(12 * S / 10, "1.2s");
	check_span(41 * S, "41s");
	check_span(184 * S, "3min 4s");
	check_span(7500 * S, "2h 5min");
	check_span((3 * 24 + 4) * 3600 * S, "3d 4h");
	check_span(UINT64_MAX, "213503d 23h");
}

static void check_size(uint64_t bytes, const char *expected)
{
	char text[32];

	size_format(text, sizeof(text), bytes);
	CHECK_STR(text, expected);
}

TEST(size_has_two_digits_or_more)
{
	check_size(0, "0B");
	check_size(1023, "1023B");
	check_size(1024, "1.0K");
	check_size(1999000, "1.9M");
	check_size(812 * 1024, "812K");
	check_size(UINT64_MAX, "15E");
}

TAP_MAIN
