/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities, by capset(2): those that matter here are of the first 32. */
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/daemon_internal.h"
#include "util/log.h"

static bool get_capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &head, data) == 0;
}

/* CAP_SYS_ADMIN is needed to open the tracepoints, and for nothing after that. The bounding set stays: the daemon runs
 * no other program. */
static void drop_sys_admin(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t bit = UINT32_C(1) << CAP_SYS_ADMIN;

	if (!(data[0].permitted & bit))
		return;
	data[0].effective &= ~bit;
	data[0].permitted &= ~bit;
	data[0].inheritable &= ~bit;
	if (syscall(SYS_capset, &head, data) < 0)
		log_warning("dropping CAP_SYS_ADMIN: %s", strerror(errno));
}

void daemon_drop_privileges(void)
{
	struct __user_cap_data_struct data[2] = {};

	if (!get_capabilities(data))
		return;
	drop_sys_admin(data);
	/* Each such file is left out where it may not be read (procfs.h): so the reason is logged once. */
	if (!(data[0].effective & (UINT32_C(1) << CAP_SYS_PTRACE)))
		log_warning(
			"no CAP_SYS_PTRACE: exe, cwd and env of already running processes of other users will be missing");
}
