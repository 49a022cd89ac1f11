/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/unit_job.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define SYSTEMD "org.freedesktop.systemd1"

DEFINE_CLEANUP(sd_bus *, sd_bus_close_unref);
DEFINE_CLEANUP(sd_bus_message *, sd_bus_message_unref);

/* The job of the unit; *ret_id 0: it has none. Below 0: not known. */
static int find_job(sd_bus *bus, const char *unit, uint32_t *ret_id, char **ret_path)
{
	_cleanup_(sd_bus_message_unref_p) sd_bus_message *reply = NULL;
	_cleanup_free_ char *path = NULL;
	const char *job;
	int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);

	if (r >= 0)
		r = sd_bus_get_property(bus, SYSTEMD, path, SYSTEMD ".Unit", "Job", NULL, &reply, "(uo)");
	if (r >= 0)
		r = sd_bus_message_read(reply, "(uo)", ret_id, &job);
	if (r >= 0)
		r = (*ret_path = strdup(job)) ? 0 : -1;
	return r;
}

/* Connects. A call would wait for that itself, but for 25 seconds: late in a shutdown there is no reply. */
static int open_bus(sd_bus **ret, unsigned timeout_ms)
{
	uint64_t deadline = clock_us(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000, now;
	int r = sd_bus_open_system(ret);

	while (r >= 0 && sd_bus_is_ready(*ret) == 0) {
		r = sd_bus_process(*ret, NULL);
		now = clock_us(CLOCK_MONOTONIC);
		if (now >= deadline)
			return -ETIMEDOUT;
		if (r == 0)
			r = sd_bus_wait(*ret, deadline - now);
	}
	return r < 0 ? r : sd_bus_is_ready(*ret) > 0 ? 0 : -ENOTCONN;
}

enum unit_job unit_job_of(const char *unit, unsigned timeout_ms)
{
	_cleanup_(sd_bus_close_unref_p) sd_bus *bus = NULL;
	_cleanup_free_ char *path = NULL, *type = NULL;
	uint32_t id;

	if (open_bus(&bus, timeout_ms) < 0 || sd_bus_set_method_call_timeout(bus, (uint64_t)timeout_ms * 1000) < 0 ||
	    find_job(bus, unit, &id, &path) < 0)
		return UNIT_JOB_UNKNOWN;
	/* Somebody sent the signal by hand: it is an end in order, after which Restart=on-failure does nothing. */
	if (id == 0)
		return UNIT_JOB_STOP;
	if (sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Job", "JobType", NULL, &type) < 0)
		return UNIT_JOB_UNKNOWN;
	return strcmp(type, "stop") == 0 ? UNIT_JOB_STOP : UNIT_JOB_RESTART;
}

enum unit_job unit_job(unsigned timeout_ms)
{
	_cleanup_free_ char *unit = NULL;

	return sd_pid_get_unit(0, &unit) < 0 ? UNIT_JOB_UNKNOWN : unit_job_of(unit, timeout_ms);
}
