/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "kernel/failed_exec.h"
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "failed_exec_deferred.skel.h"
#include "tap.h"

static const struct bpf_insn mark = { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = RECORD_CALL_MARK };

static size_t count_marks(const void *bytes, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i + sizeof(mark) <= size; i += sizeof(mark))
		n += memcmp((const char *)bytes + i, &mark, sizeof(mark)) == 0;
	return n;
}

static bool sees_returns(const struct bpf_program *program)
{
	static const char *const sections[] = { "kretprobe", "kretprobe.multi", "fexit",
						"tracepoint/syscalls/sys_exit_execve" };
	bool sees = false;

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		sees |= strcmp(bpf_program__section_name(program), sections[i]) == 0;
	return sees;
}

/* The daemon replaces the mark with a call. A compiler that dropped it, doubled it or moved it into a function that the
 * daemon does not see would disable deferred arguments, or fail the object. */
TEST(call_mark_is_once_in_each_program_that_sees_returns)
{
	struct failed_exec_deferred_bpf *skel = failed_exec_deferred_bpf__open();
	struct bpf_program *program;
	size_t programs = 0, size;
	const void *object = failed_exec_deferred_bpf__elf_bytes(&size);

	CHECK(skel);
	bpf_object__for_each_program (program, skel->obj) {
		size_t n = count_marks(bpf_program__insns(program), bpf_program__insn_cnt(program) * sizeof(mark));

		CHECK_INT(n, sees_returns(program));
		programs += n;
	}
	CHECK_INT(programs, 7);
	CHECK_INT(count_marks(object, size), programs);
	failed_exec_deferred_bpf__destroy(skel);
}

TAP_MAIN
