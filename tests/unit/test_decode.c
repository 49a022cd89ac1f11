/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/decode.h"

#include <errno.h>
#include <fcntl.h>

#include "records.h"
#include "tap.h"

static struct decoded d;

static bool is(struct bytes bytes, const char *text)
{
	return bytes_equal(bytes, bytes_of(text));
}

/* Decodes a copy of exactly that size, so that a sanitizer sees a read beyond it. */
static int decode(size_t size)
{
	static void *copy;

	free(copy);
	copy = malloc(size);
	memcpy(copy, &record, size);
	return decode_record(&d, copy, size);
}

TEST(exec_record_is_decoded)
{
	make_exec(7, 100, 200, "ls\0-l\0\0", 7, 3);
	record.exec.flags = EXEC_F_SECURE | EXEC_F_EXE_DELETED;
	CHECK_INT(decode(record.head.size), 0);
	CHECK_INT(d.process.tgid, 7);
	CHECK_INT(d.process.start, 100);
	CHECK_INT(d.process.uid, 1000);
	CHECK_INT(d.process.gid, 100);
	CHECK(is(d.process.comm, "ls") && is(d.process.parent_comm, "parent"));
	CHECK(is(d.process.image.exe, "/usr/bin/ls"));
	CHECK(is(d.process.image.cwd, "/home"));
	CHECK(is(d.process.image.cgroup, "/"));
	CHECK(is(d.process.image.filename, "/bin/ls"));
	CHECK_INT(d.process.image.args.size, 7);
	CHECK(d.process.image.secureexec && d.process.image.exe_deleted && !d.process.image.exe_memfd);
}

TEST(exec_record_has_the_change_time_of_its_program)
{
	make_exec(7, 100, 200, NULL, 0, 0);
	record.exec.exe_inode = 1;
	record.exec.exe_ctime = 1509722216890551865;
	record.exec.flags = EXEC_F_EXE_UPPER;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(d.process.image.exe_upper && d.process.image.exe_ctime_known);
	CHECK_INT(d.process.image.exe_ctime, 1509722216890551865);
	record.exec.exe_ctime = RECORD_NO_TIME;
	record.exec.flags = 0;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(!d.process.image.exe_upper && !d.process.image.exe_ctime_known);
}

TEST(comm_of_sixteen_bytes_needs_no_nul)
{
	make_fork(7, 100, 1, 1);
	memset(record.fork.process.comm, 'x', RECORD_COMM_SIZE);
	CHECK_INT(decode(record.head.size), 0);
	CHECK_INT(d.process.comm.size, RECORD_COMM_SIZE);
}

TEST(process_without_parent_has_no_ppid)
{
	make_fork(1, 100, 0, 0);
	CHECK_INT(decode(record.head.size), 0);
	CHECK(!d.process.parent_comm.data);
}

TEST(memfd_exe_is_marked)
{
	make_exec(7, 100, 200, "x", 2, 1);
	record.exec.flags = EXEC_F_EXE_ANON;
	RECORD_PART(&record.exec.exe, "memfd:evil\0");
	CHECK_INT(decode(record.head.size), 0);
	CHECK(is(d.process.image.exe, "/memfd:evil") && d.process.image.exe_memfd);
}

TEST(paths_that_were_not_walked_are_unknown)
{
	make_exec(7, 100, 200, "x", 2, 1);
	record.exec.flags = EXEC_F_EXE_CUT | PLACE_F_CWD_CUT | PLACE_F_CGROUP_CUT;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(!d.process.image.exe.data && !d.process.image.cwd.data && !d.process.image.cgroup.data);
}

TEST(cgroup_too_long_has_its_ends)
{
	make_exec(7, 100, 200, "x", 2, 1);
	record.exec.flags = PLACE_F_CGROUP_CUT;
	RECORD_PART(&record.exec.cgroup, "leaf\0above\0\0unit.service\0unit.slice\0");
	CHECK_INT(decode(record.head.size), 0);
	CHECK(is(d.process.image.cgroup, "/unit.slice/unit.service/../above/leaf"));
	CHECK_INT(d.process.image.incomplete, INCOMPLETE_BIT(INCOMPLETE_CGROUP));

	make_exec(7, 100, 200, "x", 2, 1);
	record.exec.flags = PLACE_F_CGROUP_CUT;
	RECORD_PART(&record.exec.cgroup, "leaf\0\0\0slice\0");
	CHECK_INT(decode(record.head.size), -EBADMSG);

	make_exec(7, 100, 200, "x", 2, 1);
	RECORD_PART(&record.exec.cgroup, "leaf\0\0slice\0");
	CHECK_INT(decode(record.head.size), -EBADMSG);
}

TEST(kernel_without_cgroups_has_no_path)
{
	make_exec(7, 100, 200, "x", 2, 1);
	record.exec.flags = PLACE_F_NO_CGROUP;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(!d.process.image.cgroup.data && d.process.image.incomplete == 0);
}

TEST(error_record_is_decoded)
{
	make_error(7, 100, 200, ENOENT);
	CHECK_INT(decode(record.head.size), 0);
	CHECK_INT(d.error, ENOENT);
	CHECK(is(d.process.image.exe, "/bin/nope") && is(d.process.image.filename, "/bin/nope"));
	record.error.dirfd = 3; /* an absolute path stays as it is */
	CHECK_INT(decode(record.head.size), 0);
	CHECK(is(d.process.image.exe, "/bin/nope"));
	record.error.filename.offset++;
	record.error.filename.size--;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(is(d.process.image.exe, "/dev/fd/3/bin/nope") && is(d.process.image.filename, "/dev/fd/3/bin/nope"));
	record.error.dirfd = AT_FDCWD;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(is(d.process.image.exe, "bin/nope"));
	record.error.filename.size = 0;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(is(d.process.image.filename, ""));
	record.error.dirfd = 3;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(is(d.process.image.exe, "/dev/fd/3"));
	record.error.flags = ERROR_F_FILENAME_FAULT;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(!d.process.image.filename.data);
	CHECK_INT(d.process.image.incomplete, INCOMPLETE_BIT(INCOMPLETE_EXE) | INCOMPLETE_BIT(INCOMPLETE_FILENAME));
	record.error.error = -EFAULT;
	CHECK_INT(decode(record.head.size), 0);
	CHECK(!d.process.image.filename.data && d.process.image.incomplete == 0);
	record.error.error = 0;
	CHECK_INT(decode(record.head.size), -EBADMSG);
}

TEST(shorter_records_are_read_within_their_bounds)
{
	make_exec(7, 100, 200, "ls\0-l\0\0", 7, 3);
	for (size_t size = 0; size < record.head.size; size++)
		CHECK_INT(decode(size), -EBADMSG);
	for (unsigned size = record.head.size; size-- > 0;) {
		record.head.size = size;
		CHECK_INT(decode(sizeof(record.exec) + 64), -EBADMSG);
	}
}

TEST(parts_outside_the_record_are_refused)
{
	static const struct part bad[] = {
		{ 0, 4 }, { 8, 8 }, { 0xffffffff, 2 }, { 0x7fffffff, 0x7fffffff }, { 300, 0xffffffff }
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_exec(7, 100, 200, "x", 2, 1);
		record.exec.filename = bad[i];
		CHECK_INT(decode(record.head.size), -EBADMSG);
		make_exec(7, 100, 200, "x", 2, 1);
		record.exec.exe = bad[i];
		CHECK_INT(decode(record.head.size), -EBADMSG);
		make_piece(7, 200, 0, "abc", 3);
		record.args.bytes = bad[i];
		CHECK_INT(decode(record.head.size), -EBADMSG);
	}
}

TEST(unknown_kinds_are_refused)
{
	record_begin(99, 256, 1, 1, 1);
	CHECK_INT(decode(256), -EBADMSG);
	record_begin(0, 256, 1, 1, 1);
	CHECK_INT(decode(256), -EBADMSG);
}

TEST(components_become_a_path)
{
	char buffer[32];
	struct bytes path;

	CHECK_INT(decode_path(BYTES("c\0bb\0a\0"), buffer, sizeof(buffer), &path), 0);
	CHECK(is(path, "/a/bb/c"));
	CHECK_INT(decode_path(BYTES_NONE, buffer, sizeof(buffer), &path), 0);
	CHECK(is(path, "/"));
	CHECK_INT(decode_path(BYTES("a\0b"), buffer, sizeof(buffer), &path), -EBADMSG);
	CHECK_INT(decode_path(BYTES("a\0\0b\0"), buffer, sizeof(buffer), &path), -EBADMSG);
	CHECK_INT(decode_path(BYTES("c\0bb\0a\0"), buffer, 7, &path), 0);
	CHECK_INT(decode_path(BYTES("c\0bb\0a\0"), buffer, 6, &path), -EBADMSG);
	CHECK_INT(decode_path(BYTES_NONE, buffer, 0, &path), -EBADMSG);
}

TEST(records_have_no_padding)
{
	/* What crosses from the kernel has no byte that was not set. */
	CHECK_INT(sizeof(struct record_head), 4 + 4 + 8 + 8 + 4 + 4 + 4 + 4);
	CHECK_INT(sizeof(struct record_process), 6 * 8 + 22 * 4 + 2 * RECORD_COMM_SIZE);
	CHECK_INT(sizeof(struct record_fork), sizeof(struct record_head) + sizeof(struct record_process) + 16);
	CHECK_INT(sizeof(struct record_exec), sizeof(struct record_fork) - 16 + 2 * 8 + 6 * 4 + 4 * 8 + 7 * 8);
	CHECK_INT(sizeof(struct record_exit), sizeof(struct record_head) + 6 * 8 + 2 * 4);
	CHECK_INT(sizeof(struct record_error), sizeof(struct record_fork) - 16 + 4 * 4 + 2 * 8 + 5 * 8);
	CHECK_INT(sizeof(struct record_args), sizeof(struct record_head) + 8 + 8);
}

TAP_MAIN
