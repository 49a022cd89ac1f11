/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fnmatch.h>
#include <time.h>

#include "model/filter.h"
#include "util/glob.h"
#include <malloc.h>

#include "tap.h"
#include "util/pool.h"

/* Texts are compared from blocks of exactly their size, so that ASan and valgrind see a read beyond them. */
static bool matches(const char *pattern, const char *text, size_t size)
{
	_cleanup_(glob_free_p) struct glob *glob = NULL;
	_cleanup_free_ char *copy = malloc(size ? size : 1);
	const char *reason = "";

	CHECK(copy);
	memcpy(copy, text, size);
	CHECK_INT(glob_new(&glob, bytes_of(pattern), &reason), 0);
	return glob_match(glob, (struct bytes){ copy, size });
}

static bool m(const char *pattern, const char *text)
{
	return matches(pattern, text, strlen(text));
}

static const char *refused(const char *pattern)
{
	struct glob *glob = (struct glob *)&glob;
	const char *reason = NULL;

	CHECK_INT(glob_new(&glob, bytes_of(pattern), &reason), -EINVAL);
	CHECK(glob == (struct glob *)&glob);
	return reason;
}

TEST(glob_matches_as_a_shell_does)
{
	CHECK(m("", "") && !m("", "a") && !m("a", ""));
	CHECK(m("curl", "curl") && !m("curl", "curly") && !m("curl", "cur") && !m("curl", "Curl"));
	CHECK(m("*", "") && m("*", "a/b") && m("***", "x"));
	CHECK(m("a*", "a") && m("*a", "a") && m("*a*", "a") && !m("a*a", "a") && m("a*a", "aa"));
	CHECK(m("/usr/*/ls", "/usr/local/bin/ls") && !m("/usr/*/ls", "/usr/ls"));
	CHECK(m("*ab*ab", "abab") && !m("*ab*ab", "aab") && !m("*abab*ab", "abab"));
	CHECK(m("*.so*", "x.so") && m("*.so.?", "x.so.so.1") && !m("*.so.?", "x.so."));
	CHECK(m("?", "a") && m("?", "/") && m("?", ".") && !m("?", "") && !m("?", "ab"));
	CHECK(m("*?b", "xb") && !m("*?b", "b") && m("*a?c*", "xxabaacd") && !m("*a?c*", "xxabaad"));
	CHECK(m("\\*", "*") && !m("\\*", "a") && m("\\!x", "!x") && m("a\\", "a\\") && m("\\\\", "\\"));
}

TEST(glob_brackets_are_sets_of_bytes)
{
	CHECK(m("[abc]", "b") && !m("[abc]", "d") && !m("[abc]", "") && !m("[abc]", "ab"));
	CHECK(m("[a-c]x", "bx") && !m("[a-c]", "d") && m("[a-]", "-") && m("[-a]", "-") && !m("[c-a]", "b"));
	CHECK(m("[!a]", "b") && !m("[!a]", "a") && m("[^a]", "b") && !m("[^a]", "a") && m("[a!]", "!"));
	CHECK(m("[]]", "]") && m("[]a]", "a") && m("[!]]", "a") && !m("[!]]", "]"));
	CHECK(m("[\\]]", "]") && m("[a\\-c]", "-") && !m("[a\\-c]", "b") && m("[\\a-\\c]", "b"));
	CHECK(m("[", "[") && m("[a", "[a") && m("x[!", "x[!") && m("*[*", "a[b") && m("[]", "[]") && m("[\\", "[\\"));
	CHECK(m("[[]", "[") && m("[[a]", "a") && m("[[.]", ".") && m("[[:]", ":") && m("[[:a]", "a"));
	CHECK(m("[[:digit:]]", "7") && !m("[[:digit:]]", "d") && m("[![:space:]x]", "y") && !m("[![:space:]x]", "\t"));
	CHECK(m("[[:alpha:]-]", "-") && m("*[[:upper:]]*", "abCd") && !m("*[[:upper:]]*", "abcd"));
	CHECK_STR(refused("[[:letter:]]"), "no such character class");
	CHECK_STR(refused("[[.a.]]"), "[. .] and [= =] are not supported");
	CHECK_STR(refused("[[=a=]]"), "[. .] and [= =] are not supported");
}

TEST(glob_accepts_any_byte)
{
	char all[256];

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	CHECK(matches("*", all, sizeof(all)));
	CHECK(matches("*\x80*\xff", all, sizeof(all)));
	CHECK(matches("?", "\0", 1) && matches("?", "\xff", 1) && matches("a*b", "a\0b", 3));
	CHECK(matches("[\x80-\xff]", "\xc3", 1) && !matches("[\x80-\xff]", "a", 1));
	CHECK(matches("[!a]", "\xc3", 1) && !matches("[!a]", "\xc3\xa9", 2) && !matches("[[:alpha:]]", "\xe9", 1));
}

static char any_of(const char *set)
{
	return set[(size_t)rand() % strlen(set)];
}

TEST(glob_agrees_with_fnmatch)
{
	const unsigned rounds = (unsigned)tap_rounds(400000);
	unsigned n = 0, yes = 0;

	srand(1);
	for (unsigned i = 0; i < rounds; i++) {
		_cleanup_(glob_free_p) struct glob *glob = NULL;
		char pattern[12] = "", text[9] = "";
		const char *reason;
		size_t size = (size_t)rand() % sizeof(pattern), length = (size_t)rand() % sizeof(text);

		for (size_t k = 0; k < size; k++)
			pattern[k] = any_of(i % 2 ? "ab*?" : "ab/.]-*?[[!^\\");
		for (size_t k = 0; k < length; k++)
			text[k] = any_of(i % 2 ? "ab" : "ab/.]-[!^\\");
		/* glob.h says what a backslash at the end is; to fnmatch it is an error. */
		if (size > 0 && pattern[size - 1] == '\\')
			continue;
		/* glibc takes "[[." and an unclosed "[" with a backslash in it each in a way of its own. */
		if (strstr(pattern, "[.") || (strchr(pattern, '[') && strchr(pattern, '\\')))
			continue;
		CHECK_INT(glob_new(&glob, bytes_of(pattern), &reason), 0);
		n++;
		yes += glob_match(glob, bytes_of(text));
		if (glob_match(glob, bytes_of(text)) != (fnmatch(pattern, text, 0) == 0)) {
			printf("# '%s' on '%s'\n", pattern, text);
			CHECK(false);
		}
	}
	CHECK(n > rounds / 2 && yes > rounds / 40);
}

TEST(glob_time_is_bounded_whatever_the_pattern)
{
	enum { SIZE = 2 << 20 };
	_cleanup_free_ char *text = malloc(SIZE), *pattern = calloc(1, 4097);

	CHECK(text && pattern);
	memset(text, 'a', SIZE);
	tap_limit(20); /* with backtracking it would take longer than anyone waits */
	for (int i = 0; i < 4094; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[4094] = 'b';
	CHECK(!matches(pattern, text, SIZE));
	memcpy(pattern + 4094, "**", 2);
	CHECK(matches(pattern, text, SIZE));
	memset(pattern, 'a', 4096);
	memcpy(pattern, "*", 1);
	memcpy(pattern + 4094, "b*", 2);
	CHECK(!matches(pattern, text, SIZE));
	memset(pattern, 0, 4096);
	strcpy(pattern, "*??????????????????????????????????????????????????????????????[b]*");
	CHECK(!matches(pattern, text, SIZE));
	strcpy(pattern, "*a????????????????????????????????????????????????????????????????*");
	CHECK_STR(refused(pattern), "more than 64 bytes with ? or [] between two *");
	/* At the ends nothing is searched for. */
	CHECK(m("????????????????????????????????????????????????????????????????????*",
		"0123456789012345678901234567890123456789012345678901234567890123456789"));
	memset(pattern, 0, 4096);
	for (int i = 0; i < 65; i++)
		strcat(pattern, "[ab]");
	CHECK_STR(refused(pattern), "too many bracket expressions");
}

/* What a pattern means, by its definition: all[i][k] says whether the first i parts match the first k bytes. */
static bool matches_by_definition(const char *pattern, struct bytes text)
{
	bool now[65] = { true }, next[65];

	ASSERT(text.size < sizeof(now));
	for (const char *p = pattern; *p; p++) {
		const char *close = *p == '[' ? strchr(p, ']') : p;

		next[0] = *p == '*' && now[0];
		for (size_t k = 0; k < text.size; k++) {
			char c = text.data[k];
			bool in = false;

			for (const char *q = p + 1 + (p[1] == '!'); q < close; q++)
				in |= *q == c;
			if (*p == '*')
				next[k + 1] = now[k + 1] || next[k];
			else
				next[k + 1] = now[k] && (*p == '?' || (*p == '[' ? in != (p[1] == '!') : *p == c));
		}
		memcpy(now, next, sizeof(now));
		p = close;
	}
	return now[text.size];
}

/* The answer of a search that is cut into small pieces, and takes no more steps than it may. */
static bool matches_in_pieces(const struct glob *glob, size_t pattern, struct bytes text)
{
	struct glob_place place = { 0 };
	enum glob_result r = GLOB_MORE;
	int64_t took = 0;

	while (r == GLOB_MORE) {
		int64_t given = rand() % 20, steps = given;

		r = glob_search(glob, text, &place, &steps);
		took += given - steps;
		CHECK(took <= GLOB_STEPS_MAX(pattern, text.size));
	}
	return r == GLOB_YES;
}

TEST(glob_result_is_the_same_in_any_chunks)
{
	static const char *const parts[] = { "a", "b",	  "c",	  "ab",	 "*",	  "*",	"*",
					     "?", "[ab]", "[!a]", "[c]", "[!bc]", "aab" };
	const unsigned rounds = (unsigned)tap_rounds(1000000);
	unsigned yes = 0;

	srand(4);
	for (unsigned i = 0; i < rounds; i++) {
		_cleanup_(glob_free_p) struct glob *glob = NULL;
		char pattern[64] = "", text[64];
		const char *reason = "";
		struct bytes bytes = { text, (size_t)rand() % (i % 8 ? 12 : sizeof(text)) };
		bool should;

		for (int k = rand() % (i % 4 ? 6 : 12); k > 0; k--)
			strcat(pattern, parts[(size_t)rand() % (sizeof(parts) / sizeof(parts[0]))]);
		for (size_t k = 0; k < bytes.size; k++)
			text[k] = "aaabbc"[rand() % 6];
		CHECK_INT(glob_new(&glob, bytes_of(pattern), &reason), 0);
		should = matches_by_definition(pattern, bytes);
		yes += should;
		if (glob_match(glob, bytes) != should || matches_in_pieces(glob, strlen(pattern), bytes) != should) {
			printf("# '%s' on '%.*s'\n", pattern, (int)bytes.size, text);
			CHECK(false);
		}
	}
	CHECK(yes > rounds / 10 && yes < rounds / 10 * 9);
}

static uint64_t cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Patterns of 4 KiB each. What is quadratic takes seconds for one of them. */
TEST(glob_compiles_in_linear_time)
{
	static const char *const parts[] = { "[",   "[a",    "[.",     "[=",	     "[:",	    "[:a",
					     "[a-", "[!",    "[\\]",   "[]",	     "[a\\]",	    "[[:alpha:]",
					     "*[?", "*a?*b", "[[:x:]", "[\x01-\x7f", "[.\x01-\x7f", "*",
					     "\\[", "]",     "[[.]",   "[:.=]",	     "[a]",	    "*ab*" };
	uint64_t began = cpu_ms();

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t tail = 0; tail < 4; tail++) {
			_cleanup_(glob_free_p) struct glob *glob = NULL;
			const char *ends[] = { "", "]", ".]", ":]" }, *reason = NULL;
			char pattern[GLOB_SIZE_MAX + 1] = "";
			size_t size = strlen(parts[i]), used = 0;

			while (used + size + strlen(ends[tail]) <= GLOB_SIZE_MAX) {
				memcpy(pattern + used, parts[i], size);
				used += size;
			}
			strcpy(pattern + used, ends[tail]);
			CHECK(glob_new(&glob, bytes_of(pattern), &reason) == 0 || reason);
		}
	}
	printf("# %llu ms\n", (unsigned long long)(cpu_ms() - began));
	CHECK(cpu_ms() - began < 2000);
}

TEST(glob_limits_unclosed_brackets)
{
	char pattern[64] = "";

	for (int i = 0; i < 8; i++)
		strcat(pattern, "[\\]");
	CHECK(m(pattern, "[][][][][][][][]"));
	strcat(pattern, "[\\]");
	strcat(pattern, "\\]");
	CHECK_STR(refused(pattern), "too many unclosed [");
	CHECK(m("*[a[b[c[d[e[f[g[h[i[j", "x[a[b[c[d[e[f[g[h[i[j"));
}

/* A filter of "key=entry" strings. */
static struct filter *filter_of(const char *const *entries)
{
	struct filter *filter = NULL;
	const char *reason = "";

	CHECK_INT(filter_new(&filter), 0);
	for (; *entries; entries++) {
		const char *is = strchr(*entries, '=');
		enum filter_key key;

		CHECK(filter_key_by_name((struct bytes){ *entries, (size_t)(is - *entries) }, &key));
		CHECK_INT(filter_add(filter, key, bytes_of(is + 1), &reason), 0);
	}
	return filter;
}

static bool passes(const struct event *event, const char *const *entries)
{
	_cleanup_(filter_free_p) struct filter *filter = filter_of(entries);

	return filter_pass(filter, event);
}

#define PASSES(event, ...) passes((event), (const char *const[]){ __VA_ARGS__, NULL })

static const struct process curl = {
	.tgid = 100,
	.start = 7,
	.ppid = 50,
	.parent_start = 3,
	.uid = 1000,
	.gid = 4294967294,
	.comm = { "curl", 4 },
	.image = {
		.exe = { "/usr/bin/curl", 13 },
		.args = { "curl\0-O\0\0https://x.y/z", 23 },
		.argc = 4,
	},
};
static const struct event started = { .type = EVENT_STARTED, .process = &curl };

TEST(filter_keys_have_names)
{
	enum filter_key key;

	for (unsigned i = 0; i < FILTER_KEY_MAX; i++) {
		CHECK(filter_key_by_name(bytes_of(filter_key_name((enum filter_key)i)), &key));
		CHECK_INT(key, i);
	}
	CHECK(!filter_key_by_name(BYTES("gid_"), &key));
	CHECK(!filter_key_by_name(BYTES("pid "), &key));
	CHECK(!filter_key_by_name(BYTES(""), &key));
}

TEST(filter_without_entries_passes_everything)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;

	CHECK_INT(filter_new(&filter), 0);
	CHECK(filter_is_empty(filter));
	CHECK(!filter_has_tree(filter));
	CHECK(filter_pass(filter, &started));
	CHECK(filter_entry(filter, FILTER_PID, 0) == NULL);
}

TEST(filter_numbers_are_exact)
{
	CHECK(PASSES(&started, "pid=100") && !PASSES(&started, "pid=10") && !PASSES(&started, "pid=1000"));
	CHECK(PASSES(&started, "pid=00100") && PASSES(&started, "pid=1", "pid=100", "pid=2"));
	CHECK(PASSES(&started, "ppid=50") && !PASSES(&started, "ppid=100"));
	CHECK(PASSES(&started, "uid=1000") && !PASSES(&started, "uid=0"));
	CHECK(PASSES(&started, "gid=4294967294") && !PASSES(&started, "gid=4294967295"));
}

/* Every list of up to four entries of two keys, in every order, against what the words of filter.h say. */
TEST(filter_numbers_in_every_order)
{
	static const struct {
		const char *entry;
		bool uid, excludes, matches;
	} all[] = {
		{ "uid=1000", true, false, true }, { "uid=1", true, false, false },   { "uid=!1000", true, true, true },
		{ "uid=!1", true, true, false },   { "pid=100", false, false, true }, { "pid=1", false, false, false },
		{ "pid=!100", false, true, true },
	};
	enum { N = sizeof(all) / sizeof(all[0]) };
	size_t passed = 0, tried = 0;

	for (size_t list = 0; list < N * N * N * N; list++) {
		const char *entries[5] = { 0 };
		bool plain[2] = { 0 }, found[2] = { 0 }, excluded = false;

		for (size_t i = 0, rest = list; i < 4; i++, rest /= N) {
			size_t which = rest % N;

			entries[i] = all[which].entry;
			plain[all[which].uid] |= !all[which].excludes;
			found[all[which].uid] |= !all[which].excludes && all[which].matches;
			excluded |= all[which].excludes && all[which].matches;
		}
		for (size_t key = 0; key < 2; key++)
			excluded |= plain[key] && !found[key];
		CHECK(passes(&started, entries) == !excluded);
		passed += !excluded;
		tried++;
	}
	CHECK(passed > tried / 20 && passed < tried / 2);
}

TEST(filter_strings_are_globs)
{
	CHECK(PASSES(&started, "comm=curl") && PASSES(&started, "comm=c*l") && !PASSES(&started, "comm=cur"));
	CHECK(PASSES(&started, "exe=/usr/*") && PASSES(&started, "exe=*/curl") && !PASSES(&started, "exe=curl"));
	CHECK(!PASSES(&started, "exe=/usr/bin/curl ") && PASSES(&started, "exe=/bin/*", "exe=/usr/bin/*"));
}

TEST(filter_args_needs_one_argument_that_matches)
{
	CHECK(PASSES(&started, "args=-O") && PASSES(&started, "args=https:*") && PASSES(&started, "args="));
	CHECK(!PASSES(&started, "args=-o") && !PASSES(&started, "args=curl -O") && !PASSES(&started, "args=curl*O"));
	CHECK(!PASSES(&started, "args=!-O") && PASSES(&started, "args=!-o") && !PASSES(&started, "args=!*"));
	CHECK(!PASSES(&started, "args=-O", "args=!*x.y*") && PASSES(&started, "args=-O", "args=!*a.b*"));
}

TEST(filter_excluding_entries_win_at_any_place)
{
	CHECK(!PASSES(&started, "comm=!curl") && PASSES(&started, "comm=!wget"));
	CHECK(!PASSES(&started, "comm=c*", "comm=!curl") && !PASSES(&started, "comm=!curl", "comm=c*"));
	CHECK(!PASSES(&started, "comm=c*", "comm=cu*", "comm=!curl"));
	CHECK(PASSES(&started, "comm=!a*", "comm=!b*") && !PASSES(&started, "comm=!a*", "comm=!*"));
	CHECK(!PASSES(&started, "comm=wget", "comm=!nc"));
	CHECK(!PASSES(&started, "pid=!100") && PASSES(&started, "pid=!99") && PASSES(&started, "comm=!!curl"));
}

TEST(filter_keys_must_all_pass)
{
	CHECK(PASSES(&started, "comm=curl", "uid=1000", "types=started"));
	CHECK(!PASSES(&started, "comm=curl", "uid=0", "types=started"));
	CHECK(!PASSES(&started, "comm=curl", "uid=1000", "types=!started"));
}

TEST(filter_key_without_value_matches_no_entry)
{
	CHECK(!PASSES(&started, "unit=*") && PASSES(&started, "unit=!*"));
	CHECK(!PASSES(&started, "cgroup=*") && !PASSES(&started, "container_id=*") && !PASSES(&started, "filename=*"));
	CHECK(!PASSES(&started, "error=*") && PASSES(&started, "error=!*") && !PASSES(&started, "error=2"));
}

TEST(filter_types_by_name)
{
	struct event exited = { .type = EVENT_EXITED, .process = &curl };

	CHECK(PASSES(&started, "types=started") && !PASSES(&exited, "types=started"));
	CHECK(PASSES(&exited, "types=started", "types=exited") && !PASSES(&exited, "types=!exited"));
}

TEST(filter_error_by_name_glob_or_number)
{
	struct event error = { .type = EVENT_ERROR, .process = &curl, .error = ENOENT };

	CHECK(PASSES(&error, "error=ENOENT") && PASSES(&error, "error=2") && PASSES(&error, "error=-2"));
	CHECK(PASSES(&error, "error=ENO*") && PASSES(&error, "error=*") && !PASSES(&error, "error=EACC*"));
	CHECK(!PASSES(&error, "error=EACCES") && !PASSES(&error, "error=13") && !PASSES(&error, "error=-22"));
	CHECK(!PASSES(&error, "error=!ENOENT") && !PASSES(&error, "error=!2") && PASSES(&error, "error=!EACCES"));
	error.error = 4000;
	CHECK(!PASSES(&error, "error=*") && PASSES(&error, "error=4000") && PASSES(&error, "error=-4000"));
}

TEST(filter_result_by_name_or_glob)
{
	struct event exited = { .type = EVENT_EXITED, .process = &curl, .end = { .status_known = true } };
	struct event unknown = { .type = EVENT_EXITED, .process = &curl };

	CHECK(PASSES(&exited, "result=success") && !PASSES(&exited, "result=!success"));
	CHECK(PASSES(&exited, "result=*") && PASSES(&exited, "result=exit-code", "result=s*"));
	exited.end.status = 9;
	CHECK(PASSES(&exited, "result=signal") && PASSES(&exited, "result=!success") && PASSES(&exited, "result=s*"));
	CHECK(!PASSES(&exited, "result=success", "result=core-dump") && !PASSES(&exited, "result=core-dump"));
	exited.end.status = 9 | 0x80;
	CHECK(PASSES(&exited, "result=core-dump") && !PASSES(&exited, "result=s*"));
	exited.end.status = 0x100;
	CHECK(PASSES(&exited, "result=exit-code") && PASSES(&exited, "result=*-*"));
	/* An event without a result matches no entry. */
	CHECK(!PASSES(&started, "result=*") && PASSES(&started, "result=!*") && PASSES(&started, "result=!success"));
	CHECK(!PASSES(&unknown, "result=*") && PASSES(&unknown, "result=!success"));
}

TEST(filter_minimum_is_of_ends_alone)
{
	struct event exited = {
		.type = EVENT_EXITED,
		.process = &curl,
		.end = { .running_ns = 1500000000, .cpu_known = true, .cpu_user_ns = 60, .cpu_system_ns = 40 },
	};

	CHECK(PASSES(&exited, "min_running_time=1500ms") && PASSES(&exited, "min_running_time=1.5s"));
	CHECK(PASSES(&exited, "min_running_time=1") && PASSES(&exited, "min_running_time=0"));
	CHECK(!PASSES(&exited, "min_running_time=1500001us") && !PASSES(&exited, "min_running_time=2min 3s"));
	CHECK(PASSES(&exited, "min_cpu=100ns") && !PASSES(&exited, "min_cpu=101ns"));
	CHECK(!PASSES(&exited, "min_cpu=100ns", "min_running_time=2s"));
	exited.end.cpu_known = false;
	CHECK(!PASSES(&exited, "min_cpu=0"));
	/* More than the 32 bits of other numbers. */
	CHECK(!PASSES(&exited, "min_running_time=4294967296ns") && !PASSES(&exited, "min_running_time=1w"));
	CHECK(!PASSES(&started, "min_running_time=0") && !PASSES(&started, "min_cpu=0"));
}

TEST(filter_loginuid_may_be_unset)
{
	struct process process = curl;
	struct event event = { .type = EVENT_STARTED, .process = &process };

	process.loginuid = 1000;
	CHECK(PASSES(&event, "loginuid=1000") && PASSES(&event, "loginuid=!unset") && !PASSES(&event, "loginuid=100"));
	process.loginuid = PROCESS_UNSET;
	CHECK(PASSES(&event, "loginuid=unset") && PASSES(&event, "loginuid=4294967295"));
	CHECK(!PASSES(&event, "loginuid=!unset") && !PASSES(&event, "loginuid=0") && PASSES(&event, "loginuid=!0"));
}

TEST(filter_parent_cwd_pod_and_secureexec)
{
	struct process process = curl;
	struct event event = { .type = EVENT_STARTED, .process = &process };

	CHECK(!PASSES(&event, "parent_comm=*") && !PASSES(&event, "cwd=*"));
	process.parent_comm = BYTES("bash");
	process.image.cwd = BYTES("/srv/www");
	CHECK(PASSES(&event, "parent_comm=ba*") && !PASSES(&event, "parent_comm=curl"));
	CHECK(PASSES(&event, "cwd=/srv/*") && !PASSES(&event, "cwd=/srv") && !PASSES(&event, "cwd=!*www"));
	CHECK(!PASSES(&event, "pod_uid=*"));
	process.image.pod_uid = BYTES("c0ffee00-0000");
	CHECK(PASSES(&event, "pod_uid=c0ffee*") && !PASSES(&event, "pod_uid=c0ffee"));
	CHECK(PASSES(&event, "secureexec=no") && !PASSES(&event, "secureexec=yes") &&
	      PASSES(&event, "secureexec=!yes"));
	process.image.secureexec = true;
	CHECK(PASSES(&event, "secureexec=YES") && PASSES(&event, "secureexec=1") && !PASSES(&event, "secureexec=off"));
}

TEST(filter_lost_and_live_always_pass)
{
	struct event lost = { .type = EVENT_LOST }, live = { .type = EVENT_LIVE };

	CHECK(PASSES(&lost, "types=exited", "pid=1", "tree=1", "comm=x"));
	CHECK(PASSES(&lost, "types=!lost") && PASSES(&live, "types=started", "args=!*"));
}

static void check_refused(enum filter_key key, struct bytes entry, int error, const char *reason)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	const char *given = "";

	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, key, entry, &given), error);
	CHECK_STR(given, reason);
	CHECK(filter_is_empty(filter));
}

TEST(filter_refuses_invalid_values)
{
	static const char *const no_numbers[] = { "",	"!", "-1",	   "+1",  " 1",	  "1 ",
						  "1x", "x", "4294967296", "!!1", "0x10", "99999999999999999999999",
						  "1*" };

	for (size_t i = 0; i < sizeof(no_numbers) / sizeof(no_numbers[0]); i++) {
		check_refused(FILTER_PID, bytes_of(no_numbers[i]), -EINVAL, "not a number");
		check_refused(FILTER_TREE, bytes_of(no_numbers[i]), -EINVAL, "not a number");
		check_refused(FILTER_UID, bytes_of(no_numbers[i]), -EINVAL, "not a number");
	}
	check_refused(FILTER_TYPES, BYTES("start"), -EINVAL, "no such event type");
	check_refused(FILTER_TYPES, BYTES("*"), -EINVAL, "no such event type");
	check_refused(FILTER_TYPES, BYTES(""), -EINVAL, "no such event type");
	check_refused(FILTER_ERROR, BYTES("ENOEND"), -EINVAL, "no such error");
	check_refused(FILTER_ERROR, BYTES("0"), -EINVAL, "no such error");
	check_refused(FILTER_ERROR, BYTES("!4096"), -EINVAL, "no such error");
	check_refused(FILTER_ERROR, BYTES("--2"), -EINVAL, "no such error");
	check_refused(FILTER_ERROR, BYTES(""), -EINVAL, "no such error");
	check_refused(FILTER_COMM, BYTES("a\0b"), -EINVAL, "has a NUL byte");
	check_refused(FILTER_RESULT, BYTES("failure"), -EINVAL, "no such result");
	check_refused(FILTER_RESULT, BYTES("!x*"), -EINVAL, "no such result");
	check_refused(FILTER_RESULT, BYTES("[[:x:]]"), -EINVAL, "no such character class");
	check_refused(FILTER_LOGINUID, BYTES("-1"), -EINVAL, "neither a number nor unset");
	check_refused(FILTER_SECUREEXEC, BYTES("maybe"), -EINVAL, "not a boolean (yes or no)");
	check_refused(FILTER_SECUREEXEC, BYTES(""), -EINVAL, "not a boolean (yes or no)");
	check_refused(FILTER_MIN_CPU, BYTES(""), -EINVAL, "not a duration (as 100ms or 2min 3s)");
	check_refused(FILTER_MIN_CPU, BYTES("5 parsecs"), -EINVAL, "not a duration (as 100ms or 2min 3s)");
	check_refused(FILTER_MIN_RUNNING_TIME, BYTES("584600y"), -EINVAL, "not a duration (as 100ms or 2min 3s)");
	check_refused(FILTER_MIN_RUNNING_TIME, BYTES("!1s"), -EINVAL, "cannot exclude");
	check_refused(FILTER_COMM, BYTES("[[:x:]]"), -EINVAL, "no such character class");
}

TEST(filter_minimum_has_one_value)
{
	_cleanup_(filter_free_p) struct filter *filter = filter_of((const char *const[]){ "min_cpu=1s", NULL });
	const char *reason = "";

	CHECK_INT(filter_add(filter, FILTER_MIN_CPU, BYTES("2s"), &reason), -EINVAL);
	CHECK_STR(reason, "more than one value");
	CHECK_STR(filter_entry(filter, FILTER_MIN_CPU, 0), "1s");
	CHECK(!filter_entry(filter, FILTER_MIN_CPU, 1));
}

TEST(filter_limits_its_entries)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	_cleanup_free_ char *text = malloc(FILTER_ENTRY_SIZE_MAX + 1);
	const char *reason = "";

	CHECK(text);
	memset(text, 'x', FILTER_ENTRY_SIZE_MAX + 1);
	CHECK_INT(filter_new(&filter), 0);
	CHECK_INT(filter_add(filter, FILTER_EXE, (struct bytes){ text, FILTER_ENTRY_SIZE_MAX + 1 }, &reason), -E2BIG);
	CHECK_STR(reason, "too long, at most 4096 bytes");
	CHECK_INT(filter_add(filter, FILTER_EXE, (struct bytes){ text, FILTER_ENTRY_SIZE_MAX }, &reason), 0);
	for (int i = 1; i < FILTER_ENTRIES_MAX; i++)
		CHECK_INT(filter_add(filter, i % 2 ? FILTER_PID : FILTER_COMM, BYTES("1"), &reason), 0);
	CHECK_INT(filter_add(filter, FILTER_UID, BYTES("1"), &reason), -E2BIG);
	CHECK_STR(reason, "too many entries, at most 256 in all");
	CHECK(filter_entry(filter, FILTER_UID, 0) == NULL);
}

static int add(struct filter *filter, enum filter_key key, const char *entry, const char **reason)
{
	return filter_add(filter, key, bytes_of(entry), reason);
}

TEST(filter_limits_its_cost)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL, *tables = NULL, *large = NULL;
	_cleanup_free_ char *text = malloc(FILTER_ENTRY_SIZE_MAX);
	const char *reason = "";

	CHECK_INT(filter_new(&filter), 0);
	for (int i = 0; i < FILTER_SEARCHES_MAX; i++)
		CHECK_INT(add(filter, i % 2 ? FILTER_ARGS : FILTER_EXE, i % 3 ? "*a*" : "!x*a?*", &reason), 0);
	CHECK_INT(add(filter, FILTER_COMM, "*a*", &reason), -E2BIG);
	CHECK_STR(reason, "too many patterns with text between two *, at most 128 in all");
	CHECK_INT(add(filter, FILTER_COMM, "a?*[bc]", &reason), 0);
	CHECK(filter_entry(filter, FILTER_COMM, 1) == NULL);
	for (int i = 0; i < FILTER_TREES_MAX; i++)
		CHECK_INT(add(filter, FILTER_TREE, "!1", &reason), 0);
	CHECK_INT(add(filter, FILTER_TREE, "1", &reason), -E2BIG);
	CHECK_STR(reason, "too many trees, at most 64");
	CHECK_INT(filter_new(&tables), 0);
	CHECK_INT(add(tables, FILTER_ARGS, "*?*[a]*", &reason), 0);
	for (int i = 2; i < FILTER_TABLES_MAX; i++)
		CHECK_INT(add(tables, FILTER_ARGS, "*?*", &reason), 0);
	CHECK_INT(add(tables, FILTER_ARGS, "*[a]*", &reason), -E2BIG);
	CHECK_STR(reason, "too many parts with ? or [] between two *, at most 64 in all");
	CHECK_INT(add(tables, FILTER_ARGS, "*a*", &reason), 0);
	CHECK_INT(filter_new(&large), 0);
	CHECK(text);
	memset(text, 'x', FILTER_ENTRY_SIZE_MAX);
	for (int i = 0; i < FILTER_SIZE_MAX / FILTER_ENTRY_SIZE_MAX; i++)
		CHECK_INT(filter_add(large, FILTER_EXE, (struct bytes){ text, FILTER_ENTRY_SIZE_MAX }, &reason), 0);
	CHECK_INT(add(large, FILTER_EXE, "x", &reason), -E2BIG);
	CHECK_STR(reason, "too much text, at most 65536 bytes in all");
}

/* Whatever pieces the steps come in, the answer is the same, and each call takes hardly more than it was given. */
TEST(filter_result_is_the_same_in_any_chunks)
{
	static const char *const entries[] = { "args=!*x?z*",	  "args=*O*",	    "args=h*://*", "exe=*bin*",
					       "exe=!*/n?*",	  "comm=c*",	    "uid=1000",	   "pid=!7",
					       "error=!E*",	  "args=*nowhere*", "exe=*q*",	   "comm=*u*",
					       "args=!*nowhere*", "tree=!5",	    "args=*-*O*",  "args=" };
	const unsigned rounds = (unsigned)tap_rounds(100000);
	unsigned yes = 0;

	srand(5);
	for (unsigned i = 0; i < rounds; i++) {
		const char *some[5] = { 0 };
		_cleanup_(filter_free_p) struct filter *filter = NULL;
		struct filter_place place = { 0 };
		enum filter_result r = FILTER_MORE;

		for (int k = rand() % 5; k > 0; k--)
			some[k - 1] = entries[(size_t)rand() % (sizeof(entries) / sizeof(entries[0]))];
		filter = filter_of(some);
		while (r == FILTER_MORE) {
			int64_t steps = 1 + rand() % 30;

			r = filter_try(filter, &started, &place, &steps);
			CHECK(steps > -200);
		}
		CHECK((r == FILTER_YES) == filter_pass(filter, &started));
		yes += r == FILTER_YES;
	}
	CHECK(yes > rounds / 10 && yes < rounds / 10 * 9);
}

TEST(filter_lists_its_entries)
{
	_cleanup_(filter_free_p) struct filter *filter =
		filter_of((const char *const[]){ "comm=!b*", "comm=a", "error=-2", "pid=007", NULL });

	CHECK_STR(filter_entry(filter, FILTER_COMM, 0), "!b*");
	CHECK_STR(filter_entry(filter, FILTER_COMM, 1), "a");
	CHECK(filter_entry(filter, FILTER_COMM, 2) == NULL);
	CHECK_STR(filter_entry(filter, FILTER_ERROR, 0), "-2");
	CHECK_STR(filter_entry(filter, FILTER_PID, 0), "007");
	CHECK(!filter_is_empty(filter));
}

/* Trees. A process's start is its tgid plus 1000, unless it says otherwise. */

static struct process child_of(uint32_t tgid, uint32_t ppid)
{
	return (struct process){
		.tgid = tgid,
		.start = tgid + 1000,
		.ppid = ppid,
		.parent_start = ppid ? ppid + 1000 : 0,
		.comm = BYTES("x"),
	};
}

static bool process_passes(const struct filter *filter, struct process process)
{
	struct event event = { .type = EVENT_EXITED, .process = &process };

	return filter_pass(filter, &event);
}

static void fork_(struct filter *filter, uint32_t tgid, uint32_t ppid)
{
	struct process child = child_of(tgid, ppid);

	CHECK_INT(filter_fork(filter, &child), 0);
}

static void exit_(struct filter *filter, uint32_t tgid, uint32_t ppid)
{
	struct process process = child_of(tgid, ppid);

	filter_exit(filter, &process);
}

TEST(tree_has_the_running_descendants)
{
	static const uint32_t pids[][2] = { { 1, 0 }, { 10, 1 }, { 11, 10 }, { 12, 11 }, { 20, 1 }, { 21, 20 } };
	_cleanup_(proctable_free_p) struct proctable *table = NULL;
	_cleanup_(filter_free_p) struct filter *filter = filter_of((const char *const[]){ "tree=10", NULL });

	CHECK_INT(proctable_new(&table, 1 << 20), 0);
	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		struct process process = child_of(pids[i][0], pids[i][1]);
		struct entry *entry;

		CHECK_INT(proctable_add(table, &entry, &process), 0);
	}
	CHECK(filter_has_tree(filter));
	CHECK_INT(filter_follow(filter, table), 0);
	CHECK_INT(filter_follow(filter, table), 0); /* again changes nothing */
	CHECK(!process_passes(filter, child_of(1, 0)));
	CHECK(process_passes(filter, child_of(10, 1)));
	CHECK(process_passes(filter, child_of(11, 10)));
	CHECK(process_passes(filter, child_of(12, 11)));
	CHECK(!process_passes(filter, child_of(20, 1)));
	CHECK(!process_passes(filter, child_of(21, 20)));
	exit_(filter, 12, 11);
	exit_(filter, 12, 11);
	CHECK(process_passes(filter, child_of(11, 10)));
}

TEST(tree_grows_with_forks_and_keeps_orphans)
{
	_cleanup_(filter_free_p) struct filter *filter = filter_of((const char *const[]){ "tree=10", NULL });
	struct process orphan = child_of(12, 1), namesake = child_of(12, 1);

	fork_(filter, 10, 1); /* the root comes later than the filter */
	fork_(filter, 11, 10);
	fork_(filter, 12, 11);
	fork_(filter, 30, 1);
	CHECK(process_passes(filter, child_of(11, 10))); /* its exited, before the exit is noted */
	exit_(filter, 11, 10);
	exit_(filter, 10, 1);
	CHECK(process_passes(filter, orphan));
	fork_(filter, 13, 12);
	exit_(filter, 12, 1);
	CHECK(process_passes(filter, child_of(13, 12)));
	CHECK(!process_passes(filter, child_of(30, 1)));
	/* The pid again, another process. */
	namesake.start++;
	CHECK(!process_passes(filter, namesake));
	namesake = child_of(11, 1);
	CHECK(!process_passes(filter, namesake));
	/* A child that has the dead root's pid as its ppid, of another process that had it: in no tree. */
	namesake = child_of(40, 10);
	namesake.parent_start = 5;
	CHECK(!process_passes(filter, namesake));
}

TEST(tree_includes_a_process_whose_fork_was_lost)
{
	_cleanup_(filter_free_p) struct filter *filter = filter_of((const char *const[]){ "tree=10", NULL });

	fork_(filter, 10, 1);
	CHECK(process_passes(filter, child_of(11, 10)));
	CHECK(!process_passes(filter, child_of(12, 11)));
	fork_(filter, 11, 10); /* reported late, by a resync */
	CHECK(process_passes(filter, child_of(12, 11)));
}

TEST(tree_can_be_excluded_from_another)
{
	_cleanup_(filter_free_p) struct filter *filter =
		filter_of((const char *const[]){ "tree=!12", "tree=10", "tree=20", NULL });
	_cleanup_(filter_free_p) struct filter *all_but = filter_of((const char *const[]){ "tree=!12", NULL });
	static const uint32_t pids[][2] = { { 10, 1 }, { 11, 10 }, { 12, 10 }, { 13, 12 },
					    { 20, 1 }, { 21, 20 }, { 30, 1 } };
	static const bool in[] = { true, true, false, false, true, true, false };

	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		fork_(filter, pids[i][0], pids[i][1]);
		fork_(all_but, pids[i][0], pids[i][1]);
	}
	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		CHECK_INT(process_passes(filter, child_of(pids[i][0], pids[i][1])), in[i]);
		CHECK_INT(process_passes(all_but, child_of(pids[i][0], pids[i][1])), in[i] || pids[i][0] == 30);
	}
}

/* Random forks and exits of up to 20,000 processes, against a plain array. */
TEST(tree_matches_a_model_after_many_forks_and_exits)
{
	enum { PIDS = 20000 };
	static struct {
		uint32_t ppid;
		uint64_t start, parent_start;
		bool alive, member;
	} all[PIDS];
	_cleanup_(filter_free_p) struct filter *filter = filter_of((const char *const[]){ "tree=77", NULL });
	unsigned members = 0;

	srand(2);
	all[1].alive = true;
	all[1].start = 1;
	for (uint64_t clock = 2; clock < (uint64_t)tap_rounds(500000); clock++) {
		uint32_t pid = clock < 80 ? (uint32_t)clock : 2 + (uint32_t)rand() % (PIDS - 2);
		uint32_t parent = pid > 77 && rand() % 2 ? 77 : (uint32_t)rand() % PIDS;
		struct process process = { .tgid = pid };

		if (!all[parent].alive)
			parent = 1;
		if (!all[pid].alive) {
			all[pid].ppid = parent;
			all[pid].start = clock;
			all[pid].parent_start = all[parent].start;
			all[pid].member = pid == 77 || all[parent].member;
		}
		process.ppid = all[pid].ppid;
		process.start = all[pid].start;
		process.parent_start = all[pid].parent_start;
		if (!all[pid].alive)
			CHECK_INT(filter_fork(filter, &process), 0);
		CHECK_INT(process_passes(filter, process), all[pid].member);
		members += all[pid].member;
		if (all[pid].alive)
			filter_exit(filter, &process);
		all[pid].alive = !all[pid].alive;
	}
	CHECK(members > 1000);
}

static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

TEST(filter_reports_its_memory)
{
	static const char *const patterns[] = { "*a*b*c*d*e*f*g*h*", "*?x*[a-z]y*[0-9]?*", "[a][b][c][d][e][f][g]",
						"plain", "!*" };
	size_t before = in_use(), taken, entries = 0;
	struct filter *filter;
	const char *reason;

	CHECK_INT(filter_new(&filter), 0);
	for (unsigned i = 0; i < 200; i++)
		entries += filter_add(filter, FILTER_ARGS, bytes_of(patterns[i % 5]), &reason) == 0;
	CHECK(entries > 100);
	taken = in_use() - before;
	if (!POOL_DISABLED && !getenv("VALGRIND"))
		/* But for what malloc(3) keeps of blocks that were given back. */
		CHECK(filter_memory(filter) / 10 * 11 >= taken && taken >= filter_memory(filter) / 10 * 8);
	CHECK(filter_memory(NULL) == 0 && filter_memory(filter) > entries * 100);
	filter_free(filter);
}

TAP_MAIN
