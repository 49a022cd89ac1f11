/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf(2) fails with EPERM for many causes:
 *
 * - A call that does nothing distinguishes a filter (seccomp) from a kernel that refuses what is
 *   asked. The mode of seccomp alone proves nothing: the unit always has a filter.
 * - Kernel lockdown (confidentiality) removes a helper, and the verifier then returns EINVAL, as
 *   for any program that it does not understand. Two programs of a few instructions, one with that
 *   helper and one with a helper that is not affected, detect that also where securityfs, which has
 *   the state, is not mounted.
 * - Capabilities of a user namespace other than the initial one do not count.
 * - With PREEMPT_RT a spinlock_t is a mutex (include/linux/spinlock_types.h of the kernel), and
 *   probes run where sleeping is not allowed. A ring buffer that is locked by one kills the traced
 *   program by "scheduling while atomic". So it is in Linux 5.10-rt; Linux 6.12 locks it by a
 *   raw_spinlock_t, as does Debian's 6.1-rt. The type information shows which.
 */
#include "kernel/bpf_diagnose.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/btf_member.h"
#include "kernel/root_file.h"
#include "util/cleanup.h"

#define SECCOMP_FILTERS 2
#define INITIAL_USER_NAMESPACE "user:[4026531837]" /* PROC_USER_INIT_INO of the kernel */

/* Files. */

static bool exists_below(const char *root, const char *path)
{
	_cleanup_fclose_ FILE *f = root_file_open(root, path);

	return f;
}

static int read_seccomp(const char *root)
{
	_cleanup_fclose_ FILE *f = root_file_open(root, "/proc/self/status");
	char line[4096];
	int mode;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Seccomp:%d", &mode) == 1)
			return mode;
	return -1;
}

static bool is_in_user_namespace(const char *root)
{
	char path[4096], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/proc/self/ns/user", root);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, INITIAL_USER_NAMESPACE) != 0;
}

/* All states, with the one in force in brackets. */
static enum bpf_diagnose_lockdown read_lockdown(const char *root)
{
	char line[128];

	if (!root_file_read_line(root, "/sys/kernel/security/lockdown", line, sizeof(line)))
		return LOCKDOWN_UNKNOWN;
	return strstr(line, "[confidentiality]") ? LOCKDOWN_CONFIDENTIALITY
	       : strstr(line, "[integrity]")	 ? LOCKDOWN_INTEGRITY
	       : strstr(line, "[none]")		 ? LOCKDOWN_NONE
						 : LOCKDOWN_UNKNOWN;
}

void bpf_diagnose_read(struct bpf_facts *facts, const char *root)
{
	char line[32];

	if (!root_file_read_line(root, "/proc/sys/kernel/osrelease", facts->release, sizeof(facts->release)))
		facts->release[0] = '\0';
	facts->sysfs = exists_below(root, "/sys/kernel");
	facts->has_btf = exists_below(root, "/sys/kernel/btf/vmlinux");
	facts->in_user_namespace = is_in_user_namespace(root);
	facts->seccomp = read_seccomp(root);
	facts->unprivileged_bpf_disabled =
		root_file_read_line(root, "/proc/sys/kernel/unprivileged_bpf_disabled", line, sizeof(line)) ? atoi(line)
													    : -1;
	facts->lockdown = read_lockdown(root);
}

/* Calls. */

static void ask_capabilities(struct bpf_facts *facts)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	facts->capabilities_known = syscall(SYS_capget, &head, data) == 0;
	facts->capabilities = data[0].effective | (uint64_t)data[1].effective << 32;
}

/* Not libbpf's calls: those make other calls first. Closes what it gets; 0 or an errno. */
static int ask(int command, union bpf_attr *attr)
{
	int fd = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* 0 if the call reached the kernel, which has no such command: EINVAL. */
static int ask_bpf(void)
{
	union bpf_attr attr;
	int error;

	memset(&attr, 0, sizeof(attr));
	error = ask(INT32_MAX, &attr);
	return error == EINVAL ? 0 : error;
}

static int ask_ring(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_RINGBUF;
	attr.max_entries = (uint32_t)sysconf(_SC_PAGESIZE);
	return ask(BPF_MAP_CREATE, &attr);
}

/* Loads a program that reads a byte with `helper`; 0 or an errno. */
static int load_program(int helper)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = helper },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static const char license[] = "GPL";
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_KPROBE;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = sizeof(program) / sizeof(program[0]);
	attr.license = (uintptr_t)license;
	return ask(BPF_PROG_LOAD, &attr);
}

void bpf_diagnose_ask(struct bpf_facts *facts)
{
	struct rlimit memlock;

	ask_capabilities(facts);
	facts->memlock = getrlimit(RLIMIT_MEMLOCK, &memlock) < 0 || memlock.rlim_cur == RLIM_INFINITY
				 ? UINT64_MAX
				 : memlock.rlim_cur;
	facts->bpf = ask_bpf();
	facts->ring = ask_ring();
	facts->reads_kernel = load_program(BPF_FUNC_probe_read_kernel) != EINVAL ||
			      load_program(BPF_FUNC_probe_read_user) != 0;
}

/* Type information. */

bool bpf_diagnose_ring_sleeps(const struct btf *btf)
{
	int ring = btf__find_by_name_kind(btf, "bpf_ringbuf", BTF_KIND_STRUCT);
	const struct btf_member *member;
	const struct btf_type *lock;
	__u32 offset;
	const char *name;

	member = ring > 0 ? btf_find_member(btf, (__u32)ring, "spinlock", &offset) : NULL;
	lock = member ? btf_resolve(btf, member->type) : NULL;
	if (!lock || !btf_is_struct(lock))
		return false;
	name = btf__name_by_offset(btf, lock->name_off);
	return name && strcmp(name, "spinlock") == 0 && !btf_find_member(btf, member->type, "rlock", &offset);
}

/* The decision. */

/* Where the cause is written. */
struct cause {
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int decide(const struct cause *cause, int outcome, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cause->text, cause->size, format, args);
	va_end(args);
	return outcome;
}

static bool has_capability(const struct bpf_facts *facts, unsigned cap)
{
	return facts->capabilities & (UINT64_C(1) << cap);
}

/* Of what loading tracing programs takes (capabilities(7)). */
static bool lacks_capabilities(const struct bpf_facts *facts)
{
	return facts->capabilities_known && !has_capability(facts, CAP_SYS_ADMIN) &&
	       !(has_capability(facts, CAP_BPF) && has_capability(facts, CAP_PERFMON));
}

/* False also if the release is not known. */
static bool is_older(const struct bpf_facts *facts, unsigned major, unsigned minor)
{
	unsigned is_major, is_minor;

	if (sscanf(facts->release, "%u.%u", &is_major, &is_minor) != 2)
		return false;
	return is_major < major || (is_major == major && is_minor < minor);
}

static int decide_capabilities(const struct bpf_facts *facts, const struct cause *cause)
{
	const bool bpf = has_capability(facts, CAP_BPF), perfmon = has_capability(facts, CAP_PERFMON);
	char sysctl[96] = "";

	if (!bpf && facts->unprivileged_bpf_disabled > 0)
		snprintf(sysctl, sizeof(sysctl),
			 "; without CAP_BPF kernel.unprivileged_bpf_disabled = %d forbids bpf(2)",
			 facts->unprivileged_bpf_disabled);
	return decide(cause, BPF_DIAGNOSE_E_PRIVILEGE,
		      "no privilege to trace: %s%s%s missing (run as root, or give CAP_BPF and CAP_PERFMON)%s",
		      bpf ? "" : "CAP_BPF", bpf || perfmon ? "" : " and ", perfmon ? "" : "CAP_PERFMON", sysctl);
}

static int decide_filter(const struct cause *cause, int error)
{
	return decide(cause, BPF_DIAGNOSE_E_PRIVILEGE,
		      "a seccomp filter forbids bpf(2) (%s): that of a container, or SystemCallFilter= of a unit",
		      strerror(error));
}

static int decide_lockdown(const struct bpf_facts *facts, const struct cause *cause)
{
	return decide(
		cause, BPF_DIAGNOSE_E_PRIVILEGE,
		"kernel lockdown (confidentiality) forbids probes from reading the kernel's memory: lockdown = integrity or none "
		"is needed%s",
		facts->lockdown == LOCKDOWN_UNKNOWN ? " (its state cannot be seen: no /sys/kernel/security/lockdown)"
						    : "");
}

/* bpf(2) is not there. The sysctl is, in kernels that have it; where none can be read, a filter is the likelier. */
static int decide_without_bpf(const struct bpf_facts *facts, const struct cause *cause)
{
	if (facts->unprivileged_bpf_disabled >= 0 || (facts->release[0] == '\0' && facts->seccomp == SECCOMP_FILTERS))
		return decide_filter(cause, ENOSYS);
	return decide(cause, BPF_DIAGNOSE_E_UNSUPPORTED, "the kernel has no bpf(2): it needs CONFIG_BPF_SYSCALL");
}

/* Something forbids it. */
static int decide_forbidden(const struct bpf_facts *facts, const struct cause *cause)
{
	if (facts->in_user_namespace)
		return decide(
			cause, BPF_DIAGNOSE_E_PRIVILEGE,
			"no privilege to trace: this is a user namespace (of a rootless container?), and CAP_BPF and "
			"CAP_PERFMON count in the initial one only");
	if (lacks_capabilities(facts))
		return decide_capabilities(facts, cause);
	if (facts->bpf != 0 && facts->seccomp == SECCOMP_FILTERS)
		return decide_filter(cause, facts->bpf);
	if (facts->memlock != UINT64_MAX && is_older(facts, 5, 11))
		return decide(
			cause, BPF_DIAGNOSE_E_PRIVILEGE,
			"no privilege to lock memory: before Linux 5.11 probes need LimitMEMLOCK=infinity (ulimit -l), not "
			"%llu bytes, or CAP_SYS_RESOURCE",
			(unsigned long long)facts->memlock);
	if (facts->lockdown == LOCKDOWN_CONFIDENTIALITY)
		return decide_lockdown(facts, cause);
	if (facts->bpf != 0 || facts->ring == EPERM || facts->ring == EACCES)
		return decide(cause, BPF_DIAGNOSE_E_PRIVILEGE, "%s: %s: a security module (SELinux?) forbids bpf(2)",
			      facts->what, strerror(facts->error));
	/* The verifier returns EACCES too. */
	if (facts->error == EACCES)
		return decide(cause, BPF_DIAGNOSE_E_UNSUPPORTED,
			      "%s: %s: the verifier of Linux %s, or a security module, refuses them", facts->what,
			      strerror(facts->error), facts->release);
	return decide(cause, BPF_DIAGNOSE_E_PRIVILEGE, "%s: %s (a seccomp filter or a security module may forbid it)",
		      facts->what, strerror(facts->error));
}

/* It can't. */
static int decide_unsupported(const struct bpf_facts *facts, const struct cause *cause)
{
	if (facts->ring == EINVAL || is_older(facts, 5, 8))
		return decide(
			cause, BPF_DIAGNOSE_E_UNSUPPORTED,
			"the kernel, Linux %s, has no BPF ring buffer: it needs 5.8, and 5.10 is the oldest version that is tested",
			facts->release[0] ? facts->release : "of unknown release");
	if (!facts->reads_kernel)
		return decide_lockdown(facts, cause);
	if (facts->needs_btf && !facts->has_btf && !facts->sysfs)
		return decide(cause, BPF_DIAGNOSE_E_UNSUPPORTED,
			      "no type information (BTF) of the kernel: /sys, which has it, is not mounted");
	if (facts->needs_btf && !facts->has_btf)
		return decide(
			cause, BPF_DIAGNOSE_E_UNSUPPORTED,
			"the kernel has no type information (BTF) of its own: it needs CONFIG_DEBUG_INFO_BTF, or a BTF file "
			"for it named by btf = in [probes]");
	return decide(cause, BPF_DIAGNOSE_E_UNSUPPORTED, "%s: %s (Linux %s)", facts->what, strerror(facts->error),
		      facts->release);
}

int bpf_diagnose_decide(const struct bpf_facts *facts, char *text, size_t size)
{
	const struct cause cause = { text, size };

	if (facts->ring_sleeps)
		return decide(
			&cause, BPF_DIAGNOSE_E_UNSUPPORTED,
			"the kernel, Linux %s, is a PREEMPT_RT kernel whose BPF ring buffer has a lock that sleeps: traced "
			"programs would be killed; Linux 6.12 and Debian's 6.1 have another lock",
			facts->release[0] ? facts->release : "of unknown release");
	switch (facts->error) {
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
	case EINTR:
		return decide(&cause, -facts->error, "%s: %s", facts->what, strerror(facts->error));
	}
	if (facts->bpf == ENOSYS)
		return decide_without_bpf(facts, &cause);
	if (facts->error == EPERM || facts->error == EACCES)
		return decide_forbidden(facts, &cause);
	return decide_unsupported(facts, &cause);
}
