/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The version of a kernel shows how it was built (scripts/mkcompile_h of the kernel; init/Makefile,
 * UTS_VERSION): PREEMPT, PREEMPT_LAZY and PREEMPT_RT preempt, a kernel without any of these does
 * not, and with PREEMPT_DYNAMIC it is chosen when it boots (kernel/sched/core.c,
 * preempt_dynamic_init()): by `preempt=` on its command line, else as it was configured. It may be
 * changed later, in debugfs, which shows what is in force, but not where the kernel is locked down.
 */
#include "kernel/preemption.h"

#include <stdio.h>
#include <string.h>

#include "kernel/root_file.h"
#include "util/cleanup.h"

/* 1 or 0 by the name of a mode; -1: it is none. */
static int mode_preempts(const char *mode)
{
	if (strcmp(mode, "none") == 0 || strcmp(mode, "voluntary") == 0)
		return 0;
	return strcmp(mode, "full") == 0 || strcmp(mode, "lazy") == 0 || strcmp(mode, "laziest") == 0 ? 1 : -1;
}

/* "none (voluntary) full" */
static int by_debugfs(const char *root)
{
	char line[256], *mode;

	if (!root_file_read_line(root, "/sys/kernel/debug/sched/preempt", line, sizeof(line)))
		return -1;
	mode = strchr(line, '(');
	if (!mode)
		return -1;
	mode++;
	mode[strcspn(mode, ")")] = '\0';
	return mode_preempts(mode);
}

/* The last one counts. */
static int by_command_line(const char *root)
{
	char line[4096], *rest = line, *word;
	int preempts = -1;

	if (!root_file_read_line(root, "/proc/cmdline", line, sizeof(line)))
		return -1;
	while ((word = strsep(&rest, " ")))
		if (strncmp(word, "preempt=", 8) == 0)
			preempts = mode_preempts(word + 8);
	return preempts;
}

static int by_config(const char *root, const char *before, const char *release, const char *after)
{
	char path[512], line[256];
	_cleanup_fclose_ FILE *f = NULL;

	snprintf(path, sizeof(path), "%s%s%s", before, release, after);
	f = root_file_open(root, path);
	while (f && fgets(line, sizeof(line), f)) {
		if (strcmp(line, "CONFIG_PREEMPT_NONE=y\n") == 0 || strcmp(line, "CONFIG_PREEMPT_VOLUNTARY=y\n") == 0)
			return 0;
		if (strcmp(line, "CONFIG_PREEMPT=y\n") == 0 || strcmp(line, "CONFIG_PREEMPT_LAZY=y\n") == 0)
			return 1;
	}
	return -1;
}

bool preemption_is_on(const char *root)
{
	char version[256], release[256];
	int preempts;

	if (!root_file_read_line(root, "/proc/sys/kernel/version", version, sizeof(version)))
		return true;
	if (!strstr(version, "PREEMPT"))
		return false;
	if (!strstr(version, "PREEMPT_DYNAMIC"))
		return true;
	preempts = by_debugfs(root);
	if (preempts < 0)
		preempts = by_command_line(root);
	if (!root_file_read_line(root, "/proc/sys/kernel/osrelease", release, sizeof(release)))
		return true;
	if (preempts < 0)
		preempts = by_config(root, "/boot/config-", release, "");
	if (preempts < 0)
		preempts = by_config(root, "/lib/modules/", release, "/config");
	return preempts != 0;
}
