/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/machine_stats.h"

#include "output/reply.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)

static const uint64_t lifetimes[MACHINE_LIFETIMES - 1] = {
	MS, 3 * MS, 10 * MS, 30 * MS, 100 * MS, 300 * MS, S, 3 * S, 10 * S, 30 * S, 100 * S, 300 * S, 1000 * S, 3600 * S
};
static const uint64_t cpu_lifetimes[MACHINE_CPU_LIFETIMES - 1] = { 100 * MS, S, 60 * S };

static size_t class_of(const uint64_t *bounds, size_t count, uint64_t value)
{
	size_t i = 0;

	while (i < count && value > bounds[i])
		i++;
	return i;
}

static void add_exit(struct machine_stats *stats, const struct event *event)
{
	uint64_t lived = event->end.running_ns;

	stats->results[event_result(event)]++;
	stats->lifetimes[class_of(lifetimes, MACHINE_LIFETIMES - 1, lived)]++;
	stats->lifetime_ns += lived;
	if (event->end.cpu_known)
		stats->cpu_ns[class_of(cpu_lifetimes, MACHINE_CPU_LIFETIMES - 1, lived)] +=
			event->end.cpu_user_ns + event->end.cpu_system_ns;
}

void machine_stats_event(struct machine_stats *stats, const struct event *event)
{
	switch (event->type) {
	case EVENT_STARTED:
		stats->secureexec += event->process->image.secureexec;
		stats->memfd_execs += event->process->image.exe_memfd;
		break;
	case EVENT_EXITED:
		add_exit(stats, event);
		break;
	case EVENT_ERROR:
		stats->errors[event->error > 0 && event->error < MACHINE_ERRNO_MAX ? event->error : 0]++;
		break;
	default:
		break;
	}
}

static void gen_errors(const struct machine_stats *stats, yajl_gen gen)
{
	uint64_t others = stats->errors[0];

	reply_map(gen, "exec_errors");
	for (int error = 1; error < MACHINE_ERRNO_MAX; error++) {
		const char *name = errno_name(error);

		if (!name)
			others += stats->errors[error];
		else if (stats->errors[error] > 0)
			reply_count(gen, name, stats->errors[error]);
	}
	if (others > 0)
		reply_count(gen, "other", others);
	yajl_gen_map_close(gen);
}

/* An array of what each class has, with its bound; the last one has none. */
static void gen_classes(yajl_gen gen, const char *name, const char *value, const uint64_t *bounds,
			const uint64_t *values, size_t count)
{
	reply_text(gen, name);
	yajl_gen_array_open(gen);
	for (size_t i = 0; i < count; i++) {
		yajl_gen_map_open(gen);
		if (i + 1 < count)
			reply_count(gen, "up_to_ns", bounds[i]);
		reply_count(gen, value, values[i]);
		yajl_gen_map_close(gen);
	}
	yajl_gen_array_close(gen);
}

void machine_stats_gen(const struct machine_stats *stats, yajl_gen gen)
{
	yajl_gen_map_open(gen);
	reply_map(gen, "results");
	for (enum result result = RESULT_SUCCESS; result < RESULT_MAX; result++)
		reply_count(gen, result_name(result), stats->results[result]);
	reply_count(gen, "unknown", stats->results[RESULT_UNKNOWN]);
	yajl_gen_map_close(gen);
	gen_errors(stats, gen);
	gen_classes(gen, "lifetimes", "processes", lifetimes, stats->lifetimes, MACHINE_LIFETIMES);
	reply_count(gen, "lifetime_ns", stats->lifetime_ns);
	gen_classes(gen, "cpu", "cpu_ns", cpu_lifetimes, stats->cpu_ns, MACHINE_CPU_LIFETIMES);
	reply_count(gen, "secureexec", stats->secureexec);
	reply_count(gen, "memfd_execs", stats->memfd_execs);
	yajl_gen_map_close(gen);
}
