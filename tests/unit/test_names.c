/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/names.h"

#include "tap.h"

static struct names *names;

static void read_text(const char *text)
{
	names = names_free(names);
	CHECK_INT(names_new(&names, bytes_of(text)), 0);
}

static const char *name_of(uint32_t id)
{
	static char name[64];
	struct bytes found = names_find(names, id);

	if (!found.data)
		return "none";
	snprintf(name, sizeof(name), "%.*s", (int)found.size, found.data);
	return name;
}

TEST(ids_have_their_names)
{
	read_text("root:x:0:0:root:/root:/bin/bash\nbob:x:1001:100::/:\nmail:*:8:bob,root\nlast:x:4294967294:\n");
	CHECK_STR(name_of(0), "root");
	CHECK_STR(name_of(1001), "bob");
	CHECK_STR(name_of(8), "mail");
	CHECK_STR(name_of(4294967294), "last");
	CHECK_STR(name_of(1), "none");
	CHECK_STR(name_of(UINT32_MAX), "none");
	names = names_free(names);
	CHECK_STR(name_of(0), "none");
}

TEST(first_of_several_names_is_found)
{
	read_text("toor:x:7:\nz:x:3:\nb:x:7:\na:x:7:\n");
	CHECK_STR(name_of(7), "toor");
	CHECK_STR(name_of(3), "z");
}

TEST(lines_that_are_no_entry_are_passed_over)
{
	read_text("\n:\n::\nx\n#c:x:1:\n+:x:2:\n-n:x:3:\n:x:4:\na:x:x5:\na:x:-6:\na:x:4294967295:\na:x:4294967296:\n"
		  "a:x::\na:x:99999999999999999999:\nb:x:9\nok:x:10:\nc:x:11:no end");
	for (uint32_t id = 0; id < 10; id++)
		CHECK_STR(name_of(id), "none");
	CHECK_STR(name_of(10), "ok");
	CHECK_STR(name_of(11), "none");
	CHECK_STR(name_of(UINT32_MAX), "none");
	read_text("");
	CHECK_STR(name_of(0), "none");
	names = names_free(names);
	CHECK_INT(names_new(&names, (struct bytes){ "a\0\xff:x:1:\n", 9 }), 0);
	CHECK_INT(names_find(names, 1).size, 3);
}

TEST(number_of_names_is_bounded)
{
	size_t size = 0;
	char *text = malloc(32 * (NAMES_MAX + 10));

	CHECK(text);
	/* Descending, so that they have to be sorted. */
	for (int i = NAMES_MAX + 9; i >= 0; i--)
		size += (size_t)sprintf(text + size, "n%d:x:%d:\n", i, i);
	CHECK_INT(names_new(&names, (struct bytes){ text, size }), 0);
	CHECK_STR(name_of(NAMES_MAX + 9), "n65545");
	CHECK_STR(name_of(10), "n10");
	CHECK_STR(name_of(9), "none");
	free(text);
}

TAP_MAIN
