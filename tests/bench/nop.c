/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The smallest program: what starting and ending one costs is the kernel's alone. */
void _start(void);

__attribute__((noreturn)) void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(60), "D"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long call __asm__("x8") = 93, status __asm__("x0") = 0;

	__asm__ volatile("svc 0" : : "r"(call), "r"(status) : "memory");
#else
#error "how does a program end here?"
#endif
	__builtin_unreachable();
}
