/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A record of this process, as it is and then with one thing after another as another kernel's types would have it. */
#include "kernel/btf_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static uint32_t inode(const char *path)
{
	struct stat st;

	CHECK_INT(stat(path, &st), 0);
	return (uint32_t)st.st_ino;
}

/* Field 22 of /proc/PID/stat (proc(5)), in ns. */
static uint64_t began(void)
{
	unsigned long long ticks = 0;
	char line[1024] = "";
	FILE *f = fopen("/proc/self/stat", "re");

	CHECK(f && fgets(line, sizeof(line), f));
	fclose(f);
	CHECK_INT(sscanf(strrchr(line, ')') + 1,
			 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks),
		  1);
	return ticks * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK)) + 1;
}

static struct record_running myself(void)
{
	struct record_running running = {
		.process = {
			.start = began(),
			.tgid = (uint32_t)getpid(),
			.uid = getuid(), .gid = getgid(), .euid = geteuid(), .egid = getegid(),
			.sid = (uint32_t)getsid(0),
			.pid_ns = inode("/proc/self/ns/pid"),
			.mnt_ns = inode("/proc/self/ns/mnt"),
			.ns_pid = (uint32_t)getpid(),
		},
		.exe_inode = 1,
	};

	prctl(PR_GET_NAME, running.process.comm);
	return running;
}

static void differs(const struct record_running *running, const char *what)
{
	const char *found = btf_check_differs(running);

	CHECK(found && strcmp(found, what) == 0);
}

TEST(daemon_is_found_by_its_pid_in_its_namespace)
{
	struct record_running running = myself();

	CHECK(btf_check_is_daemon(&running.process));
	running.process.tgid++; /* in the initial one */
	CHECK(btf_check_is_daemon(&running.process));
	running.process.ns_pid++;
	CHECK(!btf_check_is_daemon(&running.process));
	running = myself();
	running.process.pid_ns++;
	CHECK(!btf_check_is_daemon(&running.process));
}

TEST(true_values_do_not_differ)
{
	struct record_running running = myself();

	CHECK(!btf_check_differs(&running));
	/* The session of another namespace has another number. */
	running.process.tgid++;
	running.process.sid++;
	CHECK(!btf_check_differs(&running));
}

TEST(differing_values_are_named)
{
	struct record_running running = myself();

	running.process.comm[0]++;
	differs(&running, "comm");
	running = myself();
	running.process.start += 20000000;
	differs(&running, "start");
	running = myself();
	running.process.start = 0;
	differs(&running, "start");
	for (int i = 0; i < 4; i++) {
		running = myself();
		*(uint32_t *[]){ &running.process.uid, &running.process.gid, &running.process.euid,
				 &running.process.egid }[i] += 1;
		differs(&running, "user");
	}
	running = myself();
	running.process.sid++;
	differs(&running, "session");
	running = myself();
	running.process.mnt_ns++;
	differs(&running, "mount namespace");
	running = myself();
	running.exe_inode = 0;
	differs(&running, "program");
}

TAP_MAIN
