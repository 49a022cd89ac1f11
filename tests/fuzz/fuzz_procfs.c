/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * procfs over a tree of files that looks like /proc. The input is text, its parts divided by lines "%%":
 *
 *	LIMIT TICKS     args_limit, and the start of the process meant, in clock ticks
 *	%%
 *	stat
 *	%%
 *	cmdline
 *	%%
 *	cgroup
 *	%%
 *	exe             what the link points to
 *	%%
 *	cwd
 *
 * A part that is not there is a file that is not there. What comes out must hold together, and agree with what
 * went in as far as that can be said simply.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fuzz/parts.h"
#include "kernel/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT_MAX (1u << 20)

static char root_path[64];
static int root = -1, dir = -1;
static bool is_made[5]; /* of `names` */

static const char *const names[] = { "stat", "cmdline", "cgroup", "exe", "cwd" };
enum { STAT, CMDLINE, CGROUP, EXE, CWD, FILES };

static void clean(void)
{
	for (int i = 0; i < FILES; i++)
		if (is_made[i])
			unlinkat(dir, names[i], 0);
	unlinkat(root, "42", AT_REMOVEDIR);
	rmdir(root_path);
}

static void prepare(void)
{
	strcpy(root_path, "/dev/shm/fuzz_procfs.XXXXXX");
	if (!mkdtemp(root_path)) {
		strcpy(root_path, "/tmp/fuzz_procfs.XXXXXX");
		ASSERT(mkdtemp(root_path));
	}
	root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(root >= 0 && mkdirat(root, "42", 0755) == 0);
	dir = openat(root, "42", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(dir >= 0);
	atexit(clean);
}

static void make_file(int i, struct bytes content)
{
	_cleanup_close_ int fd = openat(dir, names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ASSERT(fd >= 0);
	ASSERT(write(fd, content.data, content.size) == (ssize_t)content.size);
}

static void make_link(int i, struct bytes content)
{
	char target[4096];

	if (content.size >= sizeof(target))
		return;
	memcpy(target, content.data, content.size);
	target[content.size] = '\0';
	if (symlinkat(target, dir, names[i]) < 0)
		return; /* a name is taken already */
}

static void check_args(const struct image *image, struct bytes file, size_t limit)
{
	uint64_t whole, nuls = 0, held = 0;

	if (file.size == 0) {
		ASSERT(!image->args.data && image->argc == 0 && image->args_size == 0 && !image->args_truncated);
		return;
	}
	for (size_t i = 0; i < file.size; i++)
		nuls += file.data[i] == '\0';
	for (size_t i = 0; i < image->args.size; i++)
		held += image->args.data[i] == '\0';
	whole = file.size + (file.data[file.size - 1] != '\0');
	ASSERT(image->args.data);
	ASSERT(image->args_size == whole);
	ASSERT(image->argc == nuls + (whole > file.size));
	ASSERT(image->args.size <= limit);
	ASSERT(image->args_truncated == (whole > limit));
	ASSERT(image->args_truncated || (image->args.size == whole && held == image->argc));
	if (image->args.size > 0) {
		ASSERT(image->args.data[image->args.size - 1] == '\0');
		ASSERT(memcmp(image->args.data, file.data,
			      image->args.size < file.size ? image->args.size : file.size) == 0);
	}
	/* As much as fits, and no less. */
	if (image->args_truncated && limit > image->args.size) {
		size_t room = limit < file.size ? limit : file.size;

		ASSERT(!memchr(file.data + image->args.size, '\0', room - image->args.size));
	}
}

static void check_path(struct bytes path)
{
	ASSERT(!path.data || (path.size > 0 && path.data[0] == '/'));
}

static void check_image(const struct image *image, const struct bytes files[static FILES], size_t limit)
{
	check_args(image, files[CMDLINE], limit);
	check_path(image->exe);
	check_path(image->cwd);
	check_path(image->cgroup);
	ASSERT(!image->cgroup.data || !memchr(image->cgroup.data, '\n', image->cgroup.size));
	ASSERT(!image->exe_memfd || image->exe_deleted);
	ASSERT(!image->unit.data && !image->container_id.data && !image->env.data && !image->filename.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(procfs_free_p) struct procfs *procfs = NULL;
	struct bytes rest = { (const char *)data, size }, head = BYTES_NONE, files[FILES] = { 0 };
	struct process process = { .tgid = 42 };
	unsigned long long limit = 0, ticks = 0;
	char line[64] = "";
	int r;

	if (dir < 0)
		prepare();
	if (!data || !next_part(&rest, &head))
		return 0;
	memcpy(line, head.data, head.size < sizeof(line) ? head.size : sizeof(line) - 1);
	if (sscanf(line, "%7llu %14llu", &limit, &ticks) < 1)
		return 0;
	if (limit > LIMIT_MAX)
		limit = LIMIT_MAX;
	process.start = ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
	process.image.exe = BYTES("mine");
	for (int i = 0; i < FILES; i++) {
		if (is_made[i])
			unlinkat(dir, names[i], 0);
		is_made[i] = next_part(&rest, &files[i]);
		if (!is_made[i])
			continue;
		if (i < EXE)
			make_file(i, files[i]);
		else
			make_link(i, files[i]);
	}
	ASSERT(procfs_new(&procfs, root, (size_t)limit) == 0);
	/* Twice, with the buffers of the first time. */
	for (int i = 0; i < 2; i++) {
		r = procfs_read(procfs, &process, NULL, 0);
		if (r == 0) {
			check_image(&process.image, files, (size_t)limit);
		} else {
			ASSERT(r == -ESRCH || r == -EBADMSG);
			ASSERT(bytes_equal(process.image.exe, BYTES("mine")));
		}
	}
	/* A kernel thread has none of it. */
	process.kernel_thread = true;
	if (procfs_read(procfs, &process, NULL, 0) == 0)
		ASSERT(!process.image.exe.data && !process.image.args.data && !process.image.cgroup.data);
	return 0;
}
