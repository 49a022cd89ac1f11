/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What systemd is about to do with the unit that we run in. SIGTERM is the same for a stop and a restart; the
 * system bus has the job (org.freedesktop.systemd1(5), properties Job and JobType).
 */
#pragma once

enum unit_job {
	UNIT_JOB_UNKNOWN, /* no unit, no bus (early in a boot, late at its end), or no reply */
	UNIT_JOB_STOP,	  /* no daemon follows */
	UNIT_JOB_RESTART,
};

/* Waits for systemd's replies, for timeout_ms at most for each of three. */
enum unit_job unit_job(unsigned timeout_ms);
/* The same of any unit. */
enum unit_job unit_job_of(const char *unit, unsigned timeout_ms);
