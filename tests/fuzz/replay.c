/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target over the files of its corpus, each a TAP test: what a fuzzer found once stays found. The program
 * fuzz_X has $top_srcdir/tests/fuzz/corpus/X, or the folder that its first argument names. With --enable-fuzzing,
 * libFuzzer has a main of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int one(int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ uint8_t *data = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	/* Exactly as large as the input, so that ASan sees a read beyond it. */
	data = malloc(st.st_size ? (size_t)st.st_size : 1);
	if (!data || read(fd, data, (size_t)st.st_size) != st.st_size)
		return -1;
	return LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir"), *name = strstr(program_invocation_short_name, "fuzz_");
	struct dirent **names;
	int n, count = 0, failed = 0;
	_cleanup_close_ int dir = -1;
	char folder[4096];

	if (argc > 1)
		snprintf(folder, sizeof(folder), "%s", argv[1]);
	else
		snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", top ? top : ".", name ? name + 5 : "");
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	n = dir < 0 ? -1 : scandir(folder, &names, NULL, alphasort);
	if (n < 0) {
		perror(folder);
		return 2;
	}
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			int r = one(dir, names[i]->d_name);

			printf("%s %d - %s\n", r == 0 ? "ok" : "not ok", ++count, names[i]->d_name);
			fflush(stdout);
			failed += r != 0;
		}
		free(names[i]);
	}
	free(names);
	printf("1..%d\n", count);
	return failed > 0 || count == 0;
}
