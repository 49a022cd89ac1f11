/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ladder, from the way that sees most and costs least to the one that is left. Whether a way works is found out by
 * trying it, since kernels, architectures and sandboxes forbid each for reasons of their own; a failed try leaves
 * nothing behind.
 *
 * - kprobe-multi: the function graph tracer's returns (6.14). Not preempted, one for each call, and nothing at an entry.
 * - fexit: trampolines. Where the kernel preempts its own code, it preempts their programs too, and leaves out every other run
 *   on that CPU meanwhile (kernel/bpf/trampoline.c, __bpf_prog_enter_recur()): any user could hide failed execs by making many of
 *   its own. So there it is the last of all: for the unit, which has no CAP_SYS_ADMIN for kprobes and tracepoints.
 * - kprobe: not preempted, but a few calls only can be within a function at a time: the returns of others are not seen, which is
 *   counted (bpf/failed_exec_pending.bpf.h).
 * - tracepoint: the syscall tracepoints make every system call of the machine take the slow way, so they come late, and are
 *   spoken of.
 *
 * The tracepoints need tracefs: where nobody mounted it, a mount of our own is made that has no place in the file tree
 * (fsmount(2)), so nothing on the machine changes.
 */
#include "kernel/failed_exec.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "failed_exec.skel.h"
#include "failed_exec_deferred.skel.h"
#include "kernel/preemption.h"

/* The functions, natives first: those must be there. Then those of 32-bit callers; those of x32 are no fexit's. */
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
#define LEAVES_MAX TRAMPOLINES

struct failed_exec {
	struct bpf_object *object;
	struct bpf_program *keepers[2]; /* of what is known of calls that are under way, NULL: none */
	struct bpf_program *returning;	/* of returns that are due; NULL: a way that is not preempted */
	struct bpf_program *leaves
		[LEAVES_MAX]; /* ROLE_EVENT; none where the entries are seen too, which show what has not returned */
	struct bpf_link *links[LINKS_MAX];
	size_t count;
	bool loaded; /* the kernel took the programs */
	const char *kind;
	const char *missing; /* what the last try did not find, with a colon; or "" */
	char note[384];
};

/* What a try needs. */
struct rung {
	const struct settings *settings;
	const struct record_settings *config;
	const struct btf *btf; /* the kernel's own; NULL: it has none */
	const struct record_source *source;
	const void *bytes; /* of the BPF object */
	size_t size;
	bool typed;	    /* the programs may read the current task by its type */
	bool registers;	    /* and ask for the registers of its system call */
	bool prepares;	    /* the kernel has the tracepoint sched_prepare_exec */
	unsigned preempted; /* the kernel preempts the programs of this way: RECORD_x */
	int call;	    /* of the kernel's functions, the one whose call belongs in the programs; 0: none */
};

static int keep(struct failed_exec *e, struct bpf_link *link)
{
	if (!link)
		return -errno;
	e->links[e->count++] = link;
	return 0;
}

/* Back to nothing. */
static void undo(struct failed_exec *e)
{
	while (e->count > 0)
		bpf_link__destroy(e->links[--e->count]);
	bpf_object__close(e->object);
	e->object = NULL;
	e->loaded = false;
	memset(e->keepers, 0, sizeof(e->keepers));
	e->returning = NULL;
	memset(e->leaves, 0, sizeof(e->leaves));
}

/* A program that is to be loaded; NULL where there is none of that name, which later calls refuse. */
static struct bpf_program *take(struct failed_exec *e, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(e->object, name);

	if (program)
		bpf_program__set_autoload(program, true);
	return program;
}

static int share(struct failed_exec *e, const char *name, int fd)
{
	struct bpf_map *map = bpf_object__find_map_by_name(e->object, name);

	return map ? bpf_map__reuse_fd(map, fd) : -ENOENT;
}

/* How a way knows what was passed (bpf/failed_exec_pending.bpf.h). */
enum entries {
	ENTRIES_NONE, /* of calls that have failed, by their registers */
	ENTRIES_SEEN,
};

static int open_object(struct failed_exec *e, const struct rung *attach_method, enum entries entries)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = attach_method->settings->probes.btf);
	struct record_settings config = *attach_method->config;
	struct bpf_map *settings;
	int r;

	config.typed = attach_method->typed;
	config.registers = attach_method->registers;
	config.prepared = entries == ENTRIES_NONE;
	config.preempted_returns = attach_method->preempted;
	e->object = bpf_object__open_mem(attach_method->bytes, attach_method->size, &options);
	if (!e->object)
		return -errno;
	settings = bpf_object__find_map_by_name(e->object, ".rodata.settings");
	r = settings ? bpf_map__set_initial_value(settings, &config, sizeof(config)) : -ENOENT;
	if (r == 0)
		r = share(e, "ring", record_source_fd(attach_method->source, ROLE_RING));
	if (r == 0)
		r = share(e, ".data.shared", record_source_fd(attach_method->source, ROLE_SHARED));
	if (entries == ENTRIES_NONE) {
		e->keepers[0] = take(e, "probe_prepare");
	} else if (!attach_method->preempted) {
		e->keepers[0] = take(e, attach_method->btf ? "probe_exec_forget" : "fallback_exec_forget");
		e->keepers[1] = take(e, attach_method->btf ? "probe_exit_abandon" : "fallback_exit_abandon");
	}
	if (attach_method->preempted)
		e->returning = take(e, "probe_exec_expect");
	return r;
}

/* Whether a way can do without entries. */
static enum entries entries_of(const struct rung *attach_method)
{
	return attach_method->prepares && attach_method->registers ? ENTRIES_NONE : ENTRIES_SEEN;
}

/* Puts the call in its place (RECORD_CALL_MARK). */
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

static int load_object(struct failed_exec *e, const struct rung *attach_method)
{
	struct bpf_program *program;
	int r = 0;

	bpf_object__for_each_program (program, e->object)
		if (r == 0 && attach_method->call > 0 && bpf_program__autoload(program))
			r = put_call(program, attach_method->call);
	if (r == 0)
		r = bpf_object__load(e->object);

	e->loaded = r == 0;
	return r;
}

/* Before any entry. */
static int attach_keepers(struct failed_exec *e)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(e->keepers) / sizeof(e->keepers[0]) && r == 0; i++)
		if (e->keepers[i])
			r = keep(e, bpf_program__attach(e->keepers[i]));
	return r;
}

/* By its id in the type information; less than 0: there is none. */
static int function_of(const struct btf *btf, const char *name)
{
	return btf ? btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) : -EOPNOTSUPP;
}

/* The function graph tracer. */

static int try_multi(struct failed_exec *e, const struct rung *attach_method)
{
	const char *names[FUNCTIONS];
	LIBBPF_OPTS(bpf_kprobe_multi_opts, options, .syms = names, .retprobe = true);
	struct bpf_program *leave;
	int r;

	/* Before 6.14 (4346ba160409) the returns can run out, as kretprobes' do, but uncounted. */
	e->missing = "needs Linux 6.14 with CONFIG_FPROBE: ";
	if (!attach_method->btf || btf__find_by_name_kind(attach_method->btf, "fprobe_hlist", BTF_KIND_STRUCT) < 0 ||
	    entries_of(attach_method) != ENTRIES_NONE)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < FUNCTIONS; i++)
		if (function_of(attach_method->btf, functions[i]) >= 0)
			names[options.cnt++] = functions[i];
	e->missing = "";
	r = open_object(e, attach_method, ENTRIES_NONE);
	if (r < 0)
		return r;
	leave = e->leaves[0] = take(e, "kprobe_multi_exit");
	r = load_object(e, attach_method);
	if (r == 0)
		r = attach_keepers(e);
	return r == 0 ? keep(e, bpf_program__attach_kprobe_multi_opts(leave, NULL, &options)) : r;
}

/* Trampolines. */

/* Loads one that does nothing. Where a sandbox forbids them, opening the object would be for nothing: it takes long. */
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

static int attach_trampolines(struct failed_exec *e, const struct rung *attach_method)
{
	/* Exits first: a call whose exit was seen without its entry is known by its registers. */
	static const char *const names[2 * TRAMPOLINES] = {
		"fexit_execve",	 "fexit_execveat",  "fexit_compat_execve",  "fexit_compat_execveat",
		"fentry_execve", "fentry_execveat", "fentry_compat_execve", "fentry_compat_execveat",
	};
	enum entries entries = entries_of(attach_method);
	size_t count = entries == ENTRIES_NONE ? TRAMPOLINES : 2 * TRAMPOLINES;
	struct bpf_program *programs[2 * TRAMPOLINES] = {};
	int r;

	r = load_trampoline(attach_method->btf);
	if (r == 0)
		r = open_object(e, attach_method, entries);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *function = functions[i % TRAMPOLINES];

		if (function_of(attach_method->btf, function) < 0) {
			r = i % TRAMPOLINES < NATIVES ? -ENOENT : 0;
			continue;
		}
		programs[i] = take(e, names[i]);
		r = bpf_program__set_attach_target(programs[i], 0, function);
	}
	if (r == 0)
		r = load_object(e, attach_method);
	if (r == 0)
		r = attach_keepers(e);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (programs[i])
			r = keep(e, bpf_program__attach(programs[i]));
	if (entries == ENTRIES_NONE || attach_method->preempted)
		memcpy(e->leaves, programs, sizeof(e->leaves));
	/* Behind the returns: one that is noted is to be seen, or counted by the kernel. */
	return r == 0 && e->returning ? keep(e, bpf_program__attach(e->returning)) : r;
}

static int try_fexit(struct failed_exec *e, const struct rung *attach_method)
{
	if (!preemption_is_on(""))
		return attach_trampolines(e, attach_method);
	e->missing = "its programs would be preempted: ";
	return -EOPNOTSUPP;
}

static int try_preempted_fexit(struct failed_exec *e, const struct rung *attach_method)
{
	struct rung preempted = *attach_method;

	if (!preemption_is_on(""))
		return -EOPNOTSUPP; /* it was tried */
	preempted.preempted = RECORD_TRAMPOLINES;
	return attach_trampolines(e, &preempted);
}

/* Kprobes. */

static int try_kprobe(struct failed_exec *e, const struct rung *attach_method)
{
	struct bpf_program *enter, *leave;
	int r;

	/* Where the kernel has none, loading would be for nothing: it takes long (kernel/events/core.c, perf_kprobe). */
	if (access("/sys/bus/event_source/devices/kprobe/type", F_OK) < 0)
		return -errno;
	r = open_object(e, attach_method, ENTRIES_SEEN);
	if (r < 0)
		return r;
	enter = take(e, "kprobe_entry");
	leave = take(e, "kprobe_exit");
	r = load_object(e, attach_method);
	if (r == 0)
		r = attach_keepers(e);
	for (size_t i = 0; r == 0 && i < FUNCTIONS; i++) {
		r = keep(e, bpf_program__attach_kprobe(leave, true, functions[i]));
		if (r == 0)
			r = keep(e, bpf_program__attach_kprobe(enter, false, functions[i]));
		else if (i >= NATIVES)
			r = 0; /* a kernel without 32-bit programs, or x32 */
	}
	return r;
}

/* Tracepoints. */

/* A descriptor of tracefs, wherever it is mounted, or of a mount that only we have. */
static int open_tracefs(void)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	_cleanup_close_ int fs = -1;
	bool denied = false;
	int fd;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		_cleanup_close_ int place = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		_cleanup_close_ int events = -1;

		/* Not access(2): that asks without capabilities. */
		if (place >= 0)
			events = openat(place, "events/syscalls", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (events >= 0)
			return TAKE_FD(place);
		denied |= place >= 0 && errno == EACCES;
	}
	fs = fsopen("tracefs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return denied ? -EACCES : -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return fd < 0 ? -errno : fd;
}

static int tracepoint_id(int tracefs, const char *name)
{
	char path[128], text[32];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "events/syscalls/%s/id", name);
	fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	text[n] = '\0';
	return atoi(text);
}

static int attach_tracepoint(struct bpf_link **ret, int tracefs, const char *name, const struct bpf_program *program)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	int id = tracepoint_id(tracefs, name), fd;
	struct bpf_link *link;

	if (id < 0)
		return id;
	attr.config = (uint64_t)id;
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	link = bpf_program__attach_perf_event(program, fd); /* takes fd over */
	if (!link) {
		int error = errno;

		close(fd);
		return -error;
	}
	*ret = link;
	return 0;
}

/* With the entries of the calls; or without, where the kernel has another place to look at. */
static int attach_tracepoints(struct failed_exec *e, const struct rung *attach_method)
{
	static const struct {
		const char *name, *program;
	} wanted[] = {
		{ "sys_exit_execve", "tracepoint_exit" },
		{ "sys_exit_execveat", "tracepoint_exit" },
		{ "sys_enter_execve", "tracepoint_enter_execve" },
		{ "sys_enter_execveat", "tracepoint_enter_execveat" },
	};
	enum entries entries = entries_of(attach_method);
	size_t count = entries == ENTRIES_NONE ? 2 : 4;
	struct bpf_program *programs[4];
	_cleanup_close_ int tracefs = open_tracefs();
	int r;

	if (tracefs < 0) {
		e->missing = tracefs == -EACCES ? "CAP_DAC_READ_SEARCH missing: " : "no tracefs: ";
		return tracefs;
	}
	r = open_object(e, attach_method, entries);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		programs[i] = take(e, wanted[i].program);
	if (entries == ENTRIES_NONE)
		e->leaves[0] = programs[0];
	r = load_object(e, attach_method);
	if (r >= 0)
		r = attach_keepers(e);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct bpf_link *link = NULL;

		r = attach_tracepoint(&link, tracefs, wanted[i].name, programs[i]);
		if (r >= 0)
			r = keep(e, link);
	}
	return r >= 0 && e->returning ? keep(e, bpf_program__attach(e->returning)) : r;
}

static int try_tracepoint(struct failed_exec *e, const struct rung *attach_method)
{
	struct rung preempted = *attach_method;

	if (function_of(attach_method->btf, "trace_call_bpf_faultable") >= 0 && preemption_is_on(""))
		preempted.preempted = RECORD_TRACEPOINTS;
	return attach_tracepoints(e, &preempted);
}

static const struct {
	enum errors_probe asked;
	const char *kind, *note;
	int (*way)(struct failed_exec *e, const struct rung *attach_method);
} attach_methods[] = {
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

/* What a kernel offers to all ways. To look for a name takes a millisecond. */
struct offer {
	bool typed, registers, prepares;
	int call; /* of the kernel's task work, in the form that it has; 0: none */
};

static struct offer offer_of(const struct btf *btf)
{
	struct offer offer = { .typed = function_of(btf, "bpf_get_current_task_btf") >= 0 };

	offer.registers = offer.typed && function_of(btf, "bpf_task_pt_regs") >= 0;
	offer.prepares = btf && btf__find_by_name_kind(btf, "btf_trace_sched_prepare_exec", BTF_KIND_TYPEDEF) >= 0;
	offer.call = function_of(btf, "bpf_task_work_schedule_signal");
	if (offer.call < 0)
		offer.call = function_of(btf, "bpf_task_work_schedule_signal_impl");
	if (offer.call < 0)
		offer.call = 0;
	return offer;
}

/*
 * With task work; without it, arguments that are not in memory are told as truncated. Of the kernel's types each verifier knows its
 * own: what it does not take is tried without.
 */
static int attempt(struct failed_exec *e, struct rung attach_method, struct offer offer,
		   int (*way)(struct failed_exec *e, const struct rung *attach_method))
{
	const struct offer plain = { 0 };
	struct offer forms[] = { offer, offer, plain };
	int r = -ENOSYS;

	forms[1].call = 0;
	for (size_t i = offer.call ? 0 : offer.typed ? 1 : 2; i < sizeof(forms) / sizeof(forms[0]); i++) {
		undo(e);
		e->missing = "";
		attach_method.typed = forms[i].typed;
		attach_method.registers = forms[i].registers;
		attach_method.prepares = forms[i].prepares;
		attach_method.call = forms[i].call;
		attach_method.bytes = attach_method.call ? failed_exec_deferred_bpf__elf_bytes(&attach_method.size)
							 : failed_exec_bpf__elf_bytes(&attach_method.size);
		r = way(e, &attach_method);
		/* Not loaded: it may be for what it makes use of. */
		if (r >= 0 || r == -EPERM || !e->object || e->loaded)
			break;
	}
	return r;
}

static bool is_leave(const struct failed_exec *e, const struct bpf_program *program)
{
	for (size_t i = 0; i < LEAVES_MAX; i++)
		if (e->leaves[i] == program)
			return true;
	return false;
}

static void add_to_source(const struct failed_exec *e, struct record_source *source)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, e->object)
		if (bpf_program__fd(program) >= 0)
			record_source_add(source, is_leave(e, program) ? ROLE_EVENT : ROLE_AUXILIARY,
					  bpf_program__fd(program));
	for (size_t i = 0; i < e->count; i++)
		record_source_add(source, ROLE_LINK, bpf_link__fd(e->links[i]));
}

int failed_exec_new(struct failed_exec **ret, const struct settings *settings, const struct record_settings *config,
		    const struct btf *btf, struct record_source *source)
{
	_cleanup_(failed_exec_free_p) struct failed_exec *e = calloc(1, sizeof(*e));
	const struct rung attach_method = { .settings = settings, .config = config, .btf = btf, .source = source };
	struct offer offer;
	char why[256] = "";

	if (!e)
		return -ENOMEM;
	e->kind = settings->probes.errors == ERRORS_OFF ? "off" : "none";
	offer = offer_of(settings->probes.errors == ERRORS_OFF ? NULL : btf);
	for (size_t i = 0; i < sizeof(attach_methods) / sizeof(attach_methods[0]) && strcmp(e->kind, "none") == 0;
	     i++) {
		size_t used = strlen(why);
		int r;

		if (settings->probes.errors != ERRORS_AUTO && settings->probes.errors != attach_methods[i].asked)
			continue;
		r = attempt(e, attach_method, offer, attach_methods[i].way);
		if (r >= 0) {
			e->kind = attach_methods[i].kind;
			snprintf(e->note, sizeof(e->note), "%s%s%s%s", attach_methods[i].note, *why ? " (" : "", why,
				 *why ? ")" : "");
			add_to_source(e, source);
			break;
		}
		undo(e);
		snprintf(why + used, sizeof(why) - used, "%s%s: %s%s", used ? ", " : "", attach_methods[i].kind,
			 e->missing, strerror(-r));
	}
	if (strcmp(e->kind, "none") == 0)
		snprintf(e->note, sizeof(e->note), "cannot be seen: %s", why);
	*ret = TAKE_PTR(e);
	return 0;
}

struct failed_exec *failed_exec_free(struct failed_exec *e)
{
	if (!e)
		return NULL;
	undo(e);
	free(e);
	return NULL;
}

const char *failed_exec_kind(const struct failed_exec *e)
{
	return e->kind;
}

const char *failed_exec_note(const struct failed_exec *e)
{
	return e->note;
}

void failed_exec_disconnect(struct failed_exec *e)
{
	for (size_t i = 0; i < e->count; i++)
		bpf_link__disconnect(e->links[i]);
}
