/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads and attaches the probes of fork, exec and exit. Those of failed execs are in failed_exec.c.
 *
 * Which programs are loaded depends on the kernel's BTF. A kernel without BTF takes none of the
 * programs that are attached by type, and a verifier may know less of types: then those of
 * bpf/fallback.bpf.h are used.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
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
#include "kernel/task_list.h"
#include "kernel/btf_check.h"

DEFINE_CLEANUP(struct btf *, btf__free);

struct probe {
	struct lifecycle_bpf *skel;
	struct record_source *source; /* of both */
	struct failed_exec *errors;
	__u32 layouts_tried;
	bool fallback; /* the programs of bpf/fallback.bpf.h */
};

/* What a program needs. */
enum {
	NEEDS_TYPES = 1,
	NEEDS_FALLBACK = 2,
	NEEDS_GROUP_DEAD = 4, /* the argument of sched_process_exit (6.16) */
	NEEDS_NO_GROUP_DEAD = 8,
	NEEDS_PREEMPTION = 16, /* of programs on tracepoints */
};

#define ATTACHED(name) offsetof(struct lifecycle_bpf, progs.name), offsetof(struct lifecycle_bpf, links.name)
#define NOT_ATTACHED(name) offsetof(struct lifecycle_bpf, progs.name), 0

/*
 * In the order in which they are attached: the end first, then exec, then fork. So a process whose
 * start is seen is seen to end, and one that was there before is in the list, which is read after
 * that (resync.c). A backup program runs after the one that it makes up for. Next to the probes of
 * another daemon, which still see everything, any order would do.
 */
static const struct {
	size_t program, link; /* in struct lifecycle_bpf; link 0: it is run by other means */
	enum source_role role;
	unsigned needs;
} programs[] = {
	{ ATTACHED(probe_exit_group_dead), ROLE_EVENT, NEEDS_TYPES | NEEDS_GROUP_DEAD },
	{ ATTACHED(probe_exit_live), ROLE_EVENT, NEEDS_TYPES | NEEDS_NO_GROUP_DEAD },
	{ ATTACHED(fallback_exit), ROLE_EVENT, NEEDS_FALLBACK },
	{ ATTACHED(second_exit), ROLE_BACKUP, NEEDS_TYPES | NEEDS_PREEMPTION },
	{ ATTACHED(probe_exec), ROLE_EVENT, NEEDS_TYPES },
	{ ATTACHED(fallback_exec), ROLE_EVENT, NEEDS_FALLBACK },
	{ ATTACHED(second_exec), ROLE_BACKUP, NEEDS_TYPES | NEEDS_PREEMPTION },
	{ ATTACHED(probe_fork), ROLE_FORK, NEEDS_TYPES },
	{ ATTACHED(fallback_fork), ROLE_FORK, NEEDS_FALLBACK },
	{ ATTACHED(second_fork), ROLE_BACKUP, NEEDS_TYPES | NEEDS_PREEMPTION },
	{ NOT_ATTACHED(iterate_tasks), ROLE_AUXILIARY, NEEDS_TYPES },
	{ NOT_ATTACHED(fallback_tasklist), ROLE_AUXILIARY, NEEDS_FALLBACK },
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

static struct bpf_program *program_of(const struct probe *probe, size_t i)
{
	return *(struct bpf_program **)((char *)probe->skel + programs[i].program);
}

/* NULL: it is not attached. */
static struct bpf_link **link_of(const struct probe *probe, size_t i)
{
	return programs[i].link ? (struct bpf_link **)((char *)probe->skel + programs[i].link) : NULL;
}

__attribute__((format(printf, 2, 3))) static void set_reason(struct probe_reason *reason, const char *format, ...)
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

/* For twice as many processes as there are tasks now, or for what 8 MiB hold, and no more than
 * fallback_tasklist walks over. */
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
	/* libbpf has codes of its own, and for an ELF file without types that of a file which isn't
	 * there, or ENODATA in newer ones. */
	if (access(path, R_OK) == 0 && (error == LIBBPF_ERRNO__FORMAT || error == ENOENT || error == ENODATA))
		set_reason(reason, "no type information (BTF) in %s: neither BTF nor an ELF file with a section .BTF",
			   path);
	else
		set_reason(reason, "no type information (BTF) in %s: %s", path, strerror(error));
	return PROBE_E_UNSUPPORTED;
}

/* Start and end. */

/* Then a tracepoint needs a backup program: bpf/preempted.bpf.h. */
static bool preempts_at_tracepoints(void)
{
	struct utsname name;

	return uname(&name) == 0 && atoi(name.release) >= 7;
}

static int choose_programs(struct probe *probe, const struct btf *btf, struct probe_reason *reason)
{
	unsigned available = NEEDS_FALLBACK;

	if (!probe->fallback) {
		int exit_arguments = tracepoint_arguments(btf, "sched_process_exit");

		if (exit_arguments < 1) {
			set_reason(reason, "the kernel's type information lacks the tracepoint sched_process_exit");
			return PROBE_E_UNSUPPORTED;
		}
		available = NEEDS_TYPES | (exit_arguments >= 2 ? NEEDS_GROUP_DEAD : NEEDS_NO_GROUP_DEAD) |
			    (preempts_at_tracepoints() ? NEEDS_PREEMPTION : 0);
	}
	for (size_t i = 0; i < PROGRAMS; i++)
		bpf_program__set_autoload(program_of(probe, i), !(programs[i].needs & ~available));
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
	int n = probe_list_tasks(probe, &running);

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
	set_reason(
		reason,
		"the type information (BTF) in %s is not that of this kernel, Linux %s: with it the daemon has another %s",
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
	bpf_map__set_autocreate(probe->skel->maps.tasklist, probe->fallback);
	if (probe->fallback)
		bpf_map__set_max_entries(probe->skel->maps.tasklist, list_size());
	r = lifecycle_bpf__load(probe->skel);
	snprintf(what, sizeof(what), "loading the probes%s%s", settings->probes.btf ? " with the types in " : "",
		 settings->probes.btf ? settings->probes.btf : "");
	return r < 0 ? failure(reason, -r, what) : 0;
}

/* And hands all that is loaded over to the source. */
static int attach(struct probe *probe)
{
	for (size_t i = 0; i < PROGRAMS; i++) {
		struct bpf_program *program = program_of(probe, i);
		struct bpf_link **link = link_of(probe, i);

		if (!bpf_program__autoload(program))
			continue;
		record_source_add(probe->source, programs[i].role, bpf_program__fd(program));
		if (!link)
			continue;
		*link = bpf_program__attach(program);
		if (!*link)
			return -errno;
		record_source_add(probe->source, ROLE_LINK, bpf_link__fd(*link));
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
		set_reason(reason, "%s", strerror(ENOMEM));
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
		.forks = settings->probes.forks,
	};
	read_hierarchies(&config);
	r = load_btf(&btf, settings->probes.btf, reason);
	if (r != 0)
		return r;
	/* Loading would succeed, and do harm. */
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
	r = record_source_new(&probe->source, bpf_map__fd(probe->skel->maps.ring), settings->probes.ring_buffer,
			      bpf_map__fd(probe->skel->maps.data_shared));
	if (r < 0)
		return failure(reason, -r, "mapping the ring buffer");
	r = attach(probe);
	if (r < 0)
		return failure(reason, -r, "attaching the probes");
	/* A file has the same types, but perhaps with other ids, and the kernel knows its functions by its own. */
	if (has_own_btf && settings->probes.btf)
		own = btf__load_vmlinux_btf();
	r = failed_exec_new(&probe->errors, settings, &config, settings->probes.btf ? own : btf, probe->source);
	if (r < 0)
		return failure(reason, -r, "failed execs");
	record_source_awake(probe->source);
	*ret = TAKE_PTR(probe);
	return 0;
}

struct probe *probe_free(struct probe *probe)
{
	if (!probe)
		return NULL;
	record_source_free(probe->source);
	failed_exec_free(probe->errors);
	lifecycle_bpf__destroy(probe->skel);
	free(probe);
	return NULL;
}

bool probe_is_fallback(const struct probe *probe)
{
	return probe->fallback;
}

const char *probe_errors_kind(const struct probe *probe)
{
	return failed_exec_kind(probe->errors);
}

const char *probe_errors_description(const struct probe *probe)
{
	return failed_exec_description(probe->errors);
}

struct record_source *probe_source(const struct probe *probe)
{
	return probe->source;
}

void probe_update_layouts(struct probe *probe)
{
	struct record_layouts *layouts = &probe->skel->data_layouts->layouts;
	__u32 wanted = __atomic_exchange_n(&layouts->missing, 0, __ATOMIC_RELAXED);

	if (wanted)
		layout_look(layouts, wanted, NULL, NULL, &probe->layouts_tried);
}

void probe_store(struct probe *probe, uint32_t set)
{
	record_source_store(probe->source, set);
	/* Detaching some kinds of link does more than close the descriptor: it disables their event for all. */
	for (size_t i = 0; i < PROGRAMS; i++) {
		struct bpf_link **link = link_of(probe, i);

		if (link && *link)
			bpf_link__disconnect(*link);
	}
	failed_exec_disconnect(probe->errors);
}

int probe_list_tasks(struct probe *probe, struct task_list **ret)
{
	const struct bpf_map *map = probe->skel->maps.tasklist;

	if (!probe->fallback)
		return task_list_new(ret, probe->skel->progs.iterate_tasks);
	return task_list_new_fallback(ret, bpf_program__fd(probe->skel->progs.fallback_tasklist), bpf_map__fd(map),
				      bpf_map__max_entries(map));
}
