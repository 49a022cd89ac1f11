/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers for the views of process.h. */
#include "model/process.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/digits.h"

/* The eight digits of value, the first one in the lowest address of the result. */
static uint64_t hex_digits(uint32_t value)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t digits = value;

	/* Each half of a part becomes a part of its own, until each is of four bits in a byte. */
	digits = (digits << 16 | digits) & UINT64_C(0x0000ffff0000ffff);
	digits = (digits << 8 | digits) & UINT64_C(0x00ff00ff00ff00ff);
	digits = (digits << 4 | digits) & 0x0f * each;
	digits += '0' * each + ((digits + 6 * each) >> 4 & each) * ('a' - '0' - 10);
	return htobe64(digits);
}

/* The last `width` digits; writes 16 bytes. */
static char *put_hex(char *to, uint64_t value, int width)
{
	uint64_t digits[2];

	value <<= 64 - 4 * width;
	digits[0] = hex_digits((uint32_t)(value >> 32));
	digits[1] = hex_digits((uint32_t)value);
	memcpy(to, digits, sizeof(digits));
	return to + width;
}

/* Writes 10 bytes. */
static char *put_decimal(char *to, uint32_t value)
{
	char digits[20] = "", *end = digits + 10, *begin = end;

	for (; value >= 10; value /= 100, begin -= 2)
		two_digits(begin, value);
	/* The last digit of an odd number of them; 0 has one. */
	if (value > 0 || begin == end)
		*--begin = (char)('0' + value);
	memcpy(to, begin, 10);
	return to + (end - begin);
}

/* By hand: every event has one or two ids, and snprintf(3) would take as long as all the rest. */
void process_id_format(char ret[static PROCESS_ID_SIZE], uint64_t boot, uint32_t tgid, uint64_t start)
{
	int width = start ? (67 - __builtin_clzll(start)) / 4 : 1;

	_Static_assert(PROCESS_ID_SIZE >= 16 + 1 + 10 + 1 + 16 + 1, "the longest id fits");
	ret = put_hex(ret, boot, 16);
	*ret++ = '-';
	ret = put_decimal(ret, tgid);
	*ret++ = '-';
	ret = put_hex(ret, start, width);
	*ret = '\0';
}

/* Series of devices, numbered from 0 within their major. ttyAMA is drivers/tty/serial/amba-pl011.c's. */
static const struct {
	uint32_t major, first, last;
	const char *name;
} series[] = {
	{ 4, 0, 63, "tty" },
	{ 4, 64, 255, "ttyS" },
	{ 166, 0, UINT32_MAX, "ttyACM" },
	{ 188, 0, UINT32_MAX, "ttyUSB" },
	{ 204, 64, 77, "ttyAMA" },
	{ 229, 0, UINT32_MAX, "hvc" },
};
static const char *const fives[] = { "tty", "console", "ptmx" };

bool tty_name(char *ret, size_t size, uint32_t major, uint32_t minor)
{
	if (major == 0 && minor == 0)
		return false;
	if (major >= 136 && major <= 143) {
		/* The kernel's minors are 20 bits wide now, and all pts are of major 136. */
		snprintf(ret, size, "pts/%" PRIu32, minor + (major - 136) * 256);
		return true;
	}
	if (major == 5 && minor < sizeof(fives) / sizeof(fives[0])) {
		snprintf(ret, size, "%s", fives[minor]);
		return true;
	}
	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
		if (series[i].major == major && minor >= series[i].first && minor <= series[i].last) {
			snprintf(ret, size, "%s%" PRIu32, series[i].name, minor - series[i].first);
			return true;
		}
	}
	snprintf(ret, size, "%" PRIu32 ":%" PRIu32, major, minor);
	return true;
}

bool tty_number(const char *name, uint32_t *ret_major, uint32_t *ret_minor)
{
	size_t letters = strcspn(name, "0123456789");
	uint32_t number;

	for (uint32_t i = 0; i < sizeof(fives) / sizeof(fives[0]); i++) {
		if (strcmp(name, fives[i]) == 0) {
			*ret_major = 5;
			*ret_minor = i;
			return true;
		}
	}
	if (sscanf(name, "%" SCNu32 ":%" SCNu32, ret_major, ret_minor) == 2)
		return true;
	if (sscanf(name + letters, "%" SCNu32, &number) != 1)
		return false;
	if (letters == 4 && strncmp(name, "pts/", 4) == 0) {
		*ret_major = 136;
		*ret_minor = number;
		return true;
	}
	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
		if (letters == strlen(series[i].name) && strncmp(name, series[i].name, letters) == 0) {
			*ret_major = series[i].major;
			*ret_minor = series[i].first + number;
			return true;
		}
	}
	return false;
}

void process_copy_starter(struct process *to, const struct process *from)
{
	to->starter = from->starter;
	to->starter_start = from->starter_start;
	to->starter_exec_time = from->starter_exec_time;
}

void image_archive(struct image *image, struct archive *a)
{
	archive_bytes(a, &image->exe);
	archive_bytes(a, &image->filename);
	archive_bytes(a, &image->args);
	ARCHIVE(a, image->argc);
	ARCHIVE(a, image->args_size);
	archive_flag(a, &image->args_truncated);
	archive_flag(a, &image->exe_deleted);
	archive_flag(a, &image->exe_memfd);
	archive_flag(a, &image->exe_upper);
	archive_flag(a, &image->secureexec);
	ARCHIVE(a, image->incomplete);
	ARCHIVE(a, image->exe_inode);
	ARCHIVE(a, image->exe_ctime);
	archive_flag(a, &image->exe_ctime_known);
	ARCHIVE(a, image->exe_dev_major);
	ARCHIVE(a, image->exe_dev_minor);
	archive_bytes(a, &image->cwd);
	archive_bytes(a, &image->cgroup);
	archive_bytes(a, &image->unit);
	archive_bytes(a, &image->container_id);
	archive_bytes(a, &image->pod_uid);
	archive_bytes(a, &image->env);
}

void process_archive(struct process *process, struct archive *a)
{
	uint32_t source = process->source;

	ARCHIVE(a, process->tgid);
	ARCHIVE(a, process->start);
	ARCHIVE(a, process->start_time);
	ARCHIVE(a, process->exec_id);
	ARCHIVE(a, process->ppid);
	ARCHIVE(a, process->parent_start);
	ARCHIVE(a, process->uid);
	ARCHIVE(a, process->gid);
	ARCHIVE(a, process->euid);
	ARCHIVE(a, process->egid);
	ARCHIVE(a, process->caps);
	archive_flag(a, &process->ids_known);
	ARCHIVE(a, process->loginuid);
	ARCHIVE(a, process->session_id);
	ARCHIVE(a, process->sid);
	ARCHIVE(a, process->pgid);
	ARCHIVE(a, process->tty_major);
	ARCHIVE(a, process->tty_minor);
	ARCHIVE(a, process->session_start);
	ARCHIVE(a, process->ns_pid);
	ARCHIVE(a, process->pid_ns);
	ARCHIVE(a, process->mnt_ns);
	ARCHIVE(a, process->net_ns);
	ARCHIVE(a, process->user_ns);
	ARCHIVE(a, process->uts_ns);
	ARCHIVE(a, process->ipc_ns);
	ARCHIVE(a, process->cgroup_ns);
	ARCHIVE(a, process->time_ns);
	archive_flag(a, &process->kernel_thread);
	archive_flag(a, &process->execed);
	archive_flag(a, &process->execing);
	ARCHIVE(a, source);
	process->source = source <= SOURCE_RESYNC ? (enum source)source : SOURCE_PROBE;
	archive_bytes(a, &process->comm);
	archive_bytes(a, &process->parent_comm);
	archive_bytes(a, &process->ancestors);
	ARCHIVE(a, process->forker);
	ARCHIVE(a, process->forker_start);
	ARCHIVE(a, process->starter);
	ARCHIVE(a, process->starter_start);
	ARCHIVE(a, process->starter_exec_time);
	ARCHIVE(a, process->exec_time);
}
