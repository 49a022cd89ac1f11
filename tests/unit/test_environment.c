/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/environment.h"

#include <errno.h>

#include "tap.h"

static struct environment *environment;

static void begin(const char *const *names)
{
	const char *reason;

	CHECK_INT(environment_new(&environment, names, &reason), 0);
}

static bool chooses(struct bytes block, struct bytes wanted)
{
	struct bytes chosen;

	CHECK_INT(environment_choose(environment, block, &chosen), 0);
	return chosen.data ? bytes_equal(chosen, wanted) : !wanted.data;
}
#define BLOCK(literal) ((struct bytes){ literal, sizeof(literal) - 1 })

TEST(names_are_matched_and_values_are_not)
{
	begin((const char *const[]){ "LC_*", "PATH", NULL });
	CHECK(chooses(BLOCK("PATH=/bin\0X=PATH=1\0LC_ALL=C\0PATHS=x\0"), BLOCK("PATH=/bin\0LC_ALL=C\0")));
	CHECK(chooses(BLOCK("X=LC_\0"), BYTES_NONE));
	CHECK(chooses(BLOCK("LC_X=\0"), BLOCK("LC_X=\0")));
	CHECK(chooses(BLOCK("PATH=a=b\nc\0"), BLOCK("PATH=a=b\nc\0")));
	environment_free(environment);
}

TEST(strings_without_equals_are_no_variables)
{
	begin((const char *const[]){ "*", NULL });
	CHECK(chooses(BLOCK(""), BYTES_NONE));
	CHECK(chooses(BLOCK("\0\0"), BYTES_NONE));
	CHECK(chooses(BLOCK("PATH\0A=1\0"), BLOCK("A=1\0")));
	CHECK(chooses(BLOCK("=x\0"), BLOCK("=x\0")));
	/* The last one has been cut. */
	CHECK(chooses(BLOCK("A=1\0B=2"), BLOCK("A=1\0")));
	environment_free(environment);
}

/* Two megabytes of names, as execve(2) takes them, and globs that search. */
TEST(time_for_a_block_is_bounded)
{
	const char *names[101] = { NULL };
	size_t size = 2 << 20, one = 128 << 10;
	char *block = malloc(size);
	struct bytes chosen;

	CHECK(block);
	for (size_t i = 0; i < 100; i++)
		names[i] = "*a?b*";
	memset(block, 'a', size);
	for (size_t i = one; i <= size; i += one)
		memcpy(block + i - 2, "=", 2);
	begin(names);
	CHECK_INT(environment_choose(environment, (struct bytes){ block, size }, &chosen), -E2BIG);
	CHECK(chooses(BLOCK("XaxbX=1\0Y=2\0"), BLOCK("XaxbX=1\0")));
	environment_free(environment);
	free(block);
}

TEST(no_names_choose_no_variables)
{
	begin(NULL);
	CHECK(chooses(BLOCK("A=1\0"), BYTES_NONE));
	environment_free(environment);
}

TEST(invalid_glob_is_refused)
{
	const char *reason = NULL;

	CHECK_INT(environment_new(&environment, (const char *const[]){ "A", "[[.x.]]", NULL }, &reason), -EINVAL);
	CHECK(reason);
}

TAP_MAIN
