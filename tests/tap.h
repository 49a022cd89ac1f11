/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Test Anything Protocol for unit tests, each in a child of its own: a crash, a leak that ASan finds or
 * a failed CHECK fails one test, and the others run.
 *
 *	TEST(name_of_what_is_true)
 *	{
 *		CHECK(1 + 1 == 2);
 *	}
 *	TAP_MAIN
 */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct tap_test {
	const char *name;
	void (*run)(void);
	struct tap_test *next;
};
__attribute__((unused)) static struct tap_test *tap_tests, **tap_last = &tap_tests;

#define TEST(id)                                                    \
	static void test_##id(void);                                \
	static struct tap_test tap_##id = { #id, test_##id, NULL }; \
	__attribute__((constructor)) static void tap_add_##id(void) \
	{                                                           \
		*tap_last = &tap_##id;                              \
		tap_last = &tap_##id.next;                          \
	}                                                           \
	static void test_##id(void)

/* What a file's tests begin and end with, in their child. */
__attribute__((unused)) static void (*tap_begin)(void), (*tap_end)(void);

#define SETUP(function)                                          \
	__attribute__((constructor)) static void tap_setup(void) \
	{                                                        \
		tap_begin = function;                            \
	}
#define TEARDOWN(function)                                          \
	__attribute__((constructor)) static void tap_teardown(void) \
	{                                                           \
		tap_end = function;                                 \
	}

/* Ends a test that hangs; generously, for a machine that is busy, and where valgrind makes everything slow. */
static inline void tap_limit(unsigned seconds)
{
	alarm(getenv("VALGRIND") ? 30 * seconds : 4 * seconds);
}

/* How many random cases: under valgrind each takes 30 times as long, and the first ones are of every kind. */
static inline int tap_rounds(int rounds)
{
	return getenv("VALGRIND") ? rounds / 20 : rounds;
}

#define CHECK(x)                                                                   \
	do {                                                                       \
		if (!(x)) {                                                        \
			printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #x); \
			fflush(stdout);                                            \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

#define CHECK_INT(a, b)                                                                                           \
	do {                                                                                                      \
		intmax_t tap_a_ = (intmax_t)(a), tap_b_ = (intmax_t)(b);                                          \
		if (tap_a_ != tap_b_) {                                                                           \
			printf("# %s:%d: %s is %" PRIdMAX ", not %" PRIdMAX "\n", __FILE__, __LINE__, #a, tap_a_, \
			       tap_b_);                                                                           \
			fflush(stdout);                                                                           \
			exit(1);                                                                                  \
		}                                                                                                 \
	} while (0)

#define CHECK_STR(a, b)                                                                           \
	do {                                                                                      \
		const char *tap_a_ = (a), *tap_b_ = (b);                                          \
		if (!tap_a_ || !tap_b_ || strcmp(tap_a_, tap_b_) != 0) {                          \
			printf("# %s:%d: %s is\n#   %s\n# not\n#   %s\n", __FILE__, __LINE__, #a, \
			       tap_a_ ? tap_a_ : "(null)", tap_b_ ? tap_b_ : "(null)");           \
			fflush(stdout);                                                           \
			exit(1);                                                                  \
		}                                                                                 \
	} while (0)

/* With arguments: the tests of these names. */
#define TAP_MAIN                           \
	int main(int argc, char **argv)    \
	{                                  \
		return tap_main(argv + 1); \
	}

static inline int tap_is_chosen(char *const names[], const char *name)
{
	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return 1;
	return !names[0];
}

static inline int tap_main(char *const names[])
{
	int n = 0, failed = 0;

	for (struct tap_test *t = tap_tests; t; t = t->next) {
		int status = 0;
		pid_t child;

		if (!tap_is_chosen(names, t->name))
			continue;
		fflush(stdout);
		child = fork();
		if (child < 0)
			abort();
		if (child == 0) {
			if (tap_begin)
				tap_begin();
			t->run();
			if (tap_end)
				tap_end();
			fflush(stdout);
			exit(0);
		}
		if (waitpid(child, &status, 0) != child)
			abort();
		n++;
		if (WIFSIGNALED(status))
			printf("# killed by signal %d\n", WTERMSIG(status));
		if (status != 0)
			failed++;
		printf("%s %d - %s\n", status == 0 ? "ok" : "not ok", n, t->name);
	}
	printf("1..%d\n", n);
	return failed > 0 || n == 0;
}
