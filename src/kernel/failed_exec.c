/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Methods are tried in an order, from the one that sees most and costs least. Whether one works is
 * found out by trying it, since kernels, architectures and sandboxes forbid each for reasons of
 * their own; a failed attempt leaves nothing attached.
 *
 * - kprobe-multi: the function graph tracer's returns (6.14). Not preempted, one for each call, and
 *   nothing at an entry.
 * - fexit: trampolines. Where the kernel preempts its own code, it preempts their programs too, and
 *   skips every other run on that CPU in the meantime (kernel/bpf/trampoline.c,
 *   __bpf_prog_enter_recur()): any user could hide failed execs by making many of its own. There it
 *   is the last method: for the unit, which has no CAP_SYS_ADMIN for kprobes and tracepoints.
 * - kprobe: not preempted, but only a few calls can be within a function at a time: the returns of
 *   others are not seen, which is counted (bpf/failed_exec_pending.bpf.h).
 * - tracepoint: the syscall tracepoints make every system call of the machine take the slow path,
 *   so they come late, and the log mentions it.
 */
#include "kernel/failed_exec.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>

#include "failed_exec.skel.h"
#include "failed_exec_deferred.skel.h"
#include "kernel/preemption.h"
#include "kernel/tracefs.h"

/* The functions: first the native ones, which must exist, then those of 32-bit callers. Those of
 * x32 are not for fexit. */
static const char *const functions[] = {
#if defined(__x86_64__)
	"__x64_sys_execve",	      "__x64_sys_execveat",	   "__ia32_compat_sys_execve",
	"__ia32_compat_sys_execveat", "__x64_compat_sys_execve",   "__x64_compat_sys_execveat",
	"__x32_compat_sys_execve",    "__x32_compat_sys_execveat", /* up to 5.10 */
#else
	"__arm64_sys_execve",
	"__arm64_sys_execveat",
	"__arm64_compat_sys_execve",
	"__arm64_compat_sys_execveat",
#endif
};
#define NATIVES 2
#define TRAMPOLINES 4
#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

#define LINKS_MAX (2 * FUNCTIONS + 2)
#define EXITS_MAX TRAMPOLINES

struct failed_exec {
	struct bpf_object *object;
	struct bpf_program *trackers[2]; /* keep track of calls that are under way; NULL: none */
	struct bpf_program *expect;	 /* counts the returns that are due; NULL: the method is not preempted */
	struct bpf_program
		*exits[EXITS_MAX]; /* ROLE_EVENT; none where the entries show which calls have not returned */
	struct bpf_link *links[LINKS_MAX];
	size_t count;
	bool refused; /* the kernel has not taken the programs */
	const char *kind;
	const char *missing; /* what the last attempt lacked, with a colon; or "" */
	char description[384];
};

/* What a kernel offers to all methods. */
struct kernel_features {
	bool typed;	/* the programs may read the current task by its type */
	bool registers; /* and ask for the registers of its system call */
	bool deferred;	/* and call what failed_exec_deferred.bpf.c does, but for: */
	int call;	/* the function of task work whose call is put into the programs; 0: none, and arguments that
			   are not in memory are reported as truncated */
};

struct attempt {
	const struct settings *settings;
	const struct record_settings *config;
	const struct btf *btf; /* the kernel's own; NULL: it has none */
	const struct record_source *source;
	struct kernel_features features;
	unsigned preempted; /* the kernel preempts the programs of this method: RECORD_x */
};

static int add_link(struct failed_exec *e, struct bpf_link *link)
{
	if (!link)
		return -errno;
	e->links[e->count++] = link;
	return 0;
}

static int attach(struct failed_exec *e, const struct bpf_program *program)
{
	return program ? add_link(e, bpf_program__attach(program)) : 0;
}

static void reset(struct failed_exec *e)
{
	while (e->count > 0)
		bpf_link__destroy(e->links[--e->count]);
	bpf_object__close(e->object);
	*e = (struct failed_exec){ .missing = "" };
}

/* A program that is to be loaded; NULL where there is none of that name, which later calls refuse. */
static struct bpf_program *enable(struct failed_exec *e, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(e->object, name);

	if (program)
		bpf_program__set_autoload(program, true);
	return program;
}

static int use_map(struct failed_exec *e, const char *name, int fd)
{
	struct bpf_map *map = bpf_object__find_map_by_name(e->object, name);

	return map ? bpf_map__reuse_fd(map, fd) : -ENOENT;
}

/* Whether a method can do without the entries of calls (bpf/failed_exec_pending.bpf.h): it can read the registers of
 * those that failed, and find the path of one that has lost its memory (bpf/failed_exec_path.bpf.h). */
static bool sees_exits_only(const struct attempt *a)
{
	return a->features.registers && a->features.deferred;
}

static int open_object(struct failed_exec *e, const struct attempt *a, bool exits_only)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = a->settings->probes.btf);
	struct record_settings config = *a->config;
	struct bpf_map *settings;
	const void *bytes;
	size_t size;
	int r;

	bytes = a->features.deferred ? failed_exec_deferred_bpf__elf_bytes(&size) : failed_exec_bpf__elf_bytes(&size);
	e->object = bpf_object__open_mem(bytes, size, &options);
	if (!e->object)
		return -errno;
	config.typed = a->features.typed;
	config.registers = a->features.registers;
	config.exits_only = exits_only;
	config.task_work = a->features.call != 0;
	config.preempted_returns = a->preempted;
	settings = bpf_object__find_map_by_name(e->object, ".rodata.settings");
	r = settings ? bpf_map__set_initial_value(settings, &config, sizeof(config)) : -ENOENT;
	if (r < 0)
		return r;
	r = use_map(e, "ring", record_source_fd(a->source, ROLE_RING));
	if (r < 0)
		return r;
	r = use_map(e, ".data.shared", record_source_fd(a->source, ROLE_SHARED));
	if (r < 0)
		return r;
	if (!exits_only && !a->preempted) {
		e->trackers[0] = enable(e, "probe_exec_forget");
		e->trackers[1] = enable(e, "probe_exit_abandon");
	}
	if (a->preempted)
		e->expect = enable(e, "probe_exec_expect");
	return 0;
}

/* Replaces the instruction that marks the place of the call (RECORD_CALL_MARK). */
static int put_call(struct bpf_program *program, int function)
{
	size_t count = bpf_program__insn_cnt(program);
	_cleanup_free_ struct bpf_insn *insns = calloc(count, sizeof(*insns));

	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(program), count * sizeof(*insns));
	for (size_t i = 0; i < count; i++)
		if (insns[i].code == (BPF_ALU64 | BPF_MOV | BPF_K) && insns[i].imm == RECORD_CALL_MARK)
			insns[i] = (struct bpf_insn){ .code = BPF_JMP | BPF_CALL,
						      .src_reg = BPF_PSEUDO_KFUNC_CALL,
						      .imm = function };
	return bpf_program__set_insns(program, insns, count);
}

/* And attaches the trackers, which have to see a call before its entry is seen. */
static int load_object(struct failed_exec *e, const struct attempt *a)
{
	struct bpf_program *program;
	int r;

	bpf_object__for_each_program (program, e->object) {
		if (a->features.call == 0 || !bpf_program__autoload(program))
			continue;
		r = put_call(program, a->features.call);
		if (r < 0)
			return r;
	}
	r = bpf_object__load(e->object);
	e->refused = r < 0;
	if (r < 0)
		return r;
	r = attach(e, e->trackers[0]);
	return r < 0 ? r : attach(e, e->trackers[1]);
}

/* By its id in the type information; less than 0: there is none. */
static int function_of(const struct btf *btf, const char *name)
{
	return btf ? btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) : -EOPNOTSUPP;
}

/* The function graph tracer. */

static int try_multi(struct failed_exec *e, const struct attempt *a)
{
	const char *names[FUNCTIONS];
	LIBBPF_OPTS(bpf_kprobe_multi_opts, options, .syms = names, .retprobe = true);
	int r;

	/* Before 6.14 (4346ba160409) the returns can run out, as kretprobes' do, but uncounted. */
	e->missing = "needs Linux 6.14 with CONFIG_FPROBE: ";
	if (!a->btf || btf__find_by_name_kind(a->btf, "fprobe_hlist", BTF_KIND_STRUCT) < 0 || !sees_exits_only(a))
		return -EOPNOTSUPP;
	for (size_t i = 0; i < FUNCTIONS; i++)
		if (function_of(a->btf, functions[i]) >= 0)
			names[options.cnt++] = functions[i];
	e->missing = "";
	r = open_object(e, a, true);
	if (r < 0)
		return r;
	e->exits[0] = enable(e, "kprobe_multi_exit");
	r = load_object(e, a);
	return r < 0 ? r : add_link(e, bpf_program__attach_kprobe_multi_opts(e->exits[0], NULL, &options));
}

/* Trampolines. */

/* Loads one that does nothing. Where a sandbox forbids them, there is no need to open the object, which takes long. */
static int load_trampoline(const struct btf *btf)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int function = function_of(btf, functions[0]), fd;
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_FENTRY);

	if (function < 0)
		return function;
	options.attach_btf_id = (uint32_t)function;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "GPL", nothing, sizeof(nothing) / sizeof(nothing[0]), &options);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* Those that the kernel has the functions of. */
static int choose_trampolines(struct failed_exec *e, const struct attempt *a, struct bpf_program **programs,
			      size_t count)
{
	/* Exits first: a call whose exit was seen without its entry is known by its registers. */
	static const char *const names[2 * TRAMPOLINES] = {
		"fexit_execve",	 "fexit_execveat",  "fexit_compat_execve",  "fexit_compat_execveat",
		"fentry_execve", "fentry_execveat", "fentry_compat_execve", "fentry_compat_execveat",
	};

	for (size_t i = 0; i < count; i++) {
		const char *function = functions[i % TRAMPOLINES];
		int r;

		if (function_of(a->btf, function) < 0) {
			if (i % TRAMPOLINES < NATIVES)
				return -ENOENT;
			continue;
		}
		programs[i] = enable(e, names[i]);
		r = bpf_program__set_attach_target(programs[i], 0, function);
		if (r < 0)
			return r;
	}
	return 0;
}

static int attach_trampolines(struct failed_exec *e, const struct attempt *a)
{
	bool exits_only = sees_exits_only(a);
	size_t count = exits_only ? TRAMPOLINES : 2 * TRAMPOLINES;
	struct bpf_program *programs[2 * TRAMPOLINES] = {};
	int r = load_trampoline(a->btf);

	if (r < 0)
		return r;
	r = open_object(e, a, exits_only);
	if (r < 0)
		return r;
	r = choose_trampolines(e, a, programs, count);
	if (r < 0)
		return r;
	if (exits_only || a->preempted)
		memcpy(e->exits, programs, sizeof(e->exits));
	r = load_object(e, a);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = attach(e, programs[i]);
	/* After the exits: a return that is expected is seen, or counted by the kernel. */
	return r < 0 ? r : attach(e, e->expect);
}

static int try_fexit(struct failed_exec *e, const struct attempt *a)
{
	if (!preemption_is_on(""))
		return attach_trampolines(e, a);
	e->missing = "its programs would be preempted: ";
	return -EOPNOTSUPP;
}

static int try_preempted_fexit(struct failed_exec *e, const struct attempt *a)
{
	struct attempt preempted = *a;

	if (!preemption_is_on(""))
		return -EOPNOTSUPP; /* it was tried */
	preempted.preempted = RECORD_TRAMPOLINES;
	return attach_trampolines(e, &preempted);
}

/* Kprobes. */

static int try_kprobe(struct failed_exec *e, const struct attempt *a)
{
	struct bpf_program *entry, *exit;
	int r;

	/* Where the kernel has none, loading would be for nothing: it takes long
	 * (kernel/events/core.c, perf_kprobe). */
	if (access("/sys/bus/event_source/devices/kprobe/type", F_OK) < 0)
		return -errno;
	r = open_object(e, a, false);
	if (r < 0)
		return r;
	entry = enable(e, "kprobe_entry");
	exit = enable(e, "kprobe_exit");
	r = load_object(e, a);
	for (size_t i = 0; r == 0 && i < FUNCTIONS; i++) {
		r = add_link(e, bpf_program__attach_kprobe(exit, true, functions[i]));
		if (r == 0)
			r = add_link(e, bpf_program__attach_kprobe(entry, false, functions[i]));
		else if (i >= NATIVES)
			r = 0; /* a kernel without 32-bit programs, or x32 */
	}
	return r;
}

/* Tracepoints. */

static int attach_tracepoint(struct failed_exec *e, int tracefs, const char *name, const struct bpf_program *program)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	int id = tracefs_syscall_event(tracefs, name), fd, r;

	if (id < 0)
		return id;
	attr.config = (uint64_t)id;
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = add_link(e, bpf_program__attach_perf_event(program, fd)); /* which owns fd then */
	if (r < 0)
		close(fd);
	return r;
}

/* With the entries of the calls; or without, where the kernel has another place to look at. */
static int attach_tracepoints(struct failed_exec *e, const struct attempt *a)
{
	static const struct {
		const char *name, *program;
	} wanted[] = {
		{ "sys_exit_execve", "tracepoint_exit" },
		{ "sys_exit_execveat", "tracepoint_exit" },
		{ "sys_enter_execve", "tracepoint_enter_execve" },
		{ "sys_enter_execveat", "tracepoint_enter_execveat" },
	};
	bool exits_only = sees_exits_only(a);
	size_t count = exits_only ? 2 : 4;
	struct bpf_program *programs[4];
	_cleanup_close_ int tracefs = tracefs_open();
	int r;

	if (tracefs < 0) {
		e->missing = tracefs == -EACCES ? "CAP_DAC_READ_SEARCH missing: " : "no tracefs: ";
		return tracefs;
	}
	r = open_object(e, a, exits_only);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		programs[i] = enable(e, wanted[i].program);
	if (exits_only)
		e->exits[0] = programs[0];
	r = load_object(e, a);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = attach_tracepoint(e, tracefs, wanted[i].name, programs[i]);
	return r < 0 ? r : attach(e, e->expect);
}

static int try_tracepoint(struct failed_exec *e, const struct attempt *a)
{
	struct attempt preempted = *a;

	if (function_of(a->btf, "trace_call_bpf_faultable") >= 0 && preemption_is_on(""))
		preempted.preempted = RECORD_TRACEPOINTS;
	return attach_tracepoints(e, &preempted);
}

static const struct {
	enum errors_probe asked;
	const char *kind, *description;
	int (*attach)(struct failed_exec *e, const struct attempt *a);
} methods[] = {
	{ ERRORS_KPROBE_MULTI, "kprobe-multi", "by the function graph tracer (kprobe-multi)", try_multi },
	{ ERRORS_FEXIT, "fexit", "by trampolines (fexit)", try_fexit },
	{ ERRORS_KPROBE, "kprobe", "by kprobes", try_kprobe },
	{ ERRORS_TRACEPOINT, "tracepoint",
	  "by the syscall tracepoints, which make every system call on the machine a little slower; errors = off in [probes] turns them off",
	  try_tracepoint },
	{ ERRORS_FEXIT, "fexit",
	  "by trampolines (fexit), whose programs this kernel preempts: runs that it skips are reported as lost",
	  try_preempted_fexit },
};

/* To look for a name takes a millisecond. */
static struct kernel_features features_of(const struct btf *btf)
{
	struct kernel_features features = { .typed = function_of(btf, "bpf_get_current_task_btf") >= 0 };

	features.registers = features.typed && function_of(btf, "bpf_task_pt_regs") >= 0;
	/* The newest is of 6.10. */
	features.deferred = features.registers && function_of(btf, "bpf_preempt_disable") >= 0;
	if (!features.deferred)
		return features;
	/* In the form that the kernel has. */
	features.call = function_of(btf, "bpf_task_work_schedule_signal");
	if (features.call < 0)
		features.call = function_of(btf, "bpf_task_work_schedule_signal_impl");
	if (features.call < 0)
		features.call = 0;
	return features;
}

/* What a verifier knows of the kernel's types differs: what it refuses is tried without. */
static int try_method(struct failed_exec *e, struct attempt a,
		      int (*attach_method)(struct failed_exec *e, const struct attempt *a))
{
	struct kernel_features forms[] = { a.features, a.features, {} };
	int r = -ENOSYS;

	forms[1].deferred = false;
	forms[1].call = 0;
	for (size_t i = a.features.deferred ? 0 : a.features.typed ? 1 : 2; i < sizeof(forms) / sizeof(forms[0]); i++) {
		reset(e);
		a.features = forms[i];
		r = attach_method(e, &a);
		if (!e->refused || r == -EPERM)
			break;
	}
	return r;
}

static bool is_exit(const struct failed_exec *e, const struct bpf_program *program)
{
	for (size_t i = 0; i < EXITS_MAX; i++)
		if (e->exits[i] == program)
			return true;
	return false;
}

static void add_to_source(const struct failed_exec *e, struct record_source *source)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, e->object)
		if (bpf_program__fd(program) >= 0)
			record_source_add(source, is_exit(e, program) ? ROLE_EVENT : ROLE_AUXILIARY,
					  bpf_program__fd(program));
	for (size_t i = 0; i < e->count; i++)
		record_source_add(source, ROLE_LINK, bpf_link__fd(e->links[i]));
}

int failed_exec_new(struct failed_exec **ret, const struct settings *settings, const struct record_settings *config,
		    const struct btf *btf, struct record_source *source)
{
	_cleanup_(failed_exec_free_p) struct failed_exec *e = calloc(1, sizeof(*e));
	const enum errors_probe wanted = settings->probes.errors;
	struct attempt a = { .settings = settings, .config = config, .btf = btf, .source = source };
	char why[256] = "";
	int r = -ENOENT;

	if (!e)
		return -ENOMEM;
	a.features = features_of(wanted == ERRORS_OFF ? NULL : btf);
	for (size_t i = 0; r < 0 && i < sizeof(methods) / sizeof(methods[0]); i++) {
		size_t used = strlen(why);

		if (wanted != ERRORS_AUTO && wanted != methods[i].asked)
			continue;
		r = try_method(e, a, methods[i].attach);
		if (r < 0) {
			snprintf(why + used, sizeof(why) - used, "%s%s: %s%s", used ? ", " : "", methods[i].kind,
				 e->missing, strerror(-r));
			continue;
		}
		e->kind = methods[i].kind;
		snprintf(e->description, sizeof(e->description), "%s%s%s%s", methods[i].description, *why ? " (" : "",
			 why, *why ? ")" : "");
		add_to_source(e, source);
	}
	if (r < 0) {
		reset(e);
		e->kind = wanted == ERRORS_OFF ? "off" : "none";
		snprintf(e->description, sizeof(e->description), "cannot be seen: %s", why);
	}
	*ret = TAKE_PTR(e);
	return 0;
}

struct failed_exec *failed_exec_free(struct failed_exec *e)
{
	if (!e)
		return NULL;
	reset(e);
	free(e);
	return NULL;
}

const char *failed_exec_kind(const struct failed_exec *e)
{
	return e->kind;
}

const char *failed_exec_description(const struct failed_exec *e)
{
	return e->description;
}

void failed_exec_disconnect(struct failed_exec *e)
{
	for (size_t i = 0; i < e->count; i++)
		bpf_link__disconnect(e->links[i]);
}
