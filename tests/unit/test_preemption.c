/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Made-up roots, with what kernels have there. */
#include "kernel/preemption.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static char root[] = "/tmp/execsnoopd-preemption-XXXXXX";
static const char *const files[] = {
	"/proc/sys/kernel/version",	   "/proc/sys/kernel/osrelease", "/proc/cmdline",
	"/sys/kernel/debug/sched/preempt", "/boot/config-1.2.3-some",	 "/lib/modules/1.2.3-some/config"
};
enum { VERSION, RELEASE, CMDLINE, DEBUGFS, BOOT, MODULES, FILES };

/* An empty root. */
static void begin(void)
{
	char path[256];

	if (!mkdtemp(root))
		abort();
	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s%s", root, files[i]);
		for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
			*p = '\0';
			mkdir(path, 0700);
			*p = '/';
		}
	}
}
SETUP(begin)

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void end(void)
{
	CHECK_INT(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
TEARDOWN(end)

/* A file's contents; NULL: there is none. */
static void put(int file, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, files[file]);
	unlink(path);
	if (!text)
		return;
	f = fopen(path, "we");
	if (!f || fputs(text, f) < 0)
		abort();
	fclose(f);
}

TEST(version_has_the_fixed_preemption_model)
{
	CHECK(preemption_is_on(root)); /* not known */
	put(RELEASE, "1.2.3-some\n");
	put(VERSION, "#1 SMP Debian 5.10.223-1 (2024-08-10)\n");
	CHECK(!preemption_is_on(root));
	put(CMDLINE, "quiet preempt=full\n"); /* that kernel does not know it */
	CHECK(!preemption_is_on(root));
	put(CMDLINE, "quiet preempt=none\n");
	put(VERSION, "#1 SMP PREEMPT_RT Debian 6.12.117-1 (2026-11-12)\n");
	CHECK(preemption_is_on(root));
	put(VERSION, "#1 SMP PREEMPT Debian 6.1.1-1\n");
	CHECK(preemption_is_on(root));
	put(VERSION, "#1 SMP PREEMPT_LAZY\n");
	CHECK(preemption_is_on(root));
}

TEST(preemption_model_chosen_at_boot_is_read)
{
	put(RELEASE, "1.2.3-some\n");
	put(VERSION, "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-07-02)\n");
	CHECK(preemption_is_on(root)); /* not known */
	put(MODULES, "CONFIG_X=y\nCONFIG_PREEMPT_NONE=y\n");
	CHECK(!preemption_is_on(root));
	put(BOOT,
	    "CONFIG_PREEMPT_BUILD=y\n# CONFIG_PREEMPT_VOLUNTARY is not set\nCONFIG_PREEMPT=y\nCONFIG_PREEMPT_DYNAMIC=y\n");
	CHECK(preemption_is_on(root));
	put(BOOT, "CONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT_LAZY=y\n");
	CHECK(preemption_is_on(root));
	put(BOOT, "CONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT_VOLUNTARY=y\n# CONFIG_PREEMPT is not set\n");
	CHECK(!preemption_is_on(root));
	put(CMDLINE, "quiet preempt=none preempt=full\n");
	CHECK(preemption_is_on(root));
	put(CMDLINE, "preempt=full preempt=voluntary quiet\n");
	CHECK(!preemption_is_on(root));
	put(CMDLINE, "nopreempt=full xpreempt=full\n");
	CHECK(!preemption_is_on(root));
	put(DEBUGFS, "none voluntary (full) lazy \n");
	CHECK(preemption_is_on(root));
	put(DEBUGFS, "full (lazy) laziest \n");
	CHECK(preemption_is_on(root));
	put(CMDLINE, "preempt=full\n");
	put(DEBUGFS, "none (voluntary) full \n");
	CHECK(!preemption_is_on(root));
}

TAP_MAIN
