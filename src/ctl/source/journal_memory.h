/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sd-journal maps the files of a journal, and keeps what it has mapped (mmap-cache.c in systemd): of a large journal
 * some hundred MiB. They are the page cache's, and can be had again at once.
 */
#pragma once

/* Unmaps the pages of mapped journal files, but not the files: they are mapped again when they are touched. */
void journal_memory_release(void);
