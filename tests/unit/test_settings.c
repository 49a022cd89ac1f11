/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "settings/settings.h"

#include <errno.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "tap.h"

static char complaints[65536];
static unsigned count, warnings;

static void complain(void *userdata, int level, const char *message)
{
	if (level == LOG_ERR)
		count++;
	else
		warnings++;
	snprintf(complaints + strlen(complaints), sizeof(complaints) - strlen(complaints), "%s\n", message);
}

static void forget(void)
{
	complaints[0] = '\0';
	count = warnings = 0;
}

static int parse(struct settings **ret, const char *text)
{
	forget();
	return settings_parse(ret, "x.conf", text, strlen(text), complain, NULL);
}

/* The only complaint about that text. */
static void refused(const char *text, const char *complaint)
{
	struct settings *settings = NULL;

	CHECK_INT(parse(&settings, text), -EINVAL);
	CHECK(!settings);
	CHECK_STR(complaints, complaint);
}

static char *dump(const struct settings *settings)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	CHECK_INT(settings_dump(settings, f), 0);
	fclose(f);
	return text;
}

/* Parses, dumps, and reads the dump back to the same. */
static struct settings *taken(const char *text)
{
	struct settings *settings, *again;
	char *first, *second;

	if (parse(&settings, text) != 0)
		printf("# %s", complaints);
	CHECK_INT(count, 0);
	first = dump(settings);
	CHECK_INT(parse(&again, first), 0);
	second = dump(again);
	CHECK_STR(first, second);
	free(first);
	free(second);
	settings_free(again);
	return settings;
}

/* A line "key = part,part,.." of `count` parts. */
static char *list_line(char *to, const char *key, const char *part, unsigned times)
{
	to += sprintf(to, "%s = %s", key, part);
	for (unsigned i = 1; i < times; i++)
		to += sprintf(to, ",%s", part);
	return to + sprintf(to, "\n");
}

TEST(filter_limits_cover_all_keys_of_a_section)
{
	char text[8192], wrong[8192], *at = text + sprintf(text, "[journal]\n");

	at = list_line(list_line(at, "comm", "a", 128), "uid", "1", 128);
	settings_free(taken(text));
	/* Another section has a filter of its own. */
	at += sprintf(at, "[socket]\nppid = 1\n");
	settings_free(taken(text));
	strcpy(at, "[journal]\ngid = 5\n");
	refused(text, "x.conf:7: gid = 5: too many entries, at most 256 in all\n");
	at = list_line(text + sprintf(text, "[stdout]\n"), "args", "*a*", 128);
	strcpy(at, "exe = a*b\n");
	settings_free(taken(text));
	strcpy(at, "exe = *b*\n");
	refused(text, "x.conf:3: exe = *b*: too many patterns with text between two *, at most 128 in all\n");
	list_line(text + sprintf(text, "[stdout]\n"), "tree", "1", 65);
	strcpy(wrong, "x.conf:2: ");
	list_line(wrong + strlen(wrong), "tree", "1", 65);
	strcpy(wrong + strlen(wrong) - 1, ": too many trees, at most 64\n");
	refused(text, wrong);
}

TEST(defaults_are_those_of_the_manual)
{
	struct settings *s = taken("");

	CHECK_INT(s->probes.errors, ERRORS_AUTO);
	CHECK(!s->probes.forks && s->probes.kernel_threads);
	CHECK_INT(s->probes.ring_buffer, 8 << 20);
	CHECK_INT(s->probes.args_limit, 2 << 20);
	CHECK_INT(s->probes.table_memory, 256 << 20);
	CHECK(!s->probes.env && !s->probes.btf);
	CHECK(s->output.fields == KEYS_ALL);
	CHECK(s->socket.enabled && s->socket.snapshot);
	CHECK_STR(s->socket.path, "/run/execsnoopd/events.sock");
	CHECK_INT(s->socket.mode, 0660);
	CHECK_STR(s->socket.group, "execsnoopd");
	CHECK_INT(s->socket.max_subscribers, 256);
	CHECK_INT(s->socket.per_user, 0);
	CHECK_INT(s->socket.queue, 4 << 20);
	CHECK_INT(s->socket.snapshot_memory, 64 << 20);
	CHECK_INT(s->socket.slow, SLOW_DROP);
	CHECK(s->socket.output.fields == KEYS_ALL);
	CHECK(s->journal.enabled && !s->journal.snapshot);
	CHECK_INT(s->journal.queue, 4 << 20);
	CHECK(s->stdout_output.snapshot);
	CHECK(!s->redact.options && !s->redact.pattern);
	CHECK_INT(s->log.level, LOG_INFO);
	settings_free(s);
}

TEST(every_type_is_read)
{
	struct settings *s =
		taken("[probes]\nforks=YES\nkernel_threads = off\nring_buffer=100K\nargs_limit = 4k\n"
		      "table_memory=1G\nenv = LC_*, LANG\nbtf=/x/y\n[output]\nfields = basic, seq\n"
		      "[socket]\nmode=600\ngroup=\nslow=disconnect\nfields=pid\nuid = 0, !1000\n"
		      "[journal]\nfields=all\n[redact]\noptions = password, -p\npattern = a(b)c\npattern=x,y\n"
		      "[log]\nlevel = debug\n");

	CHECK(s->probes.forks && !s->probes.kernel_threads);
	CHECK_INT(s->probes.ring_buffer, 128 << 10); /* rounded up */
	CHECK_INT(s->probes.args_limit, 4096);
	CHECK_INT(s->probes.table_memory, 1 << 30);
	CHECK_STR(s->probes.env[1], "LANG");
	CHECK_STR(s->probes.btf, "/x/y");
	CHECK(s->output.fields == (KEYS_BASIC | KEY_BIT(KEY_SEQ)));
	CHECK_INT(s->socket.mode, 0600);
	CHECK(!s->socket.group);
	CHECK_INT(s->socket.slow, SLOW_DISCONNECT);
	CHECK(s->socket.output.fields == (KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID)));
	CHECK(s->stdout_output.output.fields == s->output.fields);
	CHECK(s->journal.output.fields == KEYS_ALL);
	CHECK_STR(s->socket.output.filter[FILTER_UID][1], "!1000");
	CHECK_STR(s->redact.options[1], "-p");
	CHECK_STR(s->redact.pattern[0], "a(b)c");
	CHECK_STR(s->redact.pattern[1], "x,y");
	CHECK(!s->redact.pattern[2]);
	CHECK_INT(s->log.level, LOG_DEBUG);
	settings_free(s);
}

/* What --dump-config prints for it, which reads back to the same. */
static void check_fields(const char *value, key_set keys, const char *dumped)
{
	char text[1024], expected[1024];
	struct settings *s;
	FILE *out;

	snprintf(text, sizeof(text), "[journal]\nfields = %s\n", value);
	for (int i = 0; i < 2; i++) {
		char *data = NULL;
		size_t size;

		s = taken(text);
		CHECK(s->journal.output.fields == keys);
		out = open_memstream(&data, &size);
		CHECK(out);
		CHECK_INT(settings_dump(s, out), 0);
		fclose(out);
		snprintf(expected, sizeof(expected), "\nfields = %s\n", dumped);
		CHECK(strstr(strstr(data, "[journal]"), expected));
		snprintf(text, sizeof(text), "[journal]\nfields = %s\n", dumped);
		free(data);
		settings_free(s);
	}
}

TEST(fields_are_a_union_of_presets_and_keys)
{
	check_fields("all", KEYS_ALL, "all");
	check_fields("host, all", KEYS_ALL | KEY_BIT(KEY_HOST), "all, host");
	check_fields("all, basic,user ,login_user", KEYS_ALL | KEY_BIT(KEY_USER) | KEY_BIT(KEY_LOGIN_USER),
		     "all, user, login_user");
	check_fields("history", KEYS_HISTORY, "history");
	check_fields("host, time, history", KEYS_HISTORY | KEY_BIT(KEY_TIME) | KEY_BIT(KEY_HOST),
		     "history, time, host");
	check_fields("history, all", KEYS_HISTORY | KEYS_ALL, "all, history");
	check_fields("pid, parent_args",
		     KEY_BIT(KEY_TYPE) | KEY_BIT(KEY_PID) | KEY_BIT(KEY_PARENT_ARGS) |
			     KEY_BIT(KEY_PARENT_ARGS_TRUNCATED),
		     "type, pid, parent_args, parent_args_truncated");
	for (int i = 0; i < 2; i++) {
		struct settings *s = taken(i == 0 ? "[output]\nfields = history\n[journal]\nfields = history, host\n"
						  : "[output]\nfields = history\n");

		CHECK(s->socket.output.fields == KEYS_HISTORY);
		CHECK(s->journal.output.fields == (i == 0 ? KEYS_HISTORY | KEY_BIT(KEY_HOST) : KEYS_HISTORY));
		settings_free(s);
	}
}

TEST(filters_are_dumped_as_given)
{
	struct settings *s = taken("[stdout]\nmin_running_time = 2min 3s\nresult = !success, core-*\nsecureexec=no\n");
	char *data = NULL;
	size_t size;
	FILE *out = open_memstream(&data, &size);

	CHECK(out);
	CHECK_INT(settings_dump(s, out), 0);
	fclose(out);
	CHECK(strstr(strstr(data, "[stdout]"), "\nmin_running_time = 2min 3s\n"));
	CHECK(strstr(strstr(data, "[stdout]"), "\nresult = !success, core-*\n"));
	CHECK(strstr(strstr(data, "[stdout]"), "\nsecureexec = no\n"));
	free(data);
	settings_free(s);
	refused("[stdout]\nmin_cpu = 1s, 2s\n", "x.conf:2: min_cpu = 1s, 2s: more than one value\n");
	refused("[stdout]\nresult = good\n", "x.conf:2: result = good: no such result\n");
}

TEST(errors_have_file_and_line)
{
	refused("[nonsense]\n", "x.conf:1: unknown section [nonsense]\n");
	refused("[probes]\n\nnonsense = 1\n", "x.conf:3: unknown key 'nonsense' in [probes]\n");
	refused("forks = yes\n", "x.conf:1: a key before any section\n");
	refused("[probes]\nforks = yes\nforks = yes\n", "x.conf:3: forks is given twice in this file\n");
	refused("[probes]\nforks = maybe\n", "x.conf:2: forks = maybe: not a boolean (yes or no)\n");
	refused("[probes]\nforks =\n", "x.conf:2: forks = : not a boolean (yes or no)\n");
	refused("[probes]\nforks\n", "x.conf:2: neither a section nor a key = value: forks\n");
	refused("[probes\n", "x.conf:1: a section is written as [NAME]\n");
	refused("[socket]\nmode = 0999\n", "x.conf:2: mode = 0999: not an octal mode from 0 to 0777\n");
	refused("[socket]\nmode = 1777\n", "x.conf:2: mode = 1777: not an octal mode from 0 to 0777\n");
	refused("[socket]\npath = here\n", "x.conf:2: path = here: not an absolute path\n");
	refused("[socket]\nmax_subscribers = 0\n", "x.conf:2: max_subscribers = 0: not between 1 and 65536\n");
	refused("[socket]\nmax_subscribers = -1\n", "x.conf:2: max_subscribers = -1: not a number\n");
	refused("[socket]\nmax_subscribers = 1K\n", "x.conf:2: max_subscribers = 1K: not a number\n");
	refused("[socket]\nslow = very\n", "x.conf:2: slow = very: not one of drop, disconnect\n");
	refused("[socket]\nfields = pid, pidd\n", "x.conf:2: fields = pid, pidd: unknown key 'pidd'\n");
	refused("[socket]\nuid = root\n", "x.conf:2: uid = root: not a number\n");
	/* And not again with each filter key that follows. */
	refused("[socket]\ntypes = some\ncomm = a\n", "x.conf:2: types = some: no such event type\n");
	refused("[socket]\nexe = a,,b\n", "x.conf:2: exe = a,,b: an entry of the list is empty\n");
	refused("[log]\nlevel = loud\n", "x.conf:2: level = loud: not one of error, warning, notice, info, debug\n");
	refused("[probes]\nerrors = some\n",
		"x.conf:2: errors = some: not one of auto, kprobe-multi, fexit, kprobe, tracepoint, off\n");
	refused("[probes]\n  forks = yes\n",
		"x.conf:2: the line begins with a blank; a value cannot continue on the next line\n");
}

TEST(sizes_do_not_overflow)
{
	refused("[probes]\ntable_memory = 99999999999999999999\n",
		"x.conf:2: table_memory = 99999999999999999999: not a size (a number, or one with K, M or G)\n");
	refused("[probes]\ntable_memory = 18446744073709551615G\n",
		"x.conf:2: table_memory = 18446744073709551615G: not between 0 and 1099511627776\n");
	refused("[probes]\nring_buffer = 2G\n", "x.conf:2: ring_buffer = 2G: not between 65536 and 1073741824\n");
	refused("[probes]\nring_buffer = 1\n", "x.conf:2: ring_buffer = 1: not between 65536 and 1073741824\n");
	refused("[probes]\nring_buffer = 8MB\n",
		"x.conf:2: ring_buffer = 8MB: not a size (a number, or one with K, M or G)\n");
	settings_free(taken("[probes]\nring_buffer = 1G\ntable_memory = 1024G\n"));
}

TEST(invalid_globs_and_patterns_are_refused)
{
	struct settings *s = NULL;

	CHECK_INT(parse(&s, "[probes]\nenv = A, [[.x.]]\n"), -EINVAL);
	CHECK(strncmp(complaints, "x.conf:2: env = ", 16) == 0);
	CHECK_INT(parse(&s, "[redact]\npattern = (\n"), -EINVAL);
	CHECK(strncmp(complaints, "x.conf:2: pattern = (: ", 23) == 0);
	CHECK_INT(parse(&s, "[redact]\noptions = password, --\n"), -EINVAL);
	CHECK(strncmp(complaints, "x.conf:2: options = ", 20) == 0);
	CHECK_INT(parse(&s, "[journal]\nexe = [[.x.]]\n"), -EINVAL);
	CHECK_INT(count, 1);
}

TEST(all_errors_are_reported_at_once)
{
	struct settings *s = NULL;

	CHECK_INT(parse(&s, "[probes]\nforks = 7\nx = 1\n[y]\n[log]\nlevel = info\nlevel = debug\nz\n"), -EINVAL);
	CHECK_INT(count, 5);
}

TEST(every_kind_of_line_is_parsed)
{
	static char line[20000] = "[socket]\nexe = ";
	struct settings *s = taken("\xef\xbb\xbf[probes]\r\nforks = yes\r\n\r\n# x\n; y\n   \n[log]\nlevel=info");

	CHECK(s->probes.forks);
	settings_free(s);
	s = taken("[socket]\nargs = a#b;c , %s , =, : , \"q\"\n");
	CHECK_STR(s->socket.output.filter[FILTER_ARGS][0], "a#b;c");
	CHECK_STR(s->socket.output.filter[FILTER_ARGS][1], "%s");
	CHECK_STR(s->socket.output.filter[FILTER_ARGS][2], "=");
	CHECK_STR(s->socket.output.filter[FILTER_ARGS][4], "\"q\"");
	settings_free(s);
	/* Whatever the INI library was built to do with them. */
	s = taken("[socket]\nargs = a ;b\texe: c\nexe = x # y\ncomm : z\n");
	CHECK_STR(s->socket.output.filter[FILTER_ARGS][0], "a ;b\texe: c");
	CHECK_STR(s->socket.output.filter[FILTER_EXE][0], "x # y");
	CHECK_STR(s->socket.output.filter[FILTER_COMM][0], "z");
	settings_free(s);
	refused("[log]\nlevel ;x = info\n", "x.conf:2: neither a section nor a key = value: level ;x = info\n");
	/* A line is never cut: it is taken, or refused. */
	memset(line + strlen(line), 'e', 4000);
	s = taken(line);
	CHECK_INT(strlen(s->socket.output.filter[FILTER_EXE][0]), 4000);
	settings_free(s);
	memset(line + strlen(line), 'e', 15000);
	refused(line, "x.conf:2: the line is too long\n");
	forget();
	CHECK_INT(settings_parse(&s, "x.conf", "[log]\nlevel = in\0fo\n", 20, complain, NULL), -EINVAL);
	CHECK_STR(complaints, "x.conf:2: the line contains a NUL byte\n");
}

/* Taken, and warned of once. */
static void doubted(const char *text, const char *warning)
{
	struct settings *settings = NULL;

	CHECK_INT(parse(&settings, text), 0);
	CHECK_INT(count, 0);
	CHECK_STR(complaints, warning);
	settings_free(settings);
}

TEST(suspicious_configuration_values_are_warned_about)
{
	doubted("[socket]\ncomm = curl, wget # x\n",
		"x.conf:2: warning: comm = curl, wget # x: a comment must be on its own line; here it is part of the value\n");
	doubted("[socket]\n\ngroup = \"adm\"\n", "x.conf:3: warning: group = \"adm\": quotes are part of a value\n");
	doubted("[journal]\nexe = /bin/a, !'/bin/b'\n",
		"x.conf:2: warning: exe = /bin/a, !'/bin/b': quotes are part of a value\n");
	doubted("[probes]\nenv = ; none\n",
		"x.conf:2: warning: env = ; none: a comment must be on its own line; here it is part of the value\n");
	doubted("[redact]\npattern = (AKIA[0-9A-Z]{16})\t;keys\n",
		"x.conf:2: warning: pattern = (AKIA[0-9A-Z]{16})\t;keys: a comment must be on its own line; here it is part of the value\n");
	doubted("[stdout]\ncomm = systemd-resolved\n",
		"x.conf:2: warning: comm = systemd-resolved: the comm of a process has at most 15 bytes, so this never matches\n");
}

TEST(unsuspicious_values_are_not_warned_about)
{
	doubted("[socket]\nargs = a#b;c, [#], *\"*, x[ ];y, it's\ncomm = systemd-resolve*, !systemd-resolve\n"
		"[redact]\npattern = a\"b|[ ]#\n",
		"");
}

TEST(repeated_errors_name_their_reason)
{
	refused("[log]\nlevel = \"info\"\n",
		"x.conf:2: level = \"info\": not one of error, warning, notice, info, debug; quotes are part of a value\n");
	refused("[probes]\nforks = yes # all\n",
		"x.conf:2: forks = yes # all: not a boolean (yes or no); a comment must be on its own line; here it is part of the value\n");
}

static char folder[] = "/tmp/execsnoopd-settings-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

TEST(dropins_are_read_in_order_of_names)
{
	struct settings *s = NULL;
	char path[256], command[300];

	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/e.conf", folder);
	/* The file itself may be absent, unless it was asked for. */
	forget();
	CHECK_INT(settings_load(&s, path, true, complain, NULL), -ENOENT);
	CHECK(strncmp(complaints, path, strlen(path)) == 0 && count == 1);
	CHECK_INT(settings_load(&s, path, false, complain, NULL), 0);
	settings_free(s);
	write_file("e.conf", "[probes]\nforks = yes\nargs_limit = 5K\n[redact]\npattern = a\n");
	snprintf(path, sizeof(path), "%s/e.conf.d", folder);
	CHECK(mkdir(path, 0700) == 0);
	write_file("e.conf.d/20.conf", "[probes]\nargs_limit = 20K\n[redact]\npattern = b\npattern = c\n");
	write_file("e.conf.d/10.conf", "[probes]\nargs_limit = 10K\n");
	write_file("e.conf.d/30.conf~", "nonsense");
	write_file("e.conf.d/.40.conf", "nonsense");
	snprintf(path, sizeof(path), "%s/e.conf", folder);
	forget();
	CHECK_INT(settings_load(&s, path, true, complain, NULL), 0);
	CHECK(s->probes.forks);
	CHECK_INT(s->probes.args_limit, 20 << 10);
	CHECK_STR(s->redact.pattern[0], "b");
	CHECK_STR(s->redact.pattern[1], "c");
	CHECK(!s->redact.pattern[2]);
	settings_free(s);
	s = NULL;
	/* Wrong in two files: both are reported, each with its name. */
	write_file("e.conf.d/10.conf", "[x]\n");
	write_file("e.conf.d/20.conf", "\n[y]\n");
	CHECK_INT(settings_load(&s, path, true, complain, NULL), -EINVAL);
	CHECK_INT(count, 2);
	CHECK(strstr(complaints, "/e.conf.d/10.conf:1: ") && strstr(complaints, "/e.conf.d/20.conf:2: "));
	CHECK(!s);
	/* A folder is no file. */
	forget();
	CHECK_INT(settings_load(&s, folder, true, complain, NULL), -EISDIR);
	CHECK_INT(count, 1);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CHECK(system(command) == 0);
}

/* Without a writer: to open it would wait. */
TEST(other_files_are_refused_at_once)
{
	struct settings *s = NULL;
	char path[256], expected[300], command[300];

	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/e.conf", folder);
	CHECK_INT(mkfifo(path, 0600), 0);
	tap_limit(10);
	forget();
	CHECK_INT(settings_load(&s, path, true, complain, NULL), -EBADFD);
	snprintf(expected, sizeof(expected), "%s: not a regular file\n", path);
	CHECK_STR(complaints, expected);
	CHECK_INT(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/e.conf.d", folder);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/e.conf.d/1.conf", folder);
	CHECK_INT(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/e.conf", folder);
	forget();
	CHECK_INT(settings_load(&s, path, false, complain, NULL), -EBADFD);
	snprintf(expected, sizeof(expected), "%s.d/1.conf: not a regular file\n", path);
	CHECK_STR(complaints, expected);
	forget();
	CHECK_INT(settings_load(&s, "/dev/zero", true, complain, NULL), -EBADFD);
	CHECK_STR(complaints, "/dev/zero: not a regular file\n");
	/* A link to it takes a drop-in out. */
	snprintf(path, sizeof(path), "%s/e.conf.d/1.conf", folder);
	CHECK_INT(unlink(path), 0);
	CHECK_INT(symlink("/dev/null", path), 0);
	snprintf(path, sizeof(path), "%s/e.conf", folder);
	CHECK_INT(settings_load(&s, path, false, complain, NULL), 0);
	settings_free(s);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CHECK(system(command) == 0);
}

/* conf/execsnoopd.conf: every key with its default, as a comment; filter keys in one section of three. */
TEST(installed_file_shows_every_default)
{
	static char text[65536];
	const char *top = getenv("top_srcdir");
	struct settings *shown, *defaults;
	char path[4096], line[1024], *first, *second;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/conf/execsnoopd.conf", top ? top : ".");
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		size_t name = strspn(line + 1, "abcdefghijklmnopqrstuvwxyz_");

		/* As shipped, the file sets nothing. */
		CHECK(line[0] == '#' || line[0] == '[' || line[0] == '\n');
		if (line[0] == '#' && name > 0 && strncmp(line + 1 + name, " =", 2) == 0) {
			size += (size_t)snprintf(text + size, sizeof(text) - size, "%s", line + 1);
		} else if (line[0] == '[') {
			size += (size_t)snprintf(text + size, sizeof(text) - size, "%s", line);
		}
	}
	fclose(f);
	shown = taken(text);
	defaults = taken("");
	first = dump(shown);
	second = dump(defaults);
	CHECK_STR(first, second);
	for (char *at = strtok(second, "\n"); at; at = strtok(NULL, "\n")) {
		size_t name = strspn(at, "abcdefghijklmnopqrstuvwxyz_");

		snprintf(line, sizeof(line), "\n%.*s =", (int)name, at);
		CHECK(name == 0 || strstr(text, line));
	}
	free(first);
	free(second);
	settings_free(shown);
	settings_free(defaults);
}

static void note_difference(void *userdata, const char *section, const char *name, const char *in_force,
			    const char *asked)
{
	FILE *out = userdata;

	fprintf(out, "%s.%s %s -> %s\n", section, name, in_force, asked);
}

TEST(settings_that_need_a_restart_are_compared)
{
	struct settings *begun = taken("[probes]\nenv = LANG\n"),
			*asked = taken(
				"[probes]\nerrors = off\nenv = LANG, HOME\nring_buffer = 100K\ntable_memory = 1M\n"
				"btf = /b\n[socket]\npath = /run/other\nmode = 0600\n[stdout]\nsnapshot = no\n");
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	CHECK_INT(settings_compare(begun, asked, note_difference, out), 0);
	CHECK_INT(settings_compare(asked, asked, note_difference, out), 0);
	fclose(out);
	CHECK_STR(text, "probes.errors auto -> off\nprobes.ring_buffer 8M -> 128K\nprobes.env LANG -> LANG, HOME\n"
			"probes.btf  -> /b\nsocket.path /run/execsnoopd/events.sock -> /run/other\n");
	free(text);
	settings_free(begun);
	settings_free(asked);
}

TAP_MAIN
