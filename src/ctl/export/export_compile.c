/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compile_commands.json (clang.llvm.org/docs/JSONCompilationDatabase.html): an entry for each source that a compiler's
 * driver was given, with the arguments that it had. What the driver runs (cc1, as, another driver) has none, and a
 * wrapper such as ccache is left out before it. Runs that only preprocess have none, nor have those of which not all
 * arguments are known.
 */
#include <errno.h>
#include <fnmatch.h>

#include "ctl/collect/tally.h"
#include "ctl/export/export.h"
#include "ctl/export/markup.h"
#include "util/nulstr.h"

#define NAME_SIZE 64
#define ANCESTORS_MAX 64

struct compilation {
	struct bytes compiler; /* argv[0] */
	struct bytes rest;     /* arguments after it */
	struct bytes cwd;
};

static bool is_one_of(struct bytes name, const char *const *globs)
{
	char copy[NAME_SIZE];

	if (name.size >= sizeof(copy))
		return false;
	memcpy(copy, name.data, name.size);
	copy[name.size] = '\0';
	for (; *globs; globs++)
		if (fnmatch(*globs, copy, 0) == 0)
			return true;
	return false;
}

/* Also with a target before it and a version after it. */
static bool is_compiler(struct bytes path)
{
	static const char *const names[] = { "cc",  "gcc", "g++", "c++", "clang",    "clang++", "c89",
					     "c99", "icc", "icx", "tcc", "gfortran", NULL };
	static const char *const globs[] = { "*-cc",	"*-gcc",     "*-g++",	   "*-c++",
					     "*-clang", "*-clang++", "*-gfortran", NULL };
	static const char *const versions[] = { "*-[0-9]", "*-[0-9][0-9]", "*-[0-9].[0-9]", "*-[0-9][0-9].[0-9]",
						NULL };
	struct bytes name = path_base(path);

	if (is_one_of(name, versions))
		name.size = (size_t)((const char *)memrchr(name.data, '-', name.size) - name.data);
	return is_one_of(name, names) || is_one_of(name, globs);
}

static bool is_wrapper(struct bytes path)
{
	static const char *const names[] = { "ccache", "distcc", "sccache", "icecc", "gomacc", NULL };

	return is_one_of(path_base(path), names);
}

/* Whether the program is a compiler's driver, as it was called. */
static bool get_compilation(const struct program *program, struct compilation *ret)
{
	struct bytes first, argument;
	size_t at = 0;

	if (!nulstr_next(program->args, &at, &first))
		return false;
	if (is_wrapper(first)) {
		if (!nulstr_next(program->args, &at, &first) || !is_compiler(first))
			return false;
	} else if (is_compiler(first)) {
		/* As it was found in PATH. */
		if (program->filename.size > 0 && program->filename.data[0] == '/' &&
		    bytes_equal(path_base(program->filename), path_base(first)))
			first = program->filename;
	} else {
		return false;
	}
	*ret = (struct compilation){ first, { program->args.data + at, program->args.size - at }, program->cwd };
	at = 0;
	return !nulstr_next(ret->rest, &at, &argument) || !bytes_equal(argument, BYTES("-cc1"));
}

static bool is_below_a_compiler(const struct program *program)
{
	struct compilation unused;

	for (int i = 0; i < ANCESTORS_MAX && program; i++) {
		program = program->previous ? program->previous : program->parent;
		if (program && get_compilation(program, &unused))
			return true;
	}
	return false;
}

static bool is_source(struct bytes argument)
{
	static const char *const extensions[] = { "c",	"C",  "cc",  "cp",  "cpp", "cxx", "c++", "CPP", "m",
						  "mm", "M",  "i",   "ii",  "mi",  "mii", "S",	 "s",	"sx",
						  "f",	"F",  "for", "f90", "F90", "f95", "cu",	 "h",	"H",
						  "hh", "hp", "hpp", "hxx", "HPP", "h++", "tcc", NULL };
	const char *dot = argument.size > 0 ? memrchr(argument.data, '.', argument.size) : NULL;

	if (!dot || argument.data[0] == '-' || argument.data[0] == '@')
		return false;
	for (const char *const *extension = extensions; *extension; extension++)
		if (bytes_equal(bytes_of(*extension),
				(struct bytes){ dot + 1, argument.size - (size_t)(dot + 1 - argument.data) }))
			return true;
	return false;
}

/* The next argument is its value. */
static bool takes_value(struct bytes option)
{
	static const char *const options[] = { "-o",	      "-I",	      "-D",
					       "-U",	      "-L",	      "-l",
					       "-x",	      "-include",     "-imacros",
					       "-isystem",    "-iquote",      "-idirafter",
					       "-iprefix",    "-iwithprefix", "-iwithprefixbefore",
					       "-isysroot",   "-imultilib",   "-MF",
					       "-MT",	      "-MQ",	      "-Xpreprocessor",
					       "-Xassembler", "-Xlinker",     "-Xclang",
					       "-arch",	      "-u",	      "-T",
					       "-z",	      "-e",	      "-A",
					       "-B",	      "-aux-info",    "--param",
					       "-target",     "-mllvm",	      "-wrapper",
					       "-specs",      "--sysroot",    NULL };

	for (const char *const *name = options; *name; name++)
		if (bytes_equal(option, bytes_of(*name)))
			return true;
	return false;
}

/* -M and -MM imply -E; -MD and -MMD do not. gcc(1). */
static bool is_preprocessing(struct bytes option)
{
	return bytes_equal(option, BYTES("-E")) || bytes_equal(option, BYTES("-M")) ||
	       bytes_equal(option, BYTES("-MM"));
}

/* The sources; 0 where nothing is compiled. *ret_output: the value of -o. */
static size_t count_sources(const struct compilation *compilation, struct bytes *ret_output)
{
	struct bytes argument;
	size_t count = 0;

	*ret_output = BYTES_NONE;
	for (size_t at = 0; nulstr_next(compilation->rest, &at, &argument);) {
		bool is_output = bytes_equal(argument, BYTES("-o"));

		if (is_preprocessing(argument))
			return 0;
		if (!takes_value(argument))
			count += is_source(argument);
		else if (nulstr_next(compilation->rest, &at, &argument) && is_output)
			*ret_output = argument;
	}
	return count;
}

/* A path, made absolute. */
static int put_path(FILE *out, struct bytes cwd, struct bytes path)
{
	size_t size = cwd.size + path.size + 1;
	_cleanup_free_ char *joined = NULL;

	if (path.data[0] == '/' || cwd.size == 0) {
		put_json(out, path);
		return 0;
	}
	joined = malloc(size);
	if (!joined)
		return -ENOMEM;
	memcpy(joined, cwd.data, cwd.size);
	joined[cwd.size] = '/';
	memcpy(joined + cwd.size + 1, path.data, path.size);
	/* Of "/" and a name. */
	put_json(out, cwd.size == 1 ? (struct bytes){ joined + 1, size - 1 } : (struct bytes){ joined, size });
	return 0;
}

/* All but the other sources. */
static void put_arguments(FILE *out, const struct compilation *compilation, const char *source)
{
	struct bytes argument;
	bool is_value = false;

	put_json(out, compilation->compiler);
	for (size_t at = 0; nulstr_next(compilation->rest, &at, &argument);) {
		if (is_value || argument.data == source || !is_source(argument)) {
			fputs(", ", out);
			put_json(out, argument);
		}
		is_value = !is_value && takes_value(argument);
	}
}

static int put_entry(FILE *out, const struct compilation *compilation, struct bytes source, struct bytes output)
{
	int r;

	fputs("  {\n    \"arguments\": [", out);
	put_arguments(out, compilation, source.data);
	fputs("],\n    \"directory\": ", out);
	put_json(out, compilation->cwd);
	fputs(",\n    \"file\": ", out);
	r = put_path(out, compilation->cwd, source);
	if (r == 0 && output.size > 0) {
		fputs(",\n    \"output\": ", out);
		r = put_path(out, compilation->cwd, output);
	}
	fputs("\n  }", out);
	return r;
}

static int put_program(FILE *out, const struct program *program, size_t *entries)
{
	struct compilation compilation;
	struct bytes argument, output;
	bool is_value = false;

	if (program->args_truncated || !get_compilation(program, &compilation) || is_below_a_compiler(program) ||
	    count_sources(&compilation, &output) == 0)
		return 0;
	for (size_t at = 0; nulstr_next(compilation.rest, &at, &argument);) {
		if (!is_value && is_source(argument)) {
			int r;

			fputs((*entries)++ > 0 ? ",\n" : "\n", out);
			r = put_entry(out, &compilation, argument, output);
			if (r < 0)
				return r;
		}
		is_value = !is_value && takes_value(argument);
	}
	return 0;
}

int export_compile_commands(FILE *out, struct recording *recording, const struct export_options *options)
{
	struct tallies tallies;
	size_t entries = 0;
	int r = tallies_make(&tallies, recording, tally_by_command);

	if (r < 0)
		return r;
	tallies_sort(&tallies, TALLY_NONE);
	fputc('[', out);
	for (size_t i = 0; i < tallies.count && r == 0; i++)
		r = put_program(out, tallies.all[i].program, &entries);
	fputs("\n]\n", out);
	tallies_free(&tallies);
	return r;
}
