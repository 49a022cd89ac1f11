/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/unit_job.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

static long asked_for_ms(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK_INT(unit_job_of("execsnoopd.service", 200), UNIT_JOB_UNKNOWN);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
}

TEST(job_is_unknown_without_a_bus)
{
	CHECK_INT(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1), 0);
	CHECK(asked_for_ms() < 1000);
}

/* As at the end of a shutdown: the socket is there, and nothing accepts. */
TEST(unresponsive_bus_does_not_block)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char bus[sizeof(address.sun_path) + 32];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "execsnoopd-test-%d", (int)getpid());
	CHECK_INT(bind(fd, (const struct sockaddr *)&address,
		       (socklen_t)(sizeof(address.sun_family) + 1 + strlen(address.sun_path + 1))),
		  0);
	CHECK_INT(listen(fd, 1), 0);
	snprintf(bus, sizeof(bus), "unix:abstract=%s", address.sun_path + 1);
	CHECK_INT(setenv("DBUS_SYSTEM_BUS_ADDRESS", bus, 1), 0);
	CHECK(asked_for_ms() < 5000);
	close(fd);
}

TAP_MAIN
