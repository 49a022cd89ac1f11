/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/source/journal_file.h"

#include <endian.h>
#include <stddef.h>

/* All numbers are little-endian; all objects begin at multiples of 8. */
struct header {
	unsigned char signature[8];
	uint32_t compatible_flags, incompatible_flags;
	unsigned char state, reserved[7];
	uint64_t file_id[2], machine_id[2], tail_entry_boot_id[2], seqnum_id[2];
	uint64_t header_size, arena_size;
	uint64_t data_hash_table_offset, data_hash_table_size, field_hash_table_offset, field_hash_table_size;
	uint64_t tail_object_offset, object_count, entry_count;
	uint64_t tail_entry_seqnum, head_entry_seqnum;
	uint64_t entry_array_offset;
	uint64_t head_entry_realtime, tail_entry_realtime, tail_entry_monotonic;
	/* Later versions have more. */
};

#define INCOMPATIBLE_COMPACT (1u << 4)
/* With those for compression and for keyed hashes. */
#define INCOMPATIBLE_KNOWN (INCOMPATIBLE_COMPACT | 0xfu)

#define TIME_LIMIT (UINT64_C(1) << 55) /* VALID_REALTIME() of systemd's time-util.h */
#define PREFETCH_LINES 6	       /* of a cache; of most entries all that is read */

struct object {
	unsigned char type, flags, reserved[6];
	uint64_t size; /* with this */
};

enum { OBJECT_DATA = 1, OBJECT_ENTRY = 3, OBJECT_ENTRY_ARRAY = 6 };

/* The payload follows; in compact files, after 8 bytes that are about its entries. */
struct data_object {
	struct object object;
	uint64_t hash, next_hash_offset, next_field_offset, entry_offset, entry_array_offset, entry_count;
};

/* The items follow: the offset of a data object, of 4 bytes in compact files, else of 8 bytes and followed by a hash.
 */
struct entry_object {
	struct object object;
	uint64_t seqnum, realtime, monotonic, boot_id[2], xor_hash;
};

/* Offsets of entries follow, of 4 bytes in compact files, else of 8. 0: there is no entry yet. */
struct entry_array {
	struct object object;
	uint64_t next_offset;
};

/* The file may be written at the same time, so each value is read once. */
static uint64_t get(const uint64_t *value)
{
	return le64toh(__atomic_load_n(value, __ATOMIC_RELAXED));
}

static struct journal_id get_id(const uint64_t id[2])
{
	return (struct journal_id){ be64toh(id[0]), be64toh(id[1]) };
}

static bool is_same_id(struct journal_id a, struct journal_id b)
{
	return a.high == b.high && a.low == b.low;
}

static const struct header *header_of(const struct journal_file *file)
{
	return (const struct header *)file->data;
}

/* The object of this type at an offset, and its size; NULL: there is none, or not all of it. */
static const void *object_at(const struct journal_file *file, uint64_t at, unsigned char type, uint64_t size_min,
			     uint64_t *ret_size)
{
	const struct object *object;
	uint64_t size;

	if (at % 8 != 0 || at < file->header_size || at > file->limit || file->limit - at < sizeof(*object))
		return NULL;
	object = (const struct object *)(file->data + at);
	size = get(&object->size);
	if (object->type != type || size < size_min || size > file->limit - at)
		return NULL;
	*ret_size = size;
	return object;
}

static unsigned item_size(const struct journal_file *file)
{
	return file->compact ? 4 : 8;
}

static uint64_t offset_at(const struct journal_file *file, const unsigned char *item)
{
	return file->compact ? le32toh(__atomic_load_n((const uint32_t *)item, __ATOMIC_RELAXED))
			     : get((const uint64_t *)item);
}

/* Objects are appended: the last one is whole if its size is there. */
static bool set_limit(struct journal_file *file)
{
	const struct header *header = header_of(file);
	uint64_t arena = get(&header->arena_size), tail = get(&header->tail_object_offset), size;

	if (arena > file->size - file->header_size || tail % 8 != 0 || tail < file->header_size)
		return false;
	arena += file->header_size;
	if (tail > arena || arena - tail < sizeof(struct object))
		return false;
	size = get(&((const struct object *)(file->data + tail))->size);
	file->limit = size <= arena - tail ? tail + size : tail;
	return true;
}

/*
 * An array is before the next one, so that no chain of them is a ring. What the file has by now beyond the limit, and
 * what comes after damage, is left out.
 */
static void set_arrays(struct journal_file *file)
{
	uint64_t at = get(&header_of(file)->entry_array_offset), entries = get(&header_of(file)->entry_count);
	uint64_t count = 0, before = 0, size;

	while (at > before && file->array_count < ENTRY_ARRAYS_MAX) {
		const struct entry_array *array = object_at(file, at, OBJECT_ENTRY_ARRAY, sizeof(*array), &size);

		if (!array)
			break;
		file->arrays[file->array_count].items = at + sizeof(*array);
		file->arrays[file->array_count++].first = count;
		count += (size - sizeof(*array)) / item_size(file);
		before = at;
		at = get(&array->next_offset);
	}
	file->entry_count = entries < count ? entries : count;
}

bool journal_file_init(struct journal_file *file, const void *data, uint64_t size)
{
	const struct header *header = data;
	uint32_t flags;

	*file = (struct journal_file){ .data = data, .size = size, .step = 1 };
	if (size < sizeof(*header) || memcmp(header->signature, JOURNAL_SIGNATURE, sizeof(header->signature)) != 0)
		return false;
	flags = le32toh(header->incompatible_flags);
	file->compact = flags & INCOMPATIBLE_COMPACT;
	file->header_size = get(&header->header_size);
	file->seqnum_id = get_id(header->seqnum_id);
	return !(flags & ~INCOMPATIBLE_KNOWN) && file->header_size % 8 == 0 && file->header_size >= sizeof(*header) &&
	       file->header_size <= size;
}

bool journal_file_covers(const struct journal_file *file, const struct entry_id *id)
{
	const struct header *header = header_of(file);

	return is_same_id(file->seqnum_id, id->seqnum_id) && id->seqnum >= get(&header->head_entry_seqnum) &&
	       id->seqnum <= get(&header->tail_entry_seqnum);
}

/* The entry with this number in the file. */
static const struct entry_object *entry_at(const struct journal_file *file, uint64_t number, uint64_t *ret_size)
{
	unsigned i = file->array_count - 1;
	uint64_t at;

	while (file->arrays[i].first > number)
		i--;
	at = file->arrays[i].items + (number - file->arrays[i].first) * item_size(file);
	return object_at(file, offset_at(file, file->data + at), OBJECT_ENTRY, sizeof(struct entry_object), ret_size);
}

/*
 * The next entry is most often in no cache. It is loaded while this one is looked at: sd-journal, which has mapped the
 * same memory, needs it first.
 */
static void prefetch(const struct journal_file *file, uint64_t number)
{
	unsigned i = file->array_count - 1;
	uint64_t at;

	if (number >= file->entry_count)
		return;
	while (file->arrays[i].first > number)
		i--;
	at = offset_at(file, file->data + file->arrays[i].items + (number - file->arrays[i].first) * item_size(file));
	if (at > file->limit)
		return;
	for (unsigned line = 0; line < PREFETCH_LINES; line++)
		__builtin_prefetch(file->data + at + line * 64);
}

/* Entries are in the order of their sequence numbers. The one that is looked for is most often the next one. */
static const struct entry_object *find(struct journal_file *file, uint64_t seqnum, uint64_t *ret_size)
{
	uint64_t begin = 0, end, number = file->number + (uint64_t)file->step;

	/* Not before it is needed: of most files of a large journal no page is touched then. */
	if (file->limit == 0 && set_limit(file))
		set_arrays(file);
	end = file->entry_count;
	while (begin < end) {
		const struct entry_object *entry;
		uint64_t found;

		if (number < begin || number >= end)
			number = begin + (end - begin) / 2;
		entry = entry_at(file, number, ret_size);
		if (!entry)
			return NULL;
		found = get(&entry->seqnum);
		if (found == seqnum) {
			file->step = number < file->number ? -1 : 1;
			file->number = number;
			prefetch(file, number + (uint64_t)file->step);
			return entry;
		}
		if (found < seqnum)
			begin = number + 1;
		else
			end = number;
		number = begin + (end - begin) / 2;
	}
	return NULL;
}

bool journal_file_find(struct journal_file *file, const struct entry_id *id, struct journal_entry *ret)
{
	unsigned size_of_item = file->compact ? 4 : 16;
	uint64_t size = 0;
	const struct entry_object *entry = find(file, id->seqnum, &size);

	if (!entry || get(&entry->realtime) != id->realtime || get(&entry->monotonic) != id->monotonic ||
	    get(&entry->xor_hash) != id->xor_hash || !is_same_id(get_id(entry->boot_id), id->boot_id))
		return false;
	size -= sizeof(*entry);
	*ret = (struct journal_entry){ (const unsigned char *)(entry + 1), size / size_of_item };
	return size % size_of_item == 0;
}

uint64_t journal_entry_item(const struct journal_file *file, const struct journal_entry *entry, uint64_t i)
{
	return offset_at(file, entry->items + i * (file->compact ? 4 : 16));
}

/* The checks are those of check_object() in journal-file.c of systemd, which makes sd-journal pass over a field. */
bool journal_file_field(const struct journal_file *file, uint64_t at, struct bytes *ret)
{
	uint64_t payload = sizeof(struct data_object) + (file->compact ? 8 : 0), size;
	const struct data_object *data = object_at(file, at, OBJECT_DATA, payload + 1, &size);

	if (!data || data->object.flags != 0 || (get(&data->entry_offset) == 0) != (get(&data->entry_count) == 0) ||
	    (get(&data->next_hash_offset) | get(&data->next_field_offset) | get(&data->entry_offset) |
	     get(&data->entry_array_offset)) %
			    8 !=
		    0)
		return false;
	*ret = (struct bytes){ (const char *)data + payload, size - payload };
	return true;
}

/* The object of a field of an entry, if it is this one; 0: none is. */
static uint64_t find_field(const struct journal_file *file, const struct journal_entry *entry, struct bytes field)
{
	struct bytes found;

	for (uint64_t i = 0; i < entry->count; i++) {
		uint64_t at = journal_entry_item(file, entry, i);

		if (journal_file_field(file, at, &found) && bytes_equal(found, field))
			return at;
	}
	return 0;
}

static bool has_item(const struct journal_file *file, const struct journal_entry *entry, uint64_t at)
{
	for (uint64_t i = 0; i < entry->count; i++)
		if (journal_entry_item(file, entry, i) == at)
			return true;
	return false;
}

/* How many entries the arrays of a field name, after its first; each is after the one before. */
static uint64_t count_chain(const struct journal_file *file, uint64_t first, uint64_t at, uint64_t max)
{
	uint64_t count = 0, last = first, before = 0, size;

	while (at > before && count < max) {
		const struct entry_array *array = object_at(file, at, OBJECT_ENTRY_ARRAY, sizeof(*array), &size);
		uint64_t items = array ? (size - sizeof(*array)) / item_size(file) : 0;

		if (!array || (size - sizeof(*array)) % item_size(file) != 0)
			return count;
		for (uint64_t i = 0; i < items && count < max; i++, count++) {
			uint64_t entry = offset_at(file, (const unsigned char *)(array + 1) + i * item_size(file)),
				 unused;

			if (entry <= last ||
			    !object_at(file, entry, OBJECT_ENTRY, sizeof(struct entry_object), &unused))
				return count;
			last = entry;
		}
		before = at;
		at = get(&array->next_offset);
	}
	return count;
}

/* As check_object() in journal-file.c of systemd. */
static bool is_valid(const struct journal_file *file, const struct entry_object *entry, uint64_t size)
{
	uint64_t realtime = get(&entry->realtime);

	return (size - sizeof(*entry)) % (file->compact ? 4 : 16) == 0 && realtime > 0 && realtime < TIME_LIMIT &&
	       get(&entry->monotonic) < TIME_LIMIT;
}

/* What has been written by now, and counted after the file was mapped, is beyond its limit: it is not looked for. */
bool journal_file_is_whole(struct journal_file *file, struct bytes field)
{
	uint64_t entries = get(&header_of(file)->entry_count), last = 0, at = 0, with = 0, size, count;
	const struct data_object *data;

	if (!set_limit(file))
		return true;
	set_arrays(file);
	if (file->entry_count < entries ||
	    count_chain(file, 0, get(&header_of(file)->entry_array_offset), entries) < entries)
		return false;
	for (uint64_t number = 0; number < entries; number++) {
		const struct entry_object *object = entry_at(file, number, &size);
		struct journal_entry entry;

		if (!object || !is_valid(file, object, size) || get(&object->seqnum) <= last)
			return false;
		last = get(&object->seqnum);
		entry = (struct journal_entry){ (const unsigned char *)(object + 1),
						(size - sizeof(*object)) / (file->compact ? 4 : 16) };
		at = at ?: find_field(file, &entry, field);
		/* journald counts the last one before it links it to its fields. */
		with += at > 0 && number + 1 < entries && has_item(file, &entry, at);
	}
	if (with == 0)
		return true;
	data = object_at(file, at, OBJECT_DATA, sizeof(*data), &size);
	count = data ? get(&data->entry_count) : 0;
	return count >= with &&
	       1 + count_chain(file, get(&data->entry_offset), get(&data->entry_array_offset), with - 1) >= with;
}

/* Without branches on digits, which no CPU predicts. */
static bool get_hex(const char **text, char name, unsigned digits, uint64_t *ret)
{
	/* One more than the value. */
	static const unsigned char values[256] = {
		['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
		['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	};
	const char *c = *text;
	uint64_t value = 0;
	unsigned char digit;

	if (name && (c[0] != name || c[1] != '='))
		return false;
	if (name)
		c += 2;
	for (; digits > 0 && (digit = values[(unsigned char)*c]); digits--, c++)
		value = value << 4 | (digit - 1u);
	*ret = value;
	*text = c + (*c == ';');
	return true;
}

bool entry_id_parse(struct entry_id *id, const char *cursor)
{
	return get_hex(&cursor, 's', 16, &id->seqnum_id.high) && get_hex(&cursor, 0, 16, &id->seqnum_id.low) &&
	       get_hex(&cursor, 'i', 16, &id->seqnum) && get_hex(&cursor, 'b', 16, &id->boot_id.high) &&
	       get_hex(&cursor, 0, 16, &id->boot_id.low) && get_hex(&cursor, 'm', 16, &id->monotonic) &&
	       get_hex(&cursor, 't', 16, &id->realtime) && get_hex(&cursor, 'x', 16, &id->xor_hash) && *cursor == '\0';
}
