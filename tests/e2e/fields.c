/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fields [VMLINUX_MIN_H OBJECT...]: is each member of bpf/vmlinux_min.h in the running kernel's BTF? As
 * TAP. A member that a kernel may lack is marked OPTIONAL there; a struct with a ___name is another
 * kernel's version of it, of which any member may be missing. The objects show which members a struct
 * of the header has; a struct that no object uses fails. Without arguments: the header of $top_srcdir
 * and the objects of this build folder. Then: does the kernel's verifier accept both ways to read them
 * (bpf/task.bpf.h)?
 */
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel/btf_member.h"
#include "record.h"

#define STRUCTS_MAX 128
#define OBJECTS_MAX 8

static char names[STRUCTS_MAX][64];
static unsigned n_names;
static struct btf *objects[OBJECTS_MAX];
static unsigned n_objects;

/* The structs of the header that are relocated: up to where the attribute ends. */
static bool read_header(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512], name[64];

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f) && !strstr(line, "#pragma clang attribute pop"))
		if (sscanf(line, "struct %63[a-zA-Z0-9_] {", name) == 1 && strchr(line, '{') && n_names < STRUCTS_MAX) {
			bool known = false;

			for (unsigned i = 0; i < n_names; i++)
				known |= strcmp(names[i], name) == 0; /* one for each architecture */
			if (!known)
				strcpy(names[n_names++], name);
		}
	fclose(f);
	return n_names > 0;
}

static const char *name_at(const struct btf *btf, __u32 offset)
{
	const char *name = btf__name_by_offset(btf, offset);

	return name ? name : "";
}

static bool is_optional(const struct btf *btf, int id, int index)
{
	for (__u32 i = 1; i < btf__type_cnt(btf); i++) {
		const struct btf_type *type = btf__type_by_id(btf, i);

		if (btf_is_decl_tag(type) && (int)type->type == id && btf_decl_tag(type)->component_idx == index &&
		    strcmp(name_at(btf, type->name_off), "optional") == 0)
			return true;
	}
	return false;
}

/* "kernfs_node___6_15" is a version of kernfs_node. True if it is one. */
static bool essential_name(char *ret, size_t size, const char *name)
{
	const char *flavour = strstr(name, "___");

	snprintf(ret, size, "%.*s", flavour ? (int)(flavour - name) : (int)strlen(name), name);
	return flavour;
}

static bool check_struct(const struct btf *kernel, const char *name)
{
	char essential[64];
	bool flavour = essential_name(essential, sizeof(essential), name), used = false, good = true;
	int there = btf__find_by_name_kind(kernel, essential, BTF_KIND_STRUCT);

	for (unsigned i = 0; i < n_objects; i++) {
		int id = btf__find_by_name_kind(objects[i], name, BTF_KIND_STRUCT);
		const struct btf_type *type = id > 0 ? btf__type_by_id(objects[i], (__u32)id) : NULL;

		if (!type)
			continue;
		used = true;
		for (unsigned m = 0; m < btf_vlen(type); m++) {
			const char *member = name_at(objects[i], btf_members(type)[m].name_off);
			__u32 offset;

			if (there > 0 && btf_find_member(kernel, (__u32)there, member, &offset))
				continue;
			if (flavour || is_optional(objects[i], id, (int)m)) {
				printf("# this kernel has no %s.%s\n", name, member);
				continue;
			}
			printf("# %s.%s is not in this kernel, and not OPTIONAL\n", name, member);
			good = false;
		}
	}
	if (!used)
		printf("# no object uses struct %s\n", name);
	return good && used;
}

/* Whether the header has another kernel's version of it, so that one of both has to be there. */
static bool has_flavour(const char *name)
{
	for (unsigned i = 0; i < n_names; i++)
		if (strncmp(names[i], name, strlen(name)) == 0 && strncmp(names[i] + strlen(name), "___", 3) == 0)
			return true;
	return false;
}

/* In a copy of the kernel's types, removes the names of the OPTIONAL members of that struct, and its
 * own if it has no others. */
static void remove_optional(const struct btf *kernel, char *copy, const char *name)
{
	const char *raw = btf__raw_data(kernel, &(__u32){ 0 });
	int there = btf__find_by_name_kind(kernel, name, BTF_KIND_STRUCT);
	int id = btf__find_by_name_kind(objects[0], name, BTF_KIND_STRUCT);
	const struct btf_type *type, *used;
	bool all = true;

	if (there <= 0 || id <= 0 || has_flavour(name))
		return;
	type = btf__type_by_id(kernel, (__u32)there);
	used = btf__type_by_id(objects[0], (__u32)id);
	for (unsigned m = 0; m < btf_vlen(used); m++) {
		const char *member = name_at(objects[0], btf_members(used)[m].name_off);

		if (!is_optional(objects[0], id, (int)m)) {
			all = false;
			continue;
		}
		for (unsigned i = 0; i < btf_vlen(type); i++) {
			const struct btf_member *its = &btf_members(type)[i];

			if (strcmp(name_at(kernel, its->name_off), member) == 0)
				((struct btf_member *)(copy + ((const char *)its - raw)))->name_off = 0;
		}
	}
	if (all)
		((struct btf_type *)(copy + ((const char *)type - raw)))->name_off = 0;
}

/* Writes the kernel's types without all that is OPTIONAL to a file: those of a kernel built with less. */
static bool write_minimal_types(const struct btf *kernel, char *path, size_t path_size)
{
	__u32 size;
	const char *raw = btf__raw_data(kernel, &size);
	int fd = memfd_create("types", 0);
	char *copy = malloc(size);
	bool good;

	if (!copy || fd < 0)
		return false;
	memcpy(copy, raw, size);
	for (unsigned i = 0; i < n_names; i++)
		remove_optional(kernel, copy, names[i]);
	good = write(fd, copy, size) == (ssize_t)size;
	snprintf(path, path_size, "/proc/self/fd/%d", fd);
	free(copy);
	return good;
}

/* The first object is that of fork, exec and exit. types: NULL: the kernel's own. */
static bool check_verifier(const char *path, bool typed, const char *types)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = types);
	struct bpf_object *object = bpf_object__open_file(path, &options);
	struct record_settings *settings = NULL;
	struct bpf_program *program;
	struct bpf_map *map;
	size_t size = 0;
	bool good = false;

	if (!object)
		return false;
	bpf_object__for_each_map (map, object)
		if (strstr(bpf_map__name(map), "rodata"))
			settings = (struct record_settings *)bpf_map__initial_value(map, &size);
	if (settings && size >= sizeof(*settings)) {
		settings->env_wanted = settings->preempted = 1;
		for (__u32 i = 0; i < RECORD_HIERARCHIES; i++)
			settings->hierarchies[i] = i + 1;
		/* Of those for exits, that which every kernel has. */
		bpf_object__for_each_program (program, object) {
			const char *name = bpf_program__name(program);

			bpf_program__set_autoload(program, (strncmp(name, "fallback", 8) == 0) != typed &&
								   strcmp(name, "probe_exit_group_dead") != 0 &&
								   strcmp(name, "second_exit") != 0);
		}
		good = bpf_object__load(object) == 0;
	}
	bpf_object__close(object);
	return good;
}

int main(int argc, char **argv)
{
	static char lifecycle[] = "bpf/lifecycle.bpf.o", failed_exec[] = "bpf/failed_exec.bpf.o",
		    deferred[] = "bpf/failed_exec_deferred.bpf.o";
	char *built[] = { argv[0], NULL, lifecycle, failed_exec, deferred, NULL };
	char header[4096], minimal[64];
	struct btf *kernel = btf__load_vmlinux_btf();
	struct utsname uts;
	bool bad = false;

	if (argc == 1) {
		snprintf(header, sizeof(header), "%s/bpf/vmlinux_min.h",
			 getenv("top_srcdir") ? getenv("top_srcdir") : ".");
		built[1] = header;
		argv = built;
		argc = 5;
	}
	if (argc < 3 || argc - 2 > OBJECTS_MAX || !read_header(argv[1])) {
		printf("Bail out! usage: fields [VMLINUX_MIN_H OBJECT...]\n");
		return 1;
	}
	if (!kernel) {
		printf("1..0 # SKIP this kernel has no BTF\n");
		return 0;
	}
	for (int i = 2; i < argc; i++) {
		objects[n_objects] = btf__parse(argv[i], NULL);
		if (!objects[n_objects]) {
			printf("Bail out! %s has no BTF\n", argv[i]);
			return 1;
		}
		n_objects++;
	}
	uname(&uts);
	printf("1..%u\n", n_names + 4);
	for (unsigned i = 0; i < n_names; i++) {
		bool good = check_struct(kernel, names[i]);

		printf("%sok %u - %s has what is read of struct %s\n", good ? "" : "not ", i + 1, uts.release,
		       names[i]);
		bad |= !good;
	}
	for (unsigned typed = 0; typed < 2; typed++) {
		const char *skip = geteuid() == 0 ? "" : " # SKIP not root";
		const char *how = typed ? "typed" : "untyped";
		bool good = *skip || check_verifier(argv[2], typed, NULL);

		printf("%sok %u - the verifier takes the probes that read %s pointers%s\n", good ? "" : "not ",
		       n_names + 2 * typed + 1, how, skip);
		bad |= !good;
		good = *skip || (write_minimal_types(kernel, minimal, sizeof(minimal)) &&
				 check_verifier(argv[2], typed, minimal));
		printf("%sok %u - the same without all that a kernel may lack, by %s pointers%s\n", good ? "" : "not ",
		       n_names + 2 * typed + 2, how, skip);
		bad |= !good;
	}
	for (unsigned i = 0; i < n_objects; i++)
		btf__free(objects[i]);
	btf__free(kernel);
	return bad;
}
