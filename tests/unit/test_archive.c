/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Written and read again; and what is no archive, or only the beginning of one. */
#include "handover/archive.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"

struct thing {
	uint32_t number;
	bool flag;
	size_t count;
	struct bytes text, none;
	char large[100000];
};

static void thing_archive(struct thing *thing, struct archive *a)
{
	ARCHIVE(a, thing->number);
	archive_flag(a, &thing->flag);
	archive_count(a, &thing->count, 10);
	archive_bytes(a, &thing->text);
	archive_bytes(a, &thing->none);
	ARCHIVE(a, thing->large);
}

static struct thing example = { .number = 0xdeadbeef, .flag = true, .count = 10, .text = { "some\0text", 9 } };

static int sealed(struct thing *thing)
{
	_cleanup_(archive_free_p) struct archive *a = NULL;
	int fd = -1;

	CHECK_INT(archive_new(&a), 0);
	CHECK(!archive_is_reading(a));
	thing_archive(thing, a);
	CHECK_INT(archive_seal(a, &fd), 0);
	return fd;
}

TEST(written_values_are_read_back)
{
	_cleanup_(archive_free_p) struct archive *a = NULL;
	_cleanup_close_ int fd = -1;
	static struct thing got;

	memset(example.large, 'x', sizeof(example.large));
	fd = sealed(&example);
	CHECK_INT(archive_open(&a, fd), 0);
	CHECK(archive_is_reading(a));
	thing_archive(&got, a);
	CHECK_INT(archive_error(a), 0);
	CHECK_INT(got.number, example.number);
	CHECK(got.flag);
	CHECK_INT(got.count, 10);
	CHECK(bytes_equal(got.text, example.text));
	CHECK(!got.none.data);
	CHECK_INT(memcmp(got.large, example.large, sizeof(got.large)), 0);
	/* There is no more. */
	ARCHIVE(a, got.number);
	CHECK_INT(got.number, 0);
	CHECK_INT(archive_error(a), -EBADMSG);
}

TEST(sealed_archive_is_read_only)
{
	_cleanup_close_ int fd = sealed(&example);

	CHECK(pwrite(fd, "x", 1, 0) < 0);
	CHECK_INT(errno, EPERM);
	CHECK(ftruncate(fd, 1) < 0);
	CHECK_INT(errno, EPERM);
}

TEST(other_files_are_refused)
{
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct archive *a = NULL;
	int ends[2];

	CHECK(fd >= 0);
	CHECK_INT(archive_open(&a, fd), -EINVAL); /* not sealed */
	CHECK_INT(pipe(ends), 0);
	CHECK_INT(archive_open(&a, ends[0]), -EINVAL);
	close(ends[0]);
	close(ends[1]);
}

/* Lengths and counts that are made up. */
TEST(invalid_bytes_read_as_zero_and_fail)
{
	_cleanup_(archive_free_p) struct archive *w = NULL, *a = NULL, *b = NULL;
	_cleanup_close_ int fd = -1;
	struct bytes text = { "x", 1 };
	size_t count = 11, huge = SIZE_MAX;
	bool known = true;

	CHECK_INT(archive_new(&w), 0);
	archive_count(w, &count, 100);
	archive_flag(w, &known);
	ARCHIVE(w, huge);
	CHECK_INT(archive_seal(w, &fd), 0);
	CHECK_INT(archive_open(&a, fd), 0);
	archive_count(a, &count, 10);
	CHECK_INT(count, 0);
	CHECK_INT(archive_error(a), -EBADMSG);
	CHECK_INT(archive_open(&b, fd), 0);
	archive_count(b, &count, 11);
	CHECK_INT(count, 11);
	archive_bytes(b, &text);
	CHECK(!text.data);
	CHECK_INT(archive_error(b), -EBADMSG);
	archive_flag(b, &known);
	CHECK(!known);
}

/* What is read into need not be set: a bool that is neither (UBSan), a pointer to nowhere. */
TEST(reading_overwrites_any_value)
{
	_cleanup_(archive_free_p) struct archive *a = NULL;
	_cleanup_close_ int fd = sealed(&example);
	static struct thing got;

	memset(&got, 0x5a, sizeof(got));
	CHECK_INT(archive_open(&a, fd), 0);
	thing_archive(&got, a);
	CHECK_INT(archive_error(a), 0);
	CHECK(got.flag);
	CHECK(bytes_equal(got.text, example.text));
	CHECK(!got.none.data);
}

TAP_MAIN
