/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scope cleanup: a function can be read alone and seen not to leak. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Defines f_p(T **), which calls f on what the variable holds; f must accept NULL. */
#define DEFINE_CLEANUP(type, f)           \
	static inline void f##_p(type *p) \
	{                                 \
		if (*p)                   \
			f(*p);            \
	}                                 \
	struct allow_trailing_semicolon

static inline void free_p(void *p)
{
	free(*(void **)p);
}

static inline void close_p(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_ _cleanup_(free_p)
#define _cleanup_close_ _cleanup_(close_p)
#define _cleanup_fclose_ _cleanup_(fclose_p)

/* The value of a variable, which then owns nothing any more. */
#define TAKE_PTR(p)                               \
	({                                        \
		__typeof__(p) *take_p_ = &(p);    \
		__typeof__(p) take_v_ = *take_p_; \
		*take_p_ = NULL;                  \
		take_v_;                          \
	})
#define TAKE_FD(fd)                     \
	({                              \
		int *take_p_ = &(fd);   \
		int take_v_ = *take_p_; \
		*take_p_ = -1;          \
		take_v_;                \
	})

/* assert() for programming errors, compiled in always, whatever NDEBUG says. */
#define ASSERT(x)                                                                                 \
	do {                                                                                      \
		if (__builtin_expect(!(x), 0)) {                                                  \
			fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)
