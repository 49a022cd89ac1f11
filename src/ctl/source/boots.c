/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/boots.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "util/cleanup.h"

#define FIELD "_BOOT_ID="
#define ID_SIZE 32

struct boot {
	char id[ID_SIZE + 1];
	uint64_t first_us;
};

/* An id or nothing, then an offset or nothing. */
static bool parse(const char *name, char *ret_id, long *ret_offset)
{
	size_t digits = strspn(name, "0123456789abcdefABCDEF");
	char *end;

	ret_id[0] = '\0';
	if (digits == ID_SIZE) {
		memcpy(ret_id, name, ID_SIZE);
		ret_id[ID_SIZE] = '\0';
		name += ID_SIZE;
	}
	*ret_offset = 0;
	if (*name == '\0')
		return ret_id[0] != '\0';
	if (ret_id[0] && *name != '-' && *name != '+')
		return false;
	errno = 0;
	*ret_offset = strtol(name, &end, 10);
	return errno == 0 && *end == '\0' && end != name;
}

bool is_boot_name(const char *name)
{
	char id[ID_SIZE + 1];
	long offset;

	return parse(name, id, &offset) && (id[0] || *name == '-' || *name == '+' || offset == 0);
}

static int compare(const void *a, const void *b)
{
	const struct boot *x = a, *y = b;

	return (x->first_us > y->first_us) - (x->first_us < y->first_us);
}

/* When the first entry of a boot was written. */
static int first_time(sd_journal *journal, const char *id, uint64_t *ret)
{
	char match[sizeof(FIELD) + ID_SIZE];
	int r;

	snprintf(match, sizeof(match), FIELD "%s", id);
	sd_journal_flush_matches(journal);
	r = sd_journal_add_match(journal, match, 0);
	if (r >= 0)
		r = sd_journal_seek_head(journal);
	if (r >= 0)
		r = sd_journal_next(journal);
	if (r > 0)
		r = sd_journal_get_realtime_usec(journal, ret);
	sd_journal_flush_matches(journal);
	return r;
}

static int list(sd_journal *journal, struct boot **ret, size_t *ret_count)
{
	_cleanup_free_ struct boot *boots = NULL;
	size_t count = 0, size, prefix = strlen(FIELD);
	const void *data;
	int r = sd_journal_query_unique(journal, "_BOOT_ID");

	if (r < 0)
		return r;
	SD_JOURNAL_FOREACH_UNIQUE(journal, data, size)
	{
		struct boot *more = reallocarray(boots, count + 1, sizeof(*more));

		if (!more)
			return -ENOMEM;
		boots = more;
		if (size != prefix + ID_SIZE)
			continue;
		memcpy(boots[count].id, (const char *)data + prefix, ID_SIZE);
		boots[count++].id[ID_SIZE] = '\0';
	}
	for (size_t i = 0; i < count; i++) {
		r = first_time(journal, boots[i].id, &boots[i].first_us);
		if (r < 0)
			return r;
	}
	if (count > 0)
		qsort(boots, count, sizeof(*boots), compare);
	*ret = TAKE_PTR(boots);
	*ret_count = count;
	return 0;
}

/* The boot that runs may have no entry yet: it comes after all others then. */
static size_t place_of(const struct boot *boots, size_t count, const char *id)
{
	size_t i = 0;

	while (i < count && strcasecmp(boots[i].id, id) != 0)
		i++;
	return i;
}

/* The boot at this offset from the named one; without a name, from the end, or from the beginning if it is positive. */
static int find_listed(sd_journal *journal, const char *id, long offset, char *ret)
{
	_cleanup_free_ struct boot *boots = NULL;
	size_t count;
	long place;
	int r = list(journal, &boots, &count);

	if (r < 0)
		return r;
	if (id[0])
		place = (long)place_of(boots, count, id) + offset;
	else
		place = offset > 0 ? offset - 1 : (long)count - 1 + offset;
	if (place < 0 || (size_t)place >= count)
		return -ENOENT;
	memcpy(ret, boots[place].id, sizeof(boots[place].id));
	return 0;
}

int boot_find(sd_journal *journal, const char *name, bool this_machine, char *ret)
{
	char id[ID_SIZE + 1];
	sd_id128_t current;
	long offset;
	int r;

	if (!parse(name, id, &offset))
		return -EINVAL;
	if (!id[0] && this_machine && offset <= 0) {
		r = sd_id128_get_boot(&current);
		if (r < 0)
			return r;
		sd_id128_to_string(current, id);
	}
	if (offset != 0 || !id[0])
		return find_listed(journal, id, offset, ret);
	memcpy(ret, id, sizeof(id));
	return 0;
}
