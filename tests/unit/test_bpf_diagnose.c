/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decision over made-up facts, the files of made-up roots, and the calls under filters that are real. */
#include "kernel/bpf_diagnose.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tap.h"
#include "util/cleanup.h"

#define BIT(n) (UINT64_C(1) << (n))

/* A machine on which nothing prevents the start. */
static struct bpf_facts sound(int error)
{
	return (struct bpf_facts){
		.release = "6.1.0",
		.sysfs = true,
		.has_btf = true,
		.unprivileged_bpf_disabled = 2,
		.capabilities_known = true,
		.capabilities = BIT(CAP_SYS_ADMIN) | BIT(CAP_BPF) | BIT(CAP_PERFMON),
		.memlock = UINT64_MAX,
		.reads_kernel = true,
		.lockdown = LOCKDOWN_NONE,
		.error = error,
		.what = "loading the probes",
	};
}

static void decides(const struct bpf_facts *facts, int outcome, const char *words)
{
	char text[512] = "";
	int r = bpf_diagnose_decide(facts, text, sizeof(text));

	printf("# %s\n", text);
	CHECK_INT(r, outcome);
	CHECK(strstr(text, words));
	CHECK(strlen(text) < 400);
}

TEST(missing_capabilities_are_named)
{
	struct bpf_facts facts = sound(EPERM);

	facts.capabilities = 0;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "CAP_BPF and CAP_PERFMON missing");
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "kernel.unprivileged_bpf_disabled = 2 forbids bpf(2)");
	facts.unprivileged_bpf_disabled = 0;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "give CAP_BPF and CAP_PERFMON)");
	facts.capabilities = BIT(CAP_BPF);
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, ": CAP_PERFMON missing");
	facts.capabilities = BIT(CAP_PERFMON);
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, ": CAP_BPF missing");
	/* The filter of the same container is the second thing to mend. */
	facts.seccomp = 2;
	facts.bpf = EPERM;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, ": CAP_BPF missing");
}

TEST(capabilities_of_a_user_namespace_do_not_count)
{
	struct bpf_facts facts = sound(EPERM);

	facts.in_user_namespace = true;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "user namespace");
	facts.capabilities = 0;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "user namespace");
}

TEST(seccomp_is_named_only_if_a_harmless_bpf_call_fails_too)
{
	struct bpf_facts facts = sound(EPERM);

	/* As it is under the unit, always. */
	facts.seccomp = 2;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a seccomp filter or a security module may");
	facts.bpf = EPERM;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a seccomp filter forbids bpf(2)");
	facts.bpf = facts.error = EACCES;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a seccomp filter forbids bpf(2)");
	facts.seccomp = 0;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a security module");
}

TEST(missing_bpf_is_named_if_its_sysctl_is_missing_too)
{
	struct bpf_facts facts = sound(ENOSYS);

	facts.bpf = ENOSYS;
	facts.seccomp = 2;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a seccomp filter forbids bpf(2)");
	/* Under the unit, on a kernel without it. */
	facts.unprivileged_bpf_disabled = -1;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "CONFIG_BPF_SYSCALL");
	/* No /proc. */
	facts.release[0] = '\0';
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a seccomp filter forbids bpf(2)");
	facts.seccomp = 0;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "CONFIG_BPF_SYSCALL");
}

TEST(lockdown_is_named_with_or_without_securityfs)
{
	struct bpf_facts facts = sound(EINVAL);

	facts.reads_kernel = false;
	facts.lockdown = LOCKDOWN_CONFIDENTIALITY;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "kernel lockdown (confidentiality)");
	facts.lockdown = LOCKDOWN_UNKNOWN;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "kernel lockdown (confidentiality)");
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "no /sys/kernel/security/lockdown");
	/* Distributions had kernels that say so. */
	facts = sound(EPERM);
	facts.lockdown = LOCKDOWN_CONFIDENTIALITY;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "kernel lockdown (confidentiality)");
	/* That is no obstacle. */
	facts.lockdown = LOCKDOWN_INTEGRITY;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a seccomp filter or a security module may");
}

TEST(old_kernel_is_named_by_what_it_lacks)
{
	struct bpf_facts facts = sound(EINVAL);

	strcpy(facts.release, "5.4.0-42-generic");
	facts.ring = EINVAL;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "Linux 5.4.0-42-generic, has no BPF ring buffer");
	/* Before the type information, which it may lack as well. */
	facts.needs_btf = true;
	facts.has_btf = false;
	facts.error = ESRCH;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "no BPF ring buffer");
	facts.release[0] = '\0';
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "of unknown release, has no BPF ring buffer");
}

TEST(missing_btf_differs_from_missing_sysfs)
{
	struct bpf_facts facts = sound(ESRCH);

	facts.needs_btf = true;
	facts.has_btf = false;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "CONFIG_DEBUG_INFO_BTF");
	facts.sysfs = false;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "/sys, which has it, is not mounted");
	/* Another's was named in the configuration. */
	facts.needs_btf = false;
	facts.error = E2BIG;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "loading the probes: Argument list too long (Linux 6.1.0)");
}

TEST(limit_of_locked_memory_counts_before_5_11)
{
	struct bpf_facts facts = sound(EPERM);

	facts.memlock = 65536;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "loading the probes");
	strcpy(facts.release, "5.10.0");
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "LimitMEMLOCK=infinity (ulimit -l), not 65536 bytes");
	facts.memlock = UINT64_MAX;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "loading the probes");
}

TEST(verifier_differs_from_a_security_module)
{
	struct bpf_facts facts = sound(EACCES);

	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "the verifier of Linux 6.1.0");
	facts.ring = EACCES;
	decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a security module");
}

TEST(temporary_shortage_is_not_a_missing_feature)
{
	static const int errors[] = { ENOMEM, EMFILE, ENFILE, EAGAIN, EINTR };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct bpf_facts facts = sound(errors[i]);

		decides(&facts, -errors[i], "loading the probes: ");
	}
}

TEST(reason_fits_in_any_size)
{
	struct bpf_facts facts = sound(EPERM);
	char text[16];

	facts.capabilities = 0;
	CHECK_INT(bpf_diagnose_decide(&facts, text, sizeof(text)), BPF_DIAGNOSE_E_PRIVILEGE);
	CHECK_STR(text, "no privilege to");
}

/* Roots. */

static const char *const folders[] = { "proc", "proc/self",  "proc/self/ns",   "proc/sys",	     "proc/sys/kernel",
				       "sys",  "sys/kernel", "sys/kernel/btf", "sys/kernel/security" };
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))
static const char *const files[] = { "proc/sys/kernel/osrelease", "proc/sys/kernel/unprivileged_bpf_disabled",
				     "proc/self/status",	  "proc/self/ns/user",
				     "sys/kernel/btf/vmlinux",	  "sys/kernel/security/lockdown" };
#define FILES (sizeof(files) / sizeof(files[0]))

static char *path_of(char *path, const char *root, const char *name)
{
	snprintf(path, 256, "%s/%s", root, name);
	return path;
}

static void make_root(char *root)
{
	char path[256];

	strcpy(root, "/tmp/execsnoopd-root-XXXXXX");
	CHECK(mkdtemp(root));
	for (size_t i = 0; i < FOLDERS; i++)
		CHECK_INT(mkdir(path_of(path, root, folders[i]), 0700), 0);
}

static void remove_root(const char *root)
{
	char path[256];

	for (size_t i = 0; i < FILES; i++)
		unlink(path_of(path, root, files[i]));
	for (size_t i = FOLDERS; i > 0; i--)
		rmdir(path_of(path, root, folders[i - 1]));
	CHECK_INT(rmdir(root), 0);
}

static void put(const char *root, const char *name, const char *content)
{
	char path[256];
	FILE *f = fopen(path_of(path, root, name), "w");

	CHECK(f);
	fputs(content, f);
	CHECK_INT(fclose(f), 0);
}

TEST(facts_without_files_are_unknown)
{
	struct bpf_facts facts = { .release = "x", .sysfs = true, .has_btf = true };

	bpf_diagnose_read(&facts, "/nonexistent");
	CHECK_STR(facts.release, "");
	CHECK(!facts.sysfs && !facts.has_btf && !facts.in_user_namespace);
	CHECK_INT(facts.seccomp, -1);
	CHECK_INT(facts.unprivileged_bpf_disabled, -1);
	CHECK_INT(facts.lockdown, LOCKDOWN_UNKNOWN);
}

TEST(facts_are_read_from_files)
{
	static const struct {
		const char *text;
		enum bpf_diagnose_lockdown state;
	} states[] = { { "[none] integrity confidentiality\n", LOCKDOWN_NONE },
		       { "none [integrity] confidentiality\n", LOCKDOWN_INTEGRITY },
		       { "none integrity [confidentiality]\n", LOCKDOWN_CONFIDENTIALITY },
		       { "", LOCKDOWN_UNKNOWN },
		       { "none integrity", LOCKDOWN_UNKNOWN } };
	struct bpf_facts facts = {};
	char root[64], path[256];

	make_root(root);
	put(root, "proc/sys/kernel/osrelease", "5.10.0-32-cloud-amd64\n");
	put(root, "proc/sys/kernel/unprivileged_bpf_disabled", "2\n");
	put(root, "proc/self/status", "Name:\tSeccomp:\t7\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t5\n");
	put(root, "sys/kernel/btf/vmlinux", "x");
	CHECK_INT(symlink("user:[4026531837]", path_of(path, root, "proc/self/ns/user")), 0);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		put(root, "sys/kernel/security/lockdown", states[i].text);
		bpf_diagnose_read(&facts, root);
		CHECK_INT(facts.lockdown, states[i].state);
	}
	CHECK_STR(facts.release, "5.10.0-32-cloud-amd64");
	CHECK_INT(facts.unprivileged_bpf_disabled, 2);
	CHECK_INT(facts.seccomp, 2);
	CHECK(facts.sysfs && facts.has_btf && !facts.in_user_namespace);
	unlink(path_of(path, root, "proc/self/ns/user"));
	CHECK_INT(symlink("user:[4026532201]", path), 0);
	bpf_diagnose_read(&facts, root);
	CHECK(facts.in_user_namespace);
	remove_root(root);
}

TEST(facts_of_this_machine_are_read)
{
	struct bpf_facts facts = {};

	bpf_diagnose_read(&facts, "");
	CHECK(facts.release[0] && facts.seccomp >= 0);
}

/* Calls. */

/* bpf(2) ends with `error` for this process from now on. */
static void forbid_bpf(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

TEST(real_seccomp_filter_is_found)
{
	static const int errors[] = { EPERM, EACCES, ENOSYS };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int status;
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			struct bpf_facts facts = sound(errors[i]);

			forbid_bpf(errors[i]);
			bpf_diagnose_read(&facts, "");
			bpf_diagnose_ask(&facts);
			CHECK_INT(facts.bpf, errors[i]);
			CHECK_INT(facts.ring, errors[i]);
			CHECK_INT(facts.seccomp, 2);
			facts.capabilities = BIT(CAP_SYS_ADMIN);
			facts.in_user_namespace = false;
			/* As every kernel that has bpf(2). */
			facts.unprivileged_bpf_disabled = 2;
			decides(&facts, BPF_DIAGNOSE_E_PRIVILEGE, "a seccomp filter forbids bpf(2)");
			fflush(stdout);
			_exit(0);
		}
		CHECK_INT(waitpid(child, &status, 0), child);
		CHECK_INT(status, 0);
	}
}

/* Type information with a struct bpf_ringbuf whose lock is of type `lock`, which is added to it by add_x(). */

static struct btf *types_new(void)
{
	struct btf *btf = btf__new_empty();

	CHECK(btf);
	CHECK_INT(btf__add_int(btf, "int", 4, BTF_INT_SIGNED), 1);
	return btf;
}

/* struct NAME { int MEMBER; }, or, with in_union, struct NAME { union { int MEMBER; }; }, and typedef NAME_t. */
static int add_lock(struct btf *btf, const char *name, const char *member, bool in_union, const char *type_name)
{
	int of = 1, id;

	if (in_union) {
		of = btf__add_union(btf, "", 4);
		CHECK(of > 0);
		CHECK_INT(btf__add_field(btf, member, 1, 0, 0), 0);
	}
	id = btf__add_struct(btf, name, 4);
	CHECK(id > 0);
	CHECK_INT(btf__add_field(btf, in_union ? "" : member, of, 0, 0), 0);
	id = type_name ? btf__add_typedef(btf, type_name, id) : id;
	CHECK(id > 0);
	return id;
}

static void add_ring(struct btf *btf, const char *member, int lock)
{
	CHECK(btf__add_struct(btf, "bpf_ringbuf", 8) > 0);
	CHECK_INT(btf__add_field(btf, "mask", 1, 0, 0), 0);
	CHECK_INT(btf__add_field(btf, member, lock, 32, 0), 0);
}

static bool lock_sleeps(const char *name, const char *member, bool in_union, const char *type_name)
{
	struct btf *btf = types_new();
	bool sleeps;

	add_ring(btf, "spinlock", add_lock(btf, name, member, in_union, type_name));
	sleeps = bpf_diagnose_ring_sleeps(btf);
	btf__free(btf);
	return sleeps;
}

TEST(ring_lock_that_sleeps_is_found)
{
	CHECK(lock_sleeps("spinlock", "lock", false, "spinlock_t")); /* 5.10-rt */
	CHECK(lock_sleeps("spinlock", "lock", false, NULL));
	CHECK(lock_sleeps("spinlock", "lock", true, "spinlock_t"));
}

TEST(spinning_ring_locks_are_not_named)
{
	CHECK(!lock_sleeps("spinlock", "rlock", true, "spinlock_t"));	      /* 5.10 */
	CHECK(!lock_sleeps("raw_spinlock", "lock", false, "raw_spinlock_t")); /* 6.1-rt */
	CHECK(!lock_sleeps("rqspinlock", "val", true, "rqspinlock_t"));	      /* 7.2-rt */
	CHECK(!lock_sleeps("qspinlock", "val", true, "arch_spinlock_t"));
}

TEST(btf_without_the_ring_is_not_named)
{
	struct btf *btf = types_new();

	CHECK(!bpf_diagnose_ring_sleeps(btf));
	add_lock(btf, "spinlock", "lock", false, "spinlock_t");
	CHECK(!bpf_diagnose_ring_sleeps(btf));
	add_ring(btf, "other", 1);
	CHECK(!bpf_diagnose_ring_sleeps(btf));
	btf__free(btf);
	btf = types_new();
	add_ring(btf, "spinlock", 1);
	CHECK(!bpf_diagnose_ring_sleeps(btf));
	btf__free(btf);
	/* An id that is none, as in a broken file. */
	btf = types_new();
	add_ring(btf, "spinlock", 77);
	CHECK(!bpf_diagnose_ring_sleeps(btf));
	btf__free(btf);
}

TEST(ring_lock_that_sleeps_is_named_before_other_causes)
{
	struct bpf_facts facts = sound(0);

	strcpy(facts.release, "5.10.0-32-rt-amd64");
	facts.what = NULL;
	facts.ring_sleeps = true;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "Linux 5.10.0-32-rt-amd64, is a PREEMPT_RT kernel");
	facts.capabilities = 0;
	facts.bpf = EPERM;
	decides(&facts, BPF_DIAGNOSE_E_UNSUPPORTED, "a lock that sleeps");
}

TEST(diagnosis_leaks_no_descriptor)
{
	struct bpf_facts facts = {};
	int before = dup(0), after;

	CHECK(before >= 0);
	close(before);
	bpf_diagnose_ask(&facts);
	after = dup(0);
	CHECK_INT(after, before);
	CHECK(facts.capabilities_known);
}

TAP_MAIN
