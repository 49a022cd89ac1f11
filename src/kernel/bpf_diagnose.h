/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why the probes cannot be loaded: the kernel lacks something, or something forbids it. What is
 * known of the machine is gathered first; a pure function maps it to a cause, in words.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BPF_DIAGNOSE_E_UNSUPPORTED = 1, /* the kernel can't do it */
	BPF_DIAGNOSE_E_PRIVILEGE = 2,	/* we may not */
};

enum bpf_diagnose_lockdown {
	LOCKDOWN_UNKNOWN, /* no securityfs, or a kernel without lockdown */
	LOCKDOWN_NONE,
	LOCKDOWN_INTEGRITY,
	LOCKDOWN_CONFIDENTIALITY,
};

struct bpf_facts {
	/* Of the files below a root; what could not be read has the value given last. */
	char release[64];	       /* uname -r; "" */
	bool sysfs;		       /* it is mounted at /sys */
	bool has_btf;		       /* the kernel's own type information */
	bool in_user_namespace;	       /* in another than the initial one; false */
	int seccomp;		       /* mode of /proc/self/status, 2: filters; -1 */
	int unprivileged_bpf_disabled; /* the sysctl, which kernels with bpf(2) have; -1 */
	enum bpf_diagnose_lockdown lockdown;

	/* Of the kernel, by asking. */
	bool capabilities_known;
	uint64_t capabilities; /* effective, by number (capabilities(7)) */
	uint64_t memlock;      /* RLIMIT_MEMLOCK, UINT64_MAX without limit */
	int bpf;	       /* 0: bpf(2) is heard, else the errno of a call that does nothing */
	int ring;	       /* 0, or the errno of making a small ring buffer */
	bool reads_kernel;     /* false: programs may not, while others load (confidentiality) */

	/* Of the kernel's type information. */
	bool ring_sleeps; /* bpf_diagnose_ring_sleeps() */

	/* Of what was done. */
	bool needs_btf; /* the kernel's own, since no other was named */
	int error;	/* errno */
	const char *what;
};

/* The facts of the files below root ("" for this machine's); what is not theirs stays as it is. */
void bpf_diagnose_read(struct bpf_facts *facts, const char *root);
/* The facts of the kernel, of which the calls change nothing. */
void bpf_diagnose_ask(struct bpf_facts *facts);

struct btf;
/* Whether the lock of this kernel's BPF ring buffers is one that sleeps (PREEMPT_RT). False where
 * the types do not show it. */
bool bpf_diagnose_ring_sleeps(const struct btf *btf);

/* What follows, with its words: BPF_DIAGNOSE_E_x, or -errno if what failed is short of something
 * and may do the next time. */
int bpf_diagnose_decide(const struct bpf_facts *facts, char *text, size_t size);
