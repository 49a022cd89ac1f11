/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What matches is compared with regexec(3): over random patterns and all parts of random texts, each byte is masked if
 * and only if some part that holds it matches as a whole. The rest is what regexec does otherwise, or not at all.
 */
#include <errno.h>
#include <locale.h>
#include <regex.h>
#include <time.h>

#include "tap.h"
#include "util/ere.h"

static struct ere *compiled(const char *pattern)
{
	struct ere *ere = NULL;
	const char *reason = NULL;

	if (ere_new(&ere, pattern, &reason) < 0)
		printf("# %s: %s\n", pattern, reason);
	CHECK(ere);
	return ere;
}

static bool matches(const struct ere *ere, struct bytes text)
{
	int64_t steps = INT64_MAX;

	return ere_match(ere, text, &steps) == ERE_YES;
}

/* The text with '#' for each byte that is masked. */
static const char *masked_bytes(const char *pattern, struct bytes text)
{
	static char result[2000];
	_cleanup_(ere_free_p) struct ere *ere = compiled(pattern);
	unsigned char *mask = calloc(1, text.size ? text.size : 1);
	char *copy = malloc(text.size ? text.size : 1);
	bool some = false;

	CHECK(mask && copy && text.size < sizeof(result));
	memcpy(copy, text.data, text.size);
	text.data = copy;
	CHECK_INT(ere_mask(ere, text, mask), 0);
	for (size_t i = 0; i < text.size; i++) {
		result[i] = mask[i] ? '#' : text.data[i];
		some |= mask[i];
	}
	result[text.size] = '\0';
	if (some)
		CHECK(matches(ere, text));
	free(mask);
	free(copy);
	return result;
}

static const char *masked(const char *pattern, const char *text)
{
	return masked_bytes(pattern, bytes_of(text));
}

static const char *refused(const char *pattern)
{
	struct ere *ere = NULL;
	const char *reason = "(taken)";
	int r = ere_new(&ere, pattern, &reason);

	if (r == 0)
		ere_free(ere);
	else
		CHECK(r == -EINVAL && !ere && reason);
	return reason;
}

TEST(bytes_and_brackets_match_exactly)
{
	CHECK_STR(masked("b", "abcb"), "a#c#");
	CHECK_STR(masked("bc", "abcbc"), "a####");
	CHECK_STR(masked(".", "a\x01\xff"), "###");
	CHECK_STR(masked("[a-c]", "abcd"), "###d");
	CHECK_STR(masked("[^a-c]", "abcd\n\xff"), "abc###");
	CHECK_STR(masked("[]a]", "]ab"), "##b");
	CHECK_STR(masked("[^]a]", "]ab"), "]a#");
	CHECK_STR(masked("[a-]", "a-b"), "##b");
	CHECK_STR(masked("[%--]", "%(-.a"), "###.a");
	CHECK_STR(masked("[[:digit:]x]", "1xy"), "##y");
	CHECK_STR(masked("[[.-.]a]", "a-b"), "##b");
	CHECK_STR(masked("[[.].]]", "a]b"), "a#b");
	CHECK_STR(masked("[[=a=]]", "ab"), "#b");
	CHECK_STR(masked("[\\]", "a\\b"), "a#b");
	CHECK_STR(masked("[^\\]", "a\\b"), "#\\#");
	CHECK_STR(masked("[*+?.|()^$]", "a*|^b"), "a###b");
}

TEST(escapes_match_their_character)
{
	CHECK_STR(masked("\\.", "a.b"), "a#b");
	CHECK_STR(masked("\\\\", "a\\b"), "a#b");
	CHECK_STR(masked("\\(\\)\\|\\[\\{\\*\\+\\?\\^\\$", "a()|[{*+?^$b"), "a##########b");
	CHECK_STR(masked("\\w", "a_1-"), "###-");
	CHECK_STR(masked("\\W", "a_1-"), "a_1#");
	CHECK_STR(masked("\\s", "a \t\v"), "a###");
	CHECK_STR(masked("\\S", "a \t"), "# \t");
	CHECK_STR(masked("a}]", "a}]"), "###");
	CHECK_STR(masked("\\-\\/", "a-/"), "a##");
}

TEST(repeats_match_their_count)
{
	CHECK_STR(masked("ab*c", "ac abc abbbc ab"), "## ### ##### ab");
	CHECK_STR(masked("ab+c", "ac abc abbbc"), "ac ### #####");
	CHECK_STR(masked("ab?c", "ac abc abbc"), "## ### abbc");
	CHECK_STR(masked("xa{2}x", "xax xaax xaaax"), "xax #### xaaax");
	CHECK_STR(masked("xa{2,}x", "xax xaax xaaaax"), "xax #### ######");
	CHECK_STR(masked("xa{1,2}x", "xx xax xaax xaaax"), "xx ### #### xaaax");
	CHECK_STR(masked("xa{0,1}x", "xx xax xaax"), "## ### xaax");
	CHECK_STR(masked("xa{0}x", "xx xax"), "## xax");
	CHECK_STR(masked("xa{0,}x", "xx xaax"), "## ####");
	CHECK_STR(masked("x(ab){2}x", "xabx xababx"), "xabx x####x");
	CHECK_STR(masked("x(a?){3}x", "xx xaaax xaaaax"), "xx x###x xaaaax");
	CHECK_STR(masked("x(a|b){2,3}x", "xax xabx xbabx"), "xax x##x x###x");
	CHECK_STR(masked("x((ab){2}c){2}x", "xababcababcx"), "x##########x");
	CHECK_STR(masked("[a-f0-9]{32}", "0123456789abcdef0123456789abcde."), "0123456789abcdef0123456789abcde.");
	CHECK_STR(masked("[a-f0-9]{32}", "x0123456789abcdef0123456789abcdefx"), "x################################x");
}

TEST(repeat_applies_to_a_whole_utf8_character)
{
	CHECK_STR(masked("x\xc3\xa4*y", "xy x\xc3\xa4y x\xc3\xa4\xc3\xa4y x\xa4y"), "## #### ###### x\xa4y");
	CHECK_STR(masked("x\xf0\x9f\x98\x80{2}y", "x\xf0\x9f\x98\x80\xf0\x9f\x98\x80y"), "##########");
	CHECK_STR(masked("\xff+", "a\xff\xff"), "a##");
}

TEST(anchors_match_the_ends_of_the_text)
{
	CHECK_STR(masked("^a", "aa"), "#a");
	CHECK_STR(masked("a$", "aa"), "a#");
	CHECK_STR(masked("^a$", "a"), "#");
	CHECK_STR(masked("^a$", "aa"), "aa");
	CHECK_STR(masked("^a|^b", "ba"), "#a");
	CHECK_STR(masked("a$|b$", "ab"), "a#");
	CHECK_STR(masked("^^a$$", "a"), "#");
	CHECK_STR(masked("^(^a|b)", "aa"), "#a");
	CHECK_STR(masked("((^|,)a)", "a,a,ba"), "###,ba");
	CHECK_STR(masked("a^b", "a^bab"), "a^bab");
	CHECK_STR(masked("^", "ab"), "ab");
	CHECK_STR(masked("^a", "b\na"), "b\na");
}

TEST(first_group_alone_is_masked)
{
	CHECK_STR(masked("password=([^ ]*)", "x password=abc y"), "x password=### y");
	CHECK_STR(masked("password=([^ ]*)", "password= password=a"), "password= password=#");
	CHECK_STR(masked("//[^:]*:([^@]*)@", "http://me:secret@host"), "http://me:######@host");
	CHECK_STR(masked("a(b)(c)d", "abcd"), "a#cd");
	CHECK_STR(masked("a((b)c)d", "abcd"), "a##d");
	CHECK_STR(masked("a(b|c)*d", "abcbd"), "a###d");
	CHECK_STR(masked("a(b)?c", "ac abc"), "ac a#c");
	CHECK_STR(masked("a()b", "ab"), "ab");
	CHECK_STR(masked("[(]a(b)", "(ab"), "(a#");
	CHECK_STR(masked("\\(a(b)", "(ab"), "(a#");
	CHECK_STR(masked("(a(b)){2}c", "ababc"), "####c");
}

TEST(outermost_alternative_without_the_group_is_masked_whole)
{
	CHECK_STR(masked("k=([a-z]*)|AKIA[0-9]{3}", "k=abc AKIA123"), "k=### #######");
	CHECK_STR(masked("AKIA[0-9]{3}|k=([a-z]*)", "k=abc AKIA123"), "k=### #######");
	CHECK_STR(masked("a(b)|c(d)", "ab cd"), "a# ##");
	CHECK_STR(masked("a|b(c)|d", "a bc d"), "# b# #");
	CHECK_STR(masked("x(a|b)y", "xay"), "x#y");
}

TEST(all_matches_are_masked)
{
	CHECK_STR(masked("aba", "ababa"), "#####");
	CHECK_STR(masked("ab|b(.)", "abx"), "###"); /* "ab" whole, and the group behind its b */
	CHECK_STR(masked("b(.)|zz", "abxzz"), "ab#"
					      "##");
}

TEST(matches_of_nothing_mask_nothing)
{
	CHECK_STR(masked("", "abc"), "abc");
	CHECK_STR(masked("x*", "abc"), "abc");
	CHECK_STR(masked("(|)", "abc"), "abc");
	CHECK_STR(masked("a|", "abc"), "#bc");
	CHECK_STR(masked("a*", ""), "");
	CHECK_STR(masked("^$", ""), "");
	CHECK_STR(masked("(((){255}){2}){3}a", "a"), "a");
}

TEST(matches_cross_blocks_of_text)
{
	static char text[1900], expected[1900];

	for (size_t size = 250; size < sizeof(text) - 2; size += size < 262 || (size > 505 && size < 520) ? 1 : 97) {
		memset(text, 'b', size);
		text[0] = 'a';
		text[size] = 'c';
		text[size + 1] = '\0';
		strcpy(expected, text);
		memset(expected + 1, '#', size - 1);
		CHECK_STR(masked("a(b*)c", text), expected);
		CHECK_STR(masked("^a(.*)c$", text), expected);
		text[size] = 'd';
		CHECK_STR(masked("a(b*)c", text), text);
	}
}

TEST(patterns_larger_than_a_word_match)
{
	char pattern[600] = "", text[600] = "", expected[600];

	for (int i = 0; i < 500; i++)
		text[i] = pattern[i] = (char)('a' + i % 26);
	memset(expected, '#', 500);
	expected[500] = '\0';
	CHECK_STR(masked(pattern, text), expected);
	text[499] = '.';
	CHECK_STR(masked(pattern, text), text);
	memset(text, 'x', 130);
	text[130] = '\0';
	memset(expected, '#', 130);
	expected[130] = '\0';
	CHECK_STR(masked("x{130}", text), expected);
	CHECK_STR(masked("(x{64}y?x{66})", text), expected);
	CHECK_STR(masked("(x{63}y?x{67})", text), expected);
	CHECK_STR(masked("(x{63}y?x{68})", text), text);
}

TEST(bytes_that_are_not_utf8_match)
{
	CHECK(setlocale(LC_ALL, "C.UTF-8"));
	CHECK_STR(masked("k=([^ ]*)", "k=\xff\xfe\xc3 x"), "k=### x");
	CHECK_STR(masked("[[:alpha:]]", "a\xc3\xa4"), "#\xc3\xa4");
	CHECK_STR(masked("\\w", "\xe4z"), "\xe4#");
	CHECK(strcmp(masked_bytes("a(.)b", BYTES("a\0b")), "a#b") == 0);
	CHECK(strcmp(masked_bytes("a([^x])b", BYTES("a\0b")), "a#b") == 0);
}

TEST(invalid_patterns_are_refused)
{
	char patterns[] = "( ) a) [ [a [] [^] a{ a{1 a{1, a{,2} a{2,1} a{256} a{1,256} a{99999999999} a{x} *a + ? "
			  "{1} (*) a|* a** a+? a{1}{2} \\ a\\ \\d \\bx \\<x x\\> \\`x x\\' \\1 (a)\\1 [z-a] [\\s] "
			  "[^\\w] [[:foo:]] [[:alpha:] [[.ab.]] [[:alpha:]-z] [a-[:alpha:]] [\xc3\xa4] [a-\xff] "
			  "[[. [[:] [a-";

	for (char *pattern = strtok(patterns, " "); pattern; pattern = strtok(NULL, " ")) {
		if (strcmp(refused(pattern), "(taken)") == 0)
			printf("# %s\n", pattern);
		CHECK(strcmp(refused(pattern), "(taken)") != 0);
	}
}

TEST(patterns_above_the_limits_are_refused)
{
	char pattern[2000] = "";

	CHECK_STR(refused("a{255}a{255}aa"), "(taken)");
	CHECK_STR(refused("a{255}a{255}aaa"), "the pattern is too long, or its repeats are too large");
	CHECK_STR(refused("((a{100}){100}){100}"), "the pattern is too long, or its repeats are too large");
	CHECK_STR(refused("((((){255}){255}){255}){255}"), "the repeats of the pattern are too large");
	for (int i = 0; i < 64; i++)
		pattern[i] = '(', pattern[65 + i] = ')';
	pattern[64] = 'a';
	CHECK_STR(refused(pattern), "(taken)");
	for (int i = 0; i < 65; i++)
		pattern[i] = '(', pattern[66 + i] = ')';
	pattern[65] = 'a';
	CHECK_STR(refused(pattern), "groups are nested too deeply");
	memset(pattern, '(', 1999);
	CHECK_STR(refused(pattern), "groups are nested too deeply");
}

TEST(costly_patterns_are_refused)
{
	const char *costly = "the pattern takes too long to match: a large {m,n} of an ambiguous part; use * or +";

	CHECK_STR(refused("[a-z]{1,60}@"), "(taken)");
	CHECK_STR(refused("[a-z]{1,250}@"), costly);
	CHECK_STR(refused("[a-z]{250}@"), "(taken)");
	CHECK_STR(refused("(a|b|c|d|e|f|g|h)*(a|b|c|d|e|f|g|h)*"), "(taken)");
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* With regexec(3) these take from half a minute to hours; the limit is for slow machines under valgrind. */
TEST(matching_time_is_linear_in_the_text)
{
	static const char *const patterns[] = { "[a-z]+=([^ ]+)", "(a*)*b",	    "(a|aa)+$",
						"a.*a.*a.*b",	  "(a?){40}a{40}b", "[a-z]{1,60}=" };
	size_t size = 128 << 10;
	char *text = malloc(size);
	unsigned char *mask = calloc(1, size);
	double start = seconds();

	CHECK(text && mask);
	memset(text, 'a', size);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		_cleanup_(ere_free_p) struct ere *ere = compiled(patterns[i]);

		matches(ere, (struct bytes){ text, size });
		CHECK_INT(ere_mask(ere, (struct bytes){ text, size }, mask), 0);
	}
	CHECK(seconds() - start < 20);
	free(text);
	free(mask);
}

TEST(steps_bound_a_search)
{
	static char text[10000];
	_cleanup_(ere_free_p) struct ere *ere = compiled("a*b");
	struct bytes all = { text, sizeof(text) };
	int64_t steps = sizeof(text) / 4;

	/* With none of these a match begins. */
	memset(text, 'x', sizeof(text));
	CHECK_INT(ere_match(ere, all, &steps), ERE_UNKNOWN);
	steps = sizeof(text) / 3 + 10;
	CHECK_INT(ere_match(ere, all, &steps), ERE_NO);
	CHECK(steps >= 0 && steps <= 10);
	/* With each of these. */
	memset(text, 'a', sizeof(text));
	steps = sizeof(text) + 10;
	CHECK_INT(ere_match(ere, all, &steps), ERE_UNKNOWN);
	CHECK(steps < 0);
	steps = sizeof(text) * 10;
	CHECK_INT(ere_match(ere, all, &steps), ERE_NO);
	text[0] = 'b';
	steps = sizeof(text) + 10;
	CHECK_INT(ere_match(ere, all, &steps), ERE_YES);
}

/* Against regexec(3). */

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

static void random_pattern(char *to, size_t room, int depth, bool ends)
{
	static const char *const bytes[] = { "a", "b", "c", ".", "[ab]", "[^a]", "[[:alpha:]]", "\\w", "\\S" };
	static const char *const repeats[] = { "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}" };
	size_t n = 1 + below(3);

	*to = '\0';
	for (size_t i = 0; i < n && strlen(to) + 60 < room; i++) {
		char *end = to + strlen(to);

		if (ends && below(8) == 0) {
			strcpy(end, below(2) ? "^" : "$");
		} else if (depth > 0 && below(3) == 0) {
			strcpy(end, "(");
			random_pattern(end + 1, room - strlen(to) - 20, depth - 1, ends);
			strcat(end, ")");
		} else {
			strcpy(end, bytes[below(sizeof(bytes) / sizeof(bytes[0]))]);
		}
		/* What a repeated end of the text means, regexec is not sure of either. */
		if (below(3) == 0 && (!ends || (*end != '(' && *end != '^' && *end != '$')))
			strcat(end, repeats[below(sizeof(repeats) / sizeof(repeats[0]))]);
		if (i + 1 < n && below(4) == 0)
			strcat(end, "|");
	}
}

#define TEXT_MAX 7
typedef bool parts[TEXT_MAX + 1][TEXT_MAX + 1];

/* Which parts of the text the pattern matches as a whole. */
static void all_parts(const char *pattern, const char *text, parts ret)
{
	char whole[1000];
	size_t size = strlen(text);
	regex_t regex;

	snprintf(whole, sizeof(whole), "^(%s)$", pattern);
	CHECK_INT(regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB), 0);
	for (size_t from = 0; from <= size; from++) {
		for (size_t to = from; to <= size; to++) {
			char part[TEXT_MAX + 1];

			snprintf(part, sizeof(part), "%.*s", (int)(to - from), text + from);
			ret[from][to] = regexec(&regex, part, 0, NULL, 0) == 0;
		}
	}
	regfree(&regex);
}

static void random_text(char *to)
{
	size_t n = below(TEXT_MAX + 1);

	for (size_t i = 0; i < n; i++)
		to[i] = "abcc d"[below(6)];
	to[n] = '\0';
}

TEST(result_equals_regexec_without_groups)
{
	for (int i = 0; i < tap_rounds(20000); i++) {
		char pattern[500], text[TEXT_MAX + 1], expected[TEXT_MAX + 1];
		parts p;

		srand((unsigned)i);
		random_pattern(pattern, sizeof(pattern), 0, false);
		random_text(text);
		all_parts(pattern, text, p);
		strcpy(expected, text);
		for (size_t from = 0; from < strlen(text); from++)
			for (size_t to = from + 1; to <= strlen(text); to++)
				if (p[from][to])
					memset(expected + from, '#', to - from);
		if (strcmp(masked(pattern, text), expected) != 0)
			printf("# %s of %s\n", pattern, text);
		CHECK_STR(masked(pattern, text), expected);
	}
}

TEST(result_equals_regexec_around_a_group)
{
	for (int i = 0; i < tap_rounds(20000); i++) {
		char before[500], group[500], after[500], pattern[1600], text[TEXT_MAX + 1], expected[TEXT_MAX + 1];
		parts b, g, a;
		size_t size;

		srand((unsigned)i);
		do
			random_pattern(before, sizeof(before), 0, false);
		while (strchr(before, '|'));
		random_pattern(group, sizeof(group), 2, false);
		do
			random_pattern(after, sizeof(after), 2, false);
		while (strchr(after, '|'));
		random_text(text);
		size = strlen(text);
		all_parts(before, text, b);
		all_parts(group, text, g);
		all_parts(after, text, a);
		strcpy(expected, text);
		for (size_t p = 0; p <= size; p++)
			for (size_t q = p; q <= size; q++)
				for (size_t r = q; r <= size; r++)
					for (size_t s = r; s <= size; s++)
						if (b[p][q] && g[q][r] && a[r][s])
							memset(expected + q, '#', r - q);
		snprintf(pattern, sizeof(pattern), "%s(%s)%s", before, group, after);
		if (strcmp(masked(pattern, text), expected) != 0)
			printf("# %s of %s\n", pattern, text);
		CHECK_STR(masked(pattern, text), expected);
	}
}

/* With ends of the text only one direction is easy to say: where regexec matches, all is masked. */
TEST(result_equals_regexec_at_the_ends)
{
	for (int i = 0; i < tap_rounds(20000); i++) {
		char pattern[500], grouped[520], text[TEXT_MAX + 1];
		_cleanup_(ere_free_p) struct ere *ere = NULL;
		regmatch_t match;
		regex_t regex;

		srand((unsigned)i);
		random_pattern(pattern, sizeof(pattern), 2, true);
		random_text(text);
		snprintf(grouped, sizeof(grouped), "(%s)", pattern);
		CHECK_INT(regcomp(&regex, pattern, REG_EXTENDED), 0);
		ere = compiled(grouped);
		if (regexec(&regex, text, 1, &match, 0) == 0) {
			const char *is = masked(grouped, text);

			for (regoff_t k = match.rm_so; k < match.rm_eo; k++) {
				if (is[k] != '#')
					printf("# %s of %s: %s\n", pattern, text, is);
				CHECK(is[k] == '#');
			}
		} else if (matches(ere, bytes_of(text))) {
			printf("# %s of %s\n", pattern, text);
			CHECK(false);
		}
		regfree(&regex);
	}
}

TAP_MAIN
