/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/run_scope.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ctl/command/options.h"
#include "util/cleanup.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define TIMEOUT_US 25000000ULL

DEFINE_CLEANUP(sd_bus *, sd_bus_flush_close_unref);
DEFINE_CLEANUP(sd_bus_message *, sd_bus_message_unref);
DEFINE_CLEANUP(sd_bus_slot *, sd_bus_slot_unref);

struct job {
	const char *path;
	bool removed, done;
};

static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct job *job = userdata;
	const char *path, *unit, *result;
	uint32_t id;
	int r = sd_bus_message_read(message, "uoss", &id, &path, &unit, &result);

	if (r < 0 || strcmp(path, job->path) != 0)
		return r;
	job->removed = true;
	job->done = strcmp(result, "done") == 0;
	return 0;
}

/* The manager itself, which needs no message bus. */
static int open_private(sd_bus **ret, const char *folder)
{
	_cleanup_(sd_bus_flush_close_unref_p) sd_bus *bus = NULL;
	char address[PATH_MAX];
	int r = sd_bus_new(&bus);

	if (r < 0)
		return r;
	snprintf(address, sizeof(address), "unix:path=%s/systemd/private", folder);
	r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		*ret = TAKE_PTR(bus);
	return r;
}

static int open_manager(sd_bus **ret, bool of_user)
{
	const char *folder = of_user ? getenv("XDG_RUNTIME_DIR") : "/run";
	char made[64];

	if (!folder) {
		snprintf(made, sizeof(made), "/run/user/%u", geteuid());
		folder = made;
	}
	if (open_private(ret, folder) >= 0)
		return 0;
	return of_user ? sd_bus_open_user(ret) : sd_bus_open_system(ret);
}

static int make_request(sd_bus *bus, sd_bus_message **ret, const char *name, pid_t pid, const char *description)
{
	int r = sd_bus_message_new_method_call(bus, ret, SYSTEMD, SYSTEMD_PATH, MANAGER, "StartTransientUnit");

	if (r < 0)
		return r;
	r = sd_bus_message_append(*ret, "ss", name, "fail");
	if (r < 0)
		return r;
	r = sd_bus_message_append(*ret, "a(sv)", 3, "Description", "s", description, "CollectMode", "s",
				  "inactive-or-failed", "PIDs", "au", 1, (uint32_t)pid);
	if (r < 0)
		return r;
	return sd_bus_message_append(*ret, "a(sa(sv))", 0);
}

/* 0: the process is in the unit. */
static int start_unit(sd_bus *bus, const char *name, pid_t pid, const char *description, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unref_p) sd_bus_message *request = NULL, *reply = NULL;
	_cleanup_(sd_bus_slot_unref_p) sd_bus_slot *slot = NULL;
	struct job job = { 0 };
	int r = sd_bus_match_signal(bus, &slot, NULL, SYSTEMD_PATH, MANAGER, "JobRemoved", on_job_removed, &job);

	if (r < 0)
		return r;
	r = make_request(bus, &request, name, pid, description);
	if (r < 0)
		return r;
	r = sd_bus_call(bus, request, TIMEOUT_US, error, &reply);
	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "o", &job.path);
	while (r >= 0 && !job.removed) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, TIMEOUT_US) > 0 ? 0 : -ETIMEDOUT;
	}
	if (r < 0)
		return r;
	return job.done ? 0 : -ECANCELED;
}

/* The path in a line of /proc/PID/cgroup (cgroups(7)) of the hierarchy that systemd keeps; NULL: it is another's. */
static const char *path_in(const char *line, bool *ret_v1)
{
	const char *name = strchr(line, ':');

	*ret_v1 = name && strncmp(name, ":name=systemd:", 14) == 0;
	if (*ret_v1)
		return name + 14;
	return name && name[1] == ':' ? name + 2 : NULL;
}

static void find_procs(struct run_scope *scope, pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char name[64], line[PATH_MAX];

	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
	file = fopen(name, "re");
	while (file && fgets(line, sizeof(line), file)) {
		bool v1;
		const char *path = path_in(line, &v1);

		line[strcspn(line, "\n")] = '\0';
		if (!path || !strstr(path, scope->name))
			continue;
		free(scope->procs);
		if (asprintf(&scope->procs, "/sys/fs/cgroup%s%s/cgroup.procs", v1 ? "/systemd" : "", path) < 0)
			scope->procs = NULL;
		if (scope->procs && access(scope->procs, R_OK) == 0)
			return;
	}
}

static int fail(const struct run_scope *scope, int r, const sd_bus_error *error)
{
	fprintf(stderr, "execsnoopctl: --scope: the service manager of %s: %s\nThe command was not run.\n",
		scope->is_of_user ? "this user" : "the system", error->message ? error->message : strerror(-r));
	return r == -EACCES || r == -EPERM ? CTL_NOPERM : CTL_UNAVAILABLE;
}

int run_scope_start(struct run_scope *ret, pid_t pid, const char *description)
{
	_cleanup_(sd_bus_flush_close_unref_p) sd_bus *bus = NULL;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	uint64_t random = 0;
	int r;

	*ret = (struct run_scope){ .is_of_user = geteuid() != 0 };
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint64_t)pid;
	snprintf(ret->name, sizeof(ret->name), "execsnoopctl-run-%d-%016llx.scope", (int)pid,
		 (unsigned long long)random);
	r = open_manager(&bus, ret->is_of_user);
	if (r >= 0)
		r = start_unit(bus, ret->name, pid, description, &error);
	if (r < 0)
		r = fail(ret, r, &error);
	else
		find_procs(ret, pid);
	sd_bus_error_free(&error);
	return r;
}

size_t run_scope_count(const struct run_scope *scope)
{
	_cleanup_fclose_ FILE *file = scope->procs ? fopen(scope->procs, "re") : NULL;
	size_t count = 0;
	int c;

	while (file && (c = fgetc(file)) != EOF)
		count += c == '\n';
	return count;
}

void run_scope_finish(struct run_scope *scope)
{
	free(scope->procs);
}
