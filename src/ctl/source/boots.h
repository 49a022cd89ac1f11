/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boots in a journal, by the names that journalctl(1) gives them. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-journal.h>

/* "0", "-1", "+2", an id, an id and an offset ("ID-1"). A number without a sign is 0 only: others are arguments. */
bool is_boot_name(const char *name);

/* "0" is the boot that runs (of a journal of other machines, its last one), "-1" the one before, "1" the oldest in the
 * journal; "ID", "ID-1". -ENOENT: the journal has no such boot; -EINVAL: no name of a boot. ret: 33 bytes. Matches of
 * the journal are flushed. */
int boot_find(sd_journal *journal, const char *name, bool this_machine, char *ret);
