/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/text/mask.h"

#include "tap.h"

static void check(const char *text, const char *expected)
{
	char masked[256];

	mask_text(masked, sizeof(masked), text);
	if (strcmp(masked, expected) != 0)
		printf("# \"%s\" becomes \"%s\", not \"%s\"\n", text, masked, expected);
	CHECK(strcmp(masked, expected) == 0);
}

TEST(numbers_that_are_long_are_masked)
{
	check("kill -TERM 12345", "kill -TERM N");
	check("--port=8080 --pid 712", "--port=N --pid N");
	check("run-1764410531.log", "run-N.log");
	check("x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-gcc-12");
}

TEST(numbers_that_mean_something_stay)
{
	check("cc -O2 -c f1.c -j8", "cc -O2 -c f1.c -j8");
	check("sleep 10", "sleep 10");
}

TEST(hexadecimal_words_are_masked)
{
	check("git show 9fceb02d0ae598e95dc970b74767f19372d61af8", "git show X");
	check("0x7ffd12ab", "X");
	check("/run/deadbeef1/x", "/run/X/x");
	check("decade facade deadbeef", "decade facade deadbeef");
	check("a1b2c3", "a1b2c3");
	check("8d1f2ab9-0c1d-4e2f-8a9b-abcdefabcdef", "UUID");
	check("id=8D1F2AB9-0C1D-4E2F-8A9B-ABCDEFABCDEF;", "id=UUID;");
}

TEST(temporary_names_are_masked)
{
	check("as -o /tmp/ccXq3Tz1.o /tmp/ccAb12Cd.s", "as -o /tmp/*.o /tmp/*.s");
	check("/tmp/tmp.AbCdEf/x", "/tmp/*/x");
	check("'/var/tmp/a b'", "'/var/tmp/* b'");
	check("sh -c 'cat /tmp/foo.AbC123'", "sh -c 'cat /tmp/*'");
	check("/srv/me/tmp/x", "/srv/me/tmp/x");
	check("/tmp/", "/tmp/");
	check("--dir=/dev/shm/sem.1", "--dir=/dev/shm/*");
}

TEST(mask_is_cut_at_the_size)
{
	char masked[8];

	mask_text(masked, sizeof(masked), "abcdefghijkl");
	CHECK(strcmp(masked, "abcdefg") == 0);
	mask_text(masked, 1, "abc");
	CHECK(strcmp(masked, "") == 0);
	mask_text(masked, sizeof(masked), "");
	CHECK(strcmp(masked, "") == 0);
}

TAP_MAIN
