/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading and attaching, and the reader's side of the ring buffer. Failed execs are failed_exec.c's.
 *
 * Optional programs are marked "?" in the BPF object and chosen here by what the kernel's BTF has. A kernel without BTF of its
 * own takes none of the programs that are attached by type, and a verifier may know less of types: then the fallback is loaded
 * (bpf/fallback.bpf.h).
 *
 * The ring buffer's descriptor is watched edge-triggered: level-triggered it would be ready whenever a record
 * waits, and so wake the reader for each of them; as it is, only a producer that decides to wake does.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/failed_exec.h"
#include "kernel/probe.h"
/* Needs record.h. */
#include "lifecycle.skel.h"
#include "model/hierarchy.h"
#include "kernel/layout.h"
#include "kernel/bpf_diagnose.h"
#include "kernel/ringbuf.h"
#include "kernel/task_list.h"
#include "kernel/btf_check.h"
#include "handover/fdstore.h"

DEFINE_CLEANUP(struct btf *, btf__free);

struct probe {
	struct lifecycle_bpf *skel;
	struct record_shared *shared; /* of both */
	struct ringbuf *ring;
	struct failed_exec *errors;
	__u32 layouts_tried;
	bool fallback; /* the programs of bpf/fallback.bpf.h */
	bool kept;     /* in systemd's store */
};

__attribute__((format(printf, 2, 3))) static void say(struct probe_reason *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason->text, sizeof(reason->text), format, args);
	va_end(args);
}

/* The hierarchies of cgroup v1 that this machine has (cgroups(7)). */
static void read_hierarchies(struct record_settings *config)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	static char text[256 << 10]; /* a path for each */

	if (f)
		hierarchy_ids((struct bytes){ text, fread(text, 1, sizeof(text), f) }, config->hierarchies,
			      RECORD_HIERARCHIES);
}

/* For twice as many processes as there are tasks now, or for what 8 MiB hold, and no more than fallback_tasklist walks over. */
static uint32_t list_size(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/loadavg", "re");
	uint64_t tasks = 0, wanted;
	uint32_t size = 8u << 20;

	/* Load averages, runnable/all. (sysinfo(2) has 16 bits for it.) */
	if (f && fscanf(f, "%*s %*s %*s %*[0-9]/%" SCNu64, &tasks) != 1)
		tasks = 0;
	wanted = 2 * tasks * (sizeof(struct record_running) + BPF_RINGBUF_HDR_SZ);
	while (size < wanted && size < 64u << 20)
		size *= 2;
	return size;
}

/* Sorts a failure into an outcome, with its cause. */
static int refuse(struct probe_reason *reason, struct bpf_facts facts)
{
	int r;

	bpf_diagnose_read(&facts, "");
	bpf_diagnose_ask(&facts);
	r = bpf_diagnose_decide(&facts, reason->text, sizeof(reason->text));
	return r == BPF_DIAGNOSE_E_PRIVILEGE	 ? PROBE_E_PRIVILEGE
	       : r == BPF_DIAGNOSE_E_UNSUPPORTED ? PROBE_E_UNSUPPORTED
						 : r;
}

/* `what` was being done. */
static int failure(struct probe_reason *reason, int error, const char *what)
{
	return refuse(reason, (struct bpf_facts){ .error = error, .what = what });
}

/* What the kernel has. */

/* The number of arguments that the tracepoint gives; -1 if the kernel's BTF does not know it. */
static int tracepoint_arguments(const struct btf *btf, const char *name)
{
	char type_name[128];
	const struct btf_type *type;
	int id;

	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, type_name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -1;
	type = btf__type_by_id(btf, btf__type_by_id(btf, (__u32)id)->type); /* the pointer to the function */
	if (!type || !btf_is_ptr(type))
		return -1;
	type = btf__type_by_id(btf, type->type);
	if (!type || !btf_is_func_proto(type))
		return -1;
	return btf_vlen(type) - 1; /* the first is the tracepoint's own pointer */
}

static int load_btf(struct btf **ret, const char *path, struct probe_reason *reason)
{
	struct btf *btf = path ? btf__parse(path, NULL) : btf__load_vmlinux_btf();
	int error = errno;

	if (btf) {
		*ret = btf;
		return 0;
	}
	if (!path)
		return refuse(reason, (struct bpf_facts){ .error = error,
							  .what = "reading the kernel's type information",
							  .needs_btf = true });
	/* libbpf has codes of its own, and for an ELF file without types that of a file which isn't there, or ENODATA in newer ones. */
	if (access(path, R_OK) == 0 && (error == LIBBPF_ERRNO__FORMAT || error == ENOENT || error == ENODATA))
		say(reason, "no type information (BTF) in %s: neither BTF nor an ELF file with a section .BTF", path);
	else
		say(reason, "no type information (BTF) in %s: %s", path, strerror(error));
	return PROBE_E_UNSUPPORTED;
}

/* The ring. */

int probe_drain(struct probe *probe, unsigned most, probe_on_record on_record, void *userdata)
{
	struct record_layouts *layouts = &probe->skel->data_layouts->layouts;
	__u32 wanted = __atomic_exchange_n(&layouts->wanted, 0, __ATOMIC_RELAXED);

	if (wanted)
		layout_look(layouts, wanted, NULL, NULL, &probe->layouts_tried);
	return ringbuf_consume(probe->ring, most, on_record, userdata);
}

bool probe_sleep(struct probe *probe)
{
	__atomic_store_n(&probe->shared->wake_at, 1, __ATOMIC_SEQ_CST);
	atomic_thread_fence(memory_order_seq_cst);
	if (ringbuf_used(probe->ring) == 0)
		return true;
	probe_awake(probe);
	return false;
}

void probe_awake(struct probe *probe)
{
	uint32_t part = bpf_map__max_entries(probe->skel->maps.ring) / 4;

	__atomic_store_n(&probe->shared->wake_at, part, __ATOMIC_RELAXED);
}

uint64_t probe_waiting(const struct probe *probe)
{
	return ringbuf_used(probe->ring);
}

uint64_t probe_produced(const struct probe *probe)
{
	return ringbuf_produced(probe->ring);
}

uint64_t probe_consumed(const struct probe *probe)
{
	return ringbuf_consumed(probe->ring);
}

int probe_fd(const struct probe *probe)
{
	return bpf_map__fd(probe->skel->maps.ring);
}

void probe_lost(const struct probe *probe, uint32_t *ret_events, uint32_t *ret_forks)
{
	*ret_events = __atomic_load_n(&probe->shared->lost_events, __ATOMIC_RELAXED);
	*ret_forks = __atomic_load_n(&probe->shared->lost_forks, __ATOMIC_RELAXED);
}

/* Start and end. */

/* bpf/preempted.bpf.h says why that matters. */
static bool preempts_at_tracepoints(void)
{
	struct utsname name;

	return uname(&name) == 0 && atoi(name.release) >= 7;
}

static int choose_programs(struct probe *probe, const struct btf *btf, struct probe_reason *reason)
{
	struct lifecycle_bpf *skel = probe->skel;
	struct bpf_program *const second[] = { skel->progs.second_fork, skel->progs.second_exec,
					       skel->progs.second_exit };
	int exit_arguments;

	bpf_program__set_autoattach(skel->progs.iterate_tasks, false);
	bpf_program__set_autoattach(skel->progs.fallback_tasklist, false);
	bpf_map__set_autocreate(skel->maps.tasklist, probe->fallback);
	bpf_program__set_autoload(skel->progs.fallback_fork, probe->fallback);
	bpf_program__set_autoload(skel->progs.fallback_exec, probe->fallback);
	bpf_program__set_autoload(skel->progs.fallback_exit, probe->fallback);
	bpf_program__set_autoload(skel->progs.fallback_tasklist, probe->fallback);
	bpf_program__set_autoload(skel->progs.probe_fork, !probe->fallback);
	bpf_program__set_autoload(skel->progs.probe_exec, !probe->fallback);
	bpf_program__set_autoload(skel->progs.iterate_tasks, !probe->fallback);
	if (probe->fallback)
		return 0;
	for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++)
		bpf_program__set_autoload(second[i], preempts_at_tracepoints());
	exit_arguments = tracepoint_arguments(btf, "sched_process_exit");
	if (exit_arguments < 1) {
		say(reason, "the kernel's type information does not know the tracepoint sched_process_exit");
		return PROBE_E_UNSUPPORTED;
	}
	bpf_program__set_autoload(skel->progs.probe_exit_group_dead, exit_arguments >= 2);
	bpf_program__set_autoload(skel->progs.probe_exit_live, exit_arguments < 2);
	return 0;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

/* Whether a file's type information is this kernel's: by it the daemon has to find itself, as it is. */
static int check_self(struct probe *probe, const char *path, struct probe_reason *reason)
{
	_cleanup_(task_list_free_p) struct task_list *running = NULL;
	const struct record_running *some, *self = NULL;
	const char *differs;
	struct utsname name;
	int n = probe_running(probe, &running);

	if (n == 0) {
		while (!self && (n = task_list_read(running, &some)) > 0)
			for (int i = 0; i < n && !self; i++)
				self = btf_check_is_daemon(&some[i].process) ? &some[i] : NULL;
	}
	if (n < 0 && n != -ENOSPC)
		return failure(reason, -n, "listing the processes");
	differs = n < 0	 ? "list of processes, or a longer one than can be walked"
		  : self ? btf_check_differs(self)
			 : "pid";
	if (!differs)
		return 0;
	uname(&name);
	say(reason,
	    "the type information (BTF) in %s is not that of this kernel, Linux %s: by it the daemon has another %s",
	    path, name.release, differs);
	return PROBE_E_UNSUPPORTED;
}

static int load(struct probe *probe, const struct settings *settings, const struct record_settings *config,
		const struct btf *btf, struct probe_reason *reason)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = settings->probes.btf);
	char what[256];
	int r;

	lifecycle_bpf__destroy(probe->skel);
	probe->skel = lifecycle_bpf__open_opts(&options);
	if (!probe->skel)
		return failure(reason, errno, "opening the probes");
	r = choose_programs(probe, btf, reason);
	if (r != 0)
		return r;
	probe->skel->rodata_settings->settings = *config;
	bpf_map__set_max_entries(probe->skel->maps.ring, (uint32_t)settings->probes.ring_buffer);
	/* For each CPU. Those of failed execs are in the other object. */
	bpf_map__set_max_entries(probe->skel->maps.scratch, config->preempted ? 2 : 1);
	bpf_map__set_max_entries(probe->skel->maps.args_chunks, config->preempted ? 2 : 1);
	if (probe->fallback)
		bpf_map__set_max_entries(probe->skel->maps.tasklist, list_size());
	r = lifecycle_bpf__load(probe->skel);
	snprintf(what, sizeof(what), "loading the probes%s%s", settings->probes.btf ? " by the types in " : "",
		 settings->probes.btf ? settings->probes.btf : "");
	return r < 0 ? failure(reason, -r, what) : 0;
}

/*
 * The end first, then exec, then fork: who is seen to begin is seen to end, and who was there before is in the list, which is
 * read after that (resync.c). A second program (bpf/preempted.bpf.h) goes behind its first, in whose place it runs. Beside the probes of
 * another daemon, which still see everything, any order would do.
 */
static int attach(struct probe *probe)
{
	struct lifecycle_bpf *skel = probe->skel;
	const struct {
		struct bpf_program *program;
		struct bpf_link **link;
	} order[] = {
		{ skel->progs.probe_exit_group_dead, &skel->links.probe_exit_group_dead },
		{ skel->progs.probe_exit_live, &skel->links.probe_exit_live },
		{ skel->progs.fallback_exit, &skel->links.fallback_exit },
		{ skel->progs.second_exit, &skel->links.second_exit },
		{ skel->progs.probe_exec, &skel->links.probe_exec },
		{ skel->progs.fallback_exec, &skel->links.fallback_exec },
		{ skel->progs.second_exec, &skel->links.second_exec },
		{ skel->progs.probe_fork, &skel->links.probe_fork },
		{ skel->progs.fallback_fork, &skel->links.fallback_fork },
		{ skel->progs.second_fork, &skel->links.second_fork },
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!bpf_program__autoload(order[i].program))
			continue;
		*order[i].link = bpf_program__attach(order[i].program);
		if (!*order[i].link)
			return -errno;
	}
	return 0;
}

int probe_new(struct probe **ret, const struct settings *settings, struct probe_reason *reason)
{
	_cleanup_(probe_free_p) struct probe *probe = calloc(1, sizeof(*probe));
	_cleanup_(btf__free_p) struct btf *btf = NULL, *own = NULL;
	/* 5.10 charges maps to RLIMIT_MEMLOCK; newer kernels to the memory cgroup. */
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct record_settings config;
	bool has_own_btf;
	int r;

	if (!probe) {
		say(reason, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	libbpf_set_print(quiet);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	has_own_btf = !settings->probes.btf || access("/sys/kernel/btf/vmlinux", F_OK) == 0;
	probe->fallback = !has_own_btf;
	config = (struct record_settings){
		.args_limit = settings->probes.args_limit,
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.env_wanted = settings->probes.env != NULL,
		.preempted = preempts_at_tracepoints(),
	};
	read_hierarchies(&config);
	r = load_btf(&btf, settings->probes.btf, reason);
	if (r != 0)
		return r;
	/* Nothing that was loaded could be told from what does no harm. */
	if (bpf_diagnose_ring_sleeps(btf))
		return refuse(reason, (struct bpf_facts){ .ring_sleeps = true });
	r = load(probe, settings, &config, btf, reason);
	if (!probe->fallback && (r == PROBE_E_UNSUPPORTED || r == PROBE_E_PRIVILEGE)) {
		/* What verifiers know of types differs between kernels; the other way is taken by all of them. */
		probe->fallback = true;
		r = load(probe, settings, &config, btf, reason);
	}
	if (r != 0)
		return r;
	layout_look(&probe->skel->data_layouts->layouts, LAYOUT_BTRFS | LAYOUT_OVERLAY, btf,
		    settings->probes.btf ? NULL : btf, &probe->layouts_tried);
	if (settings->probes.btf)
		r = check_self(probe, settings->probes.btf, reason);
	if (r != 0)
		return r;
	probe->shared = &probe->skel->data_shared->shared;
	r = ringbuf_new(&probe->ring, probe_fd(probe), settings->probes.ring_buffer);
	if (r < 0)
		return failure(reason, -r, "mapping the ring buffer");
	r = attach(probe);
	if (r < 0)
		return failure(reason, -r, "attaching the probes");
	/* A file has the same types, but perhaps with other ids, and the kernel knows its functions by its own. */
	if (has_own_btf && settings->probes.btf)
		own = btf__load_vmlinux_btf();
	r = failed_exec_new(&probe->errors, settings, &config, settings->probes.btf ? own : btf, probe_fd(probe),
			    bpf_map__fd(probe->skel->maps.data_shared));
	if (r < 0)
		return failure(reason, -r, "failed execs");
	probe_awake(probe);
	*ret = TAKE_PTR(probe);
	return 0;
}

struct probe *probe_free(struct probe *probe)
{
	if (!probe)
		return NULL;
	if (probe->kept)
		__atomic_store_n(&probe->shared->wake_at, 0, __ATOMIC_RELAXED);
	failed_exec_free(probe->errors);
	ringbuf_free(probe->ring);
	lifecycle_bpf__destroy(probe->skel);
	free(probe);
	return NULL;
}

bool probe_is_plain(const struct probe *probe)
{
	return probe->fallback;
}

const char *probe_errors_kind(const struct probe *probe)
{
	return failed_exec_kind(probe->errors);
}

const char *probe_errors_note(const struct probe *probe)
{
	return failed_exec_note(probe->errors);
}

/* Figures. */

/* Adds one program's. */
static void add_program(const struct bpf_program *program, struct probe_stats *stats)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_program__fd(program);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return;
	if (strncmp(bpf_program__name(program), "second_", 7) != 0)
		stats->skipped += info.recursion_misses;
	stats->runs += info.run_cnt;
	stats->run_ns += info.run_time_ns;
}

uint64_t probe_program_skipped(int fd)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ? 0 : info.recursion_misses;
}

uint64_t probe_not_made_up(uint64_t skipped, const __u64 *made_up)
{
	uint64_t less = __atomic_load_n(made_up, __ATOMIC_RELAXED);

	return skipped > less ? skipped - less : 0;
}

#define EVENT_PROGRAMS_MAX 16

/* The descriptors of those whose runs are events, -1 for one that is not loaded: how many. */
static size_t event_programs(const struct probe *probe, int ret[static EVENT_PROGRAMS_MAX])
{
	const struct lifecycle_bpf *skel = probe->skel;
	struct bpf_program *leave;
	size_t n = 0;

	ret[n++] = bpf_program__fd(skel->progs.probe_exec);
	ret[n++] = bpf_program__fd(skel->progs.probe_exit_group_dead);
	ret[n++] = bpf_program__fd(skel->progs.probe_exit_live);
	ret[n++] = bpf_program__fd(skel->progs.fallback_exec);
	ret[n++] = bpf_program__fd(skel->progs.fallback_exit);
	for (size_t i = 0; n < EVENT_PROGRAMS_MAX && (leave = failed_exec_leave(probe->errors, i)); i++)
		ret[n++] = bpf_program__fd(leave);
	return n;
}

static int fork_program(const struct probe *probe)
{
	return bpf_program__fd(probe->fallback ? probe->skel->progs.fallback_fork : probe->skel->progs.probe_fork);
}

void probe_skipped(const struct probe *probe, uint64_t *ret_events, uint64_t *ret_forks)
{
	int fds[EVENT_PROGRAMS_MAX];
	size_t n = event_programs(probe, fds);

	*ret_forks = probe_not_made_up(probe_program_skipped(fork_program(probe)), &probe->shared->made_up_forks);
	*ret_events = 0;
	for (size_t i = 0; i < n; i++)
		*ret_events += probe_program_skipped(fds[i]);
	*ret_events = probe_not_made_up(*ret_events, &probe->shared->made_up_events);
}

const char *probe_kept_name(enum probe_kept kept, uint32_t set)
{
	static const char *const names[PROBE_KEPT_][2] = {
		[PROBE_KEPT_RING] = { "ring-0", "ring-1" },
		[PROBE_KEPT_SHARED] = { "shared-0", "shared-1" },
		[PROBE_KEPT_LINK] = { "link-0", "link-1" },
		[PROBE_KEPT_EVENT_PROGRAM] = { "event-program-0", "event-program-1" },
		[PROBE_KEPT_FORK_PROGRAM] = { "fork-program-0", "fork-program-1" },
	};

	ASSERT(kept < PROBE_KEPT_ && set < 2);
	return names[kept][set];
}

void probe_forget(uint32_t set)
{
	for (unsigned i = 0; i < PROBE_KEPT_; i++)
		fdstore_forget(probe_kept_name((enum probe_kept)i, set));
}

static void keep(enum probe_kept kept, uint32_t set, int fd)
{
	fdstore_keep(probe_kept_name(kept, set), fd);
}

void probe_keep(struct probe *probe, uint32_t set)
{
	struct bpf_link *const links[] = {
		probe->skel->links.probe_fork,
		probe->skel->links.probe_exec,
		probe->skel->links.probe_exit_group_dead,
		probe->skel->links.probe_exit_live,
		probe->skel->links.fallback_fork,
		probe->skel->links.fallback_exec,
		probe->skel->links.fallback_exit,
		probe->skel->links.second_fork,
		probe->skel->links.second_exec,
		probe->skel->links.second_exit,
	};
	int fds[EVENT_PROGRAMS_MAX];
	size_t n = event_programs(probe, fds);
	struct bpf_link *link;

	keep(PROBE_KEPT_RING, set, probe_fd(probe));
	keep(PROBE_KEPT_SHARED, set, bpf_map__fd(probe->skel->maps.data_shared));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i])
			keep(PROBE_KEPT_LINK, set, bpf_link__fd(links[i]));
	for (size_t i = 0; (link = failed_exec_link(probe->errors, i)); i++)
		keep(PROBE_KEPT_LINK, set, bpf_link__fd(link));
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			keep(PROBE_KEPT_EVENT_PROGRAM, set, fds[i]);
	keep(PROBE_KEPT_FORK_PROGRAM, set, fork_program(probe));
	/* Detaching some kinds is more than closing the descriptor: their event would be switched off for all. */
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i])
			bpf_link__disconnect(links[i]);
	for (size_t i = 0; (link = failed_exec_link(probe->errors, i)); i++)
		bpf_link__disconnect(link);
	probe->kept = true;
}

int probe_stats(struct probe *probe, struct probe_stats *ret)
{
	struct bpf_program *program;
	struct probe_stats stats = {
		.lost_fork = probe->shared->lost_by_kind[RECORD_FORK],
		.lost_exec = probe->shared->lost_by_kind[RECORD_EXEC],
		.lost_exit = probe->shared->lost_by_kind[RECORD_EXIT],
		.lost_error = probe->shared->lost_by_kind[RECORD_ERROR],
		.lost_args = probe->shared->lost_by_kind[RECORD_ARGS] + probe->shared->lost_by_kind[RECORD_ENV],
		.ring_size = bpf_map__max_entries(probe->skel->maps.ring),
		.ring_used = ringbuf_used(probe->ring),
	};

	bpf_object__for_each_program (program, probe->skel->obj)
		add_program(program, &stats);
	program = NULL;
	while ((program = failed_exec_next_program(probe->errors, program)))
		add_program(program, &stats);
	stats.skipped = probe_not_made_up(stats.skipped, &probe->shared->made_up_events);
	stats.skipped = probe_not_made_up(stats.skipped, &probe->shared->made_up_forks);
	*ret = stats;
	return 0;
}

int probe_running(struct probe *probe, struct task_list **ret)
{
	const struct bpf_map *map = probe->skel->maps.tasklist;

	if (!probe->fallback)
		return task_list_new(ret, probe->skel->progs.iterate_tasks);
	return task_list_new_plain(ret, bpf_program__fd(probe->skel->progs.fallback_tasklist), bpf_map__fd(map),
				   bpf_map__max_entries(map));
}
