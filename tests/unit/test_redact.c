/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists are written with '|' for each NUL. */
#include <errno.h>
#include <time.h>

#include "model/redact.h"
#include "tap.h"
#include "util/nulstr.h"

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct redact *made(const char *const *options, const char *const *patterns)
{
	struct redact *redact = NULL;

	CHECK_INT(redact_new(&redact, options, patterns), 0);
	return redact;
}

static size_t count(struct bytes args)
{
	struct bytes arg;
	size_t at = 0, n = 0;

	while (nulstr_next(args, &at, &arg))
		n++;
	return n;
}

/* What comes of the list; NULL if nothing changed. */
static const char *redacted(struct redact *redact, const char *text)
{
	static char result[4000];
	size_t size = strlen(text);
	char *copy = malloc(size ? size : 1);
	struct bytes args = { copy, size }, ret = BYTES("untouched");
	int r;

	CHECK(copy);
	for (size_t i = 0; i < size; i++)
		copy[i] = text[i] == '|' ? '\0' : text[i];
	r = redact_args(redact, args, &ret);
	if (r == 0) {
		CHECK(bytes_equal(ret, BYTES("untouched")));
		free(copy);
		return NULL;
	}
	CHECK_INT(r, REDACT_E_CHANGED);
	CHECK(ret.size < sizeof(result));
	CHECK_INT(count(ret), count(args));
	free(copy); /* the result does not need it */
	for (size_t i = 0; i < ret.size; i++) {
		CHECK(ret.data[i] != '|');
		result[i] = ret.data[i] ? ret.data[i] : '|';
	}
	result[ret.size] = '\0';
	return result;
}

static const char *option(const char *name, const char *text)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES(name), NULL);

	return redacted(redact, text);
}

static const char *pattern(const char *ere, const char *text)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NULL, NAMES(ere));

	return redacted(redact, text);
}

#define SAME(x) CHECK(!(x))

TEST(no_rules_change_nothing)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NULL, NULL);
	_cleanup_(redact_free_p) struct redact *empty =
		made((const char *const[]){ NULL }, (const char *const[]){ NULL });

	CHECK(redact_is_empty(redact) && redact_is_empty(empty));
	SAME(redacted(redact, "a|--password=x|"));
	SAME(redacted(empty, "a|--password|x|"));
}

TEST(value_of_a_long_option_is_masked)
{
	CHECK_STR(option("password", "a|--password=x|b|"), "a|--password=[redacted]|b|");
	CHECK_STR(option("password", "a|--password|x|b|"), "a|--password|[redacted]|b|");
	CHECK_STR(option("password", "a|-password=x|b|"), "a|-password=[redacted]|b|");
	CHECK_STR(option("password", "a|-password|x|b|"), "a|-password|[redacted]|b|");
	CHECK_STR(option("password", "a|--password=x=y|"), "a|--password=[redacted]|");
	CHECK_STR(option("password", "a|--password=x|--password|y|-z|"),
		  "a|--password=[redacted]|--password|[redacted]|-z|");
}

TEST(option_names_match_exactly)
{
	SAME(option("password", "a|--passwords=x|"));
	SAME(option("password", "a|--passwords|x|"));
	SAME(option("password", "a|--passwor=x|"));
	SAME(option("password", "a|--Password=x|"));
	SAME(option("password", "a|password=x|password|x|"));
	SAME(option("password", "a|---password=x|"));
	SAME(option("password", "a|x--password=x|x/--password=y|.--password z|"));
	SAME(option("password", "a|--|-|=|--=x|-=x||"));
	SAME(option("password", "a|--no-password|x|"));
}

TEST(dashes_of_the_entry_matter)
{
	CHECK_STR(option("--password", "a|--password=x|"), "a|--password=[redacted]|");
	SAME(option("--password", "a|-password=x|-password|x|"));
	CHECK_STR(option("-passin", "a|-passin=x|"), "a|-passin=[redacted]|");
	CHECK_STR(option("-passin", "a|-passin|pass:x|"), "a|-passin|[redacted]|");
	SAME(option("-passin", "a|--passin=x|--passin|x|-passinx|"));
	SAME(option("-p", "a|--p=x|--p|x|--px|"));
	CHECK_STR(option("--p", "a|--p=x|--p|x|-px|-p|x|"), "a|--p=[redacted]|--p|[redacted]|-px|-p|x|");
}

TEST(value_of_a_letter_option_is_masked)
{
	CHECK_STR(option("p", "a|-px|b|"), "a|-p[redacted]|b|");
	CHECK_STR(option("-p", "a|-px|b|"), "a|-p[redacted]|b|");
	CHECK_STR(option("p", "a|-p|x|b|"), "a|-p|[redacted]|b|");
	CHECK_STR(option("p", "a|-p=x|"), "a|-p[redacted]|");
	CHECK_STR(option("p", "a|--p=x|--p|y|"), "a|--p=[redacted]|--p|[redacted]|");
	SAME(option("p", "a|-vpx|-P|--px|p|px|-|--|"));
}

TEST(any_value_is_masked)
{
	CHECK_STR(option("password", "a|--password=|b|"), "a|--password=[redacted]|b|");
	CHECK_STR(option("password", "a|--password||b|"), "a|--password|[redacted]|b|");
	CHECK_STR(option("password", "a|--password|-x|b|"), "a|--password|[redacted]|b|");
	CHECK_STR(option("password", "a|--password|--|b|"), "a|--password|[redacted]|b|");
	CHECK_STR(option("password", "a|--|--password=x|"), "a|--|--password=[redacted]|");
	CHECK_STR(option("password", "a|--password=\xff\x01\n|"), "a|--password=[redacted]|");
	CHECK_STR(option("\xc3\xa4", "a|--\xc3\xa4=x|"), "a|--\xc3\xa4=[redacted]|");
}

TEST(value_that_looks_like_an_option_is_masked)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("password", "token", "p"), NULL);

	CHECK_STR(redacted(redact, "a|--password|--token|x|b|"), "a|--password|[redacted]|[redacted]|b|");
	CHECK_STR(redacted(redact, "a|--password|--token=x|b|"), "a|--password|[redacted]|b|");
	CHECK_STR(redacted(redact, "a|-p|-p|-p|b|c|"), "a|-p|[redacted]|[redacted]|[redacted]|c|");
	CHECK_STR(redacted(redact, "a|-password=x|"), "a|-p[redacted]|"); /* the larger part of the two */
	CHECK_STR(redacted(redact, "a|-password|b|"), "a|-p[redacted]|[redacted]|");
}

TEST(first_argument_is_not_an_option)
{
	SAME(option("b", "-bash|"));
	SAME(option("b", "-b|x|"));
	CHECK_STR(option("b", "-bash|-bx|"), "-bash|-b[redacted]|");
	CHECK_STR(pattern("as", "-bash|"), "-b[redacted]h|");
}

TEST(option_without_value_is_kept)
{
	SAME(option("password", ""));
	SAME(option("password", "|"));
	SAME(option("password", "a|--password|"));
	SAME(option("password", "a|--password"));
	CHECK_STR(option("password", "a|--password|x"), "a|--password|[redacted]");
	CHECK_STR(option("password", "a|--password||"), "a|--password|[redacted]|");
	CHECK_STR(option("password", "a|--password=x"), "a|--password=[redacted]");
	CHECK_STR(option("password", "a|--password="), "a|--password=[redacted]");
	CHECK_STR(pattern("x", "ax"), "a[redacted]");
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("p"), NAMES("x"));
	CHECK_INT(redact_args(redact, BYTES_NONE, &(struct bytes){ NULL, 0 }), 0);
}

TEST(command_line_within_an_argument_is_masked)
{
	CHECK_STR(option("password", "sh|-c|mysql --password=x -h y|"), "sh|-c|mysql --password=[redacted] -h y|");
	CHECK_STR(option("password", "sh|-c|mysql --password x -h y|"), "sh|-c|mysql --password [redacted] -h y|");
	CHECK_STR(option("password", "sh|-c|--password  x y|"), "sh|-c|--password  [redacted] y|");
	CHECK_STR(option("password", "sh|-c|a;mysql --password=x|"), "sh|-c|a;mysql --password=[redacted]|");
	CHECK_STR(option("password", "sh|-c|a\n\t--password=x\nb|"), "sh|-c|a\n\t--password=[redacted]\nb|");
	CHECK_STR(option("password", "sh|-c|a --password=x\ry\fz\vw b|"), "sh|-c|a --password=[redacted] b|");
	CHECK_STR(option("password", "sh|-c|a --password=\rx b|"), "sh|-c|a --password=[redacted] b|");
	CHECK_STR(option("-p", "sh|-c|mysql -px -h y; mysql -p x z|"),
		  "sh|-c|mysql -p[redacted] -h y; mysql -p [redacted] z|");
	CHECK_STR(option("password", "env|OPTIONS=--password=x|"), "env|OPTIONS=--password=[redacted]|");
	/* What a server writes over its arguments is one, argv[0]. */
	CHECK_STR(option("password", "mysqld --password=x --port 1|"), "mysqld --password=[redacted] --port 1|");
	/* The value may stand in the next argument: ssh(1) joins them. */
	CHECK_STR(option("password", "ssh|h|mysql --password|x|y|"), "ssh|h|mysql --password|[redacted]|y|");
	CHECK_STR(option("password", "ssh|h|mysql --password |x|y|"), "ssh|h|mysql --password |[redacted]|y|");
	/* An argument that begins with an option is all its value, as the program gets it. */
	CHECK_STR(option("password", "a|--password=x y --z|"), "a|--password=[redacted]|");
	SAME(option("password", "sh|-c|mysql --passwords=x; a --no-password y password=z|"));
	SAME(option("--password", "sh|-c|mysql -password=x|"));
}

TEST(quotes_within_an_argument_are_respected)
{
	CHECK_STR(option("password", "sh|-c|m --password='x y' -h z|"), "sh|-c|m --password=[redacted] -h z|");
	CHECK_STR(option("password", "sh|-c|m --password \"x y\" -h z|"), "sh|-c|m --password [redacted] -h z|");
	CHECK_STR(option("password", "sh|-c|m --password=a\"b c\"d'e f' g|"), "sh|-c|m --password=[redacted] g|");
	CHECK_STR(option("password", "sh|-c|m --password=a\\ b c|"), "sh|-c|m --password=[redacted] c|");
	CHECK_STR(option("password", "sh|-c|m --password=\"a\\\" b\" c|"), "sh|-c|m --password=[redacted] c|");
	/* Quotes around it end it. */
	CHECK_STR(option("password", "sh|-c|su -c 'm --password=x' y|"), "sh|-c|su -c 'm --password=[redacted]' y|");
	CHECK_STR(option("password", "sh|-c|su -c \"m --password x\" y|"),
		  "sh|-c|su -c \"m --password [redacted]\" y|");
	CHECK_STR(option("password", "sh|-c|su -c \"m --password='x y' z\"|"),
		  "sh|-c|su -c \"m --password=[redacted] z\"|");
	CHECK_STR(option("password", "x|{\"args\":[\"--password=x\",\"y\"]}|"),
		  "x|{\"args\":[\"--password=[redacted]\",\"y\"]}|");
	CHECK_STR(option("password", "x|[\"--password\", \"x y\", \"z\"]|"), "x|[\"--password\", [redacted] \"z\"]|");
	CHECK_STR(option("password", "sh|-c|m '--password' 'x y' z|"), "sh|-c|m '--password' [redacted] z|");
	/* Where they do not pair, rather too much. */
	CHECK_STR(option("password", "sh|-c|m --password='x y z|"), "sh|-c|m --password=[redacted]|");
	CHECK_STR(option("password", "sh|-c|echo it's; m --password=x y|"),
		  "sh|-c|echo it's; m --password=[redacted] y|");
	CHECK_STR(option("password", "sh|-c|m --password=x\\|"), "sh|-c|m --password=[redacted]|");
}

TEST(words_may_be_option_and_value)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("password", "token"), NAMES("k[0-9]"));

	CHECK_STR(redacted(redact, "sh|-c|a --password --token x y|"), "sh|-c|a --password [redacted] [redacted] y|");
	CHECK_STR(redacted(redact, "sh|-c|a --password=x --token=y|--token|z|"),
		  "sh|-c|a --password=[redacted] --token=[redacted]|--token|[redacted]|");
	CHECK_STR(redacted(redact, "sh|-c|k1 --password=x k2|"), "sh|-c|[redacted] --password=[redacted] [redacted]|");
	SAME(redacted(redact, "sh|-c|a - -- --- -x --x|"));
}

static const char *variables(const char *name, const char *ere, const char *text)
{
	_cleanup_(redact_free_p) struct redact *redact =
		made((const char *const[]){ name, NULL }, (const char *const[]){ ere, NULL });
	static char result[1000];
	struct bytes ret = BYTES_NONE;
	char copy[1000];
	size_t size = strlen(text);

	for (size_t i = 0; i < size; i++)
		copy[i] = text[i] == '|' ? '\0' : text[i];
	if (redact_env(redact, (struct bytes){ copy, size }, &ret) == 0)
		return NULL;
	for (size_t i = 0; i < ret.size; i++)
		result[i] = ret.data[i] ? ret.data[i] : '|';
	result[ret.size] = '\0';
	return result;
}

TEST(variables_are_masked_by_name)
{
	CHECK_STR(variables("password", NULL, "A=1|PASSWORD=x y|B=2|"), "A=1|PASSWORD=[redacted]|B=2|");
	CHECK_STR(variables("--password", NULL, "MYSQL_PASSWORD=x|Password_2=|password_file=/x|"),
		  "MYSQL_PASSWORD=[redacted]|Password_2=[redacted]|password_file=[redacted]|");
	CHECK_STR(variables("api-key", NULL, "API_KEY=x|MY_API_KEY=y|api-key=z|"),
		  "API_KEY=[redacted]|MY_API_KEY=[redacted]|api-key=[redacted]|");
	SAME(variables("password", NULL, "PASSWORDS=x|PASS=y|PASS_WORD=z|X=password|PASSWORD|=PASSWORD|"));
	/* A letter is an option's. */
	SAME(variables("p", NULL, "P=x|A_P=y|"));
	/* Options in a value, as in an argument. */
	CHECK_STR(variables("password", NULL, "CMD=m --password=x y|O=--password z|"),
		  "CMD=m --password=[redacted] y|O=--password [redacted]|");
}

TEST(variables_are_masked_by_pattern)
{
	CHECK_STR(variables(NULL, "AKIA[A-Z0-9]{4}", "A=xAKIA1234y|AKIA1234=z|"), "A=x[redacted]y|AKIA1234=z|");
	CHECK_STR(variables(NULL, "^[A-Z]*SECRET=(.*)", "MYSECRET=x|A=SECRET=y|"), "MYSECRET=[redacted]|A=SECRET=y|");
	/* The name stays, whatever matches. */
	CHECK_STR(variables(NULL, ".*", "A=x|B=|"), "A=[redacted]|B=|");
	CHECK_STR(variables("token", "x", "token=xy|"), "token=[redacted]|");
}

TEST(lists_of_both_kinds_are_valid_together)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("password"), NULL);
	struct bytes args, env;

	CHECK_INT(redact_args(redact, BYTES("a\0--password=x\0"), &args), REDACT_E_CHANGED);
	CHECK_INT(redact_env(redact, BYTES("PASSWORD=a much longer value\0"), &env), REDACT_E_CHANGED);
	CHECK(bytes_equal(args, BYTES("a\0--password=[redacted]\0")));
	CHECK(bytes_equal(env, BYTES("PASSWORD=[redacted]\0")));
}

/* Of the bytes, not of their square: what looks like an option or a quote at every byte. */
TEST(worst_argument_is_scanned_once)
{
	static const char *const worst[] = {
		" --p=", "--p='", " --p ", "'--p=\"", " -", "\"--p\",", " --p=\\", "-", "'"
	};
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("p", "--pp", "q"), NULL);
	size_t size = 2 << 20;
	char *arg = malloc(size + 2);
	struct timespec begin, end;
	struct bytes ret;

	CHECK(arg);
	for (size_t k = 0; k < sizeof(worst) / sizeof(worst[0]); k++) {
		size_t n = strlen(worst[k]);

		arg[0] = 'a';
		arg[1] = '\0';
		for (size_t i = 0; i < size; i++)
			arg[2 + i] = worst[k][i % n];
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
		CHECK(redact_args(redact, (struct bytes){ arg, size + 2 }, &ret) >= 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
		/* 20 ms or so; were it quadratic, hours. */
		CHECK(end.tv_sec - begin.tv_sec < 5);
	}
	free(arg);
}

/* How long the rules take for the list, in seconds; the last argument has a secret that they name, and must not be
 * seen. */
static double worst_time(struct redact *redact, struct bytes args, bool variables, struct bytes *ret)
{
	struct timespec begin, end;
	int r;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	r = variables ? redact_env(redact, args, ret) : redact_args(redact, args, ret);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	CHECK_INT(r, REDACT_E_CHANGED);
	CHECK(!memmem(ret->data, ret->size, "geheim", 6));
	return (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
}

/* Two megabytes, as execve(2) takes them, of what costs most. Without a bound these take up to minutes. */
TEST(time_for_a_list_is_bounded)
{
	static const char *const args[] = { "a", "-password ", "-p ", "--passwor -", "password=x ", "A_PASSWOR_" };
	const char *const secret[] = { "geheim", NULL };
	const char *patterns[REDACT_PATTERNS_MAX + 1] = { NULL }, *options[REDACT_OPTIONS_MAX + 1] = { NULL };
	char names[REDACT_OPTIONS_MAX][16];
	size_t size = 2 << 20, one = 128 << 10;
	char *list = malloc(size + 1);
	double longest = 0;

	CHECK(list);
	for (size_t i = 0; i < REDACT_PATTERNS_MAX; i++)
		patterns[i] = i % 2 ? "password=([^ ]*)" : "(a|aa){1,3}$";
	patterns[0] = "geheim";
	for (size_t i = 0; i < REDACT_OPTIONS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "password%zu", i);
		options[i] = names[i];
	}
	options[0] = "p";
	for (size_t i = 0; i < 3 * sizeof(args) / sizeof(args[0]); i++) {
		_cleanup_(redact_free_p) struct redact *redact =
			made(i % 3 == 1 ? NULL : (const char *const *)options,
			     i % 3 == 2 ? secret : (const char *const *)patterns);
		const char *text = args[i / 3];
		double took;
		struct bytes ret;

		for (size_t k = 0; k < size; k++)
			list[k] = k % one == one - 1 ? '\0' : text[k % one % strlen(text)];
		memcpy(list + size - 9, " geheim\0", 9);
		for (unsigned variables = 0; variables < 2; variables++) {
			if (variables)
				memcpy(list + size - 11, "=", 1);
			took = worst_time(redact, (struct bytes){ list, size }, variables, &ret);
			longest = took > longest ? took : longest;
		}
	}
	printf("# at most %.1f ms\n", longest * 1000);
	CHECK(longest < (getenv("VALGRIND") ? 20 : 0.5));
	free(list);
}

/* Hundreds of thousands of them, each of which is little work. */
TEST(short_arguments_use_up_the_steps_too)
{
	const char *patterns[REDACT_PATTERNS_MAX + 1] = { NULL };
	enum { COUNT = 200000 };
	char *list = malloc(2 * COUNT);
	struct redact *redact;
	size_t at = 0, shown = 0;
	struct bytes ret, arg;

	CHECK(list);
	for (size_t i = 0; i < COUNT; i++)
		memcpy(list + 2 * i, "x", 2);
	for (size_t i = 0; i < REDACT_PATTERNS_MAX; i++)
		patterns[i] = "password=(.*)";
	redact = made(NULL, patterns);
	CHECK_INT(redact_args(redact, (struct bytes){ list, 2 * COUNT }, &ret), REDACT_E_CHANGED);
	while (nulstr_next(ret, &at, &arg))
		shown += bytes_equal(arg, BYTES("x"));
	/* Some nanoseconds for each pattern. */
	CHECK(shown > 100 && shown <= REDACT_STEPS_MAX / REDACT_PATTERNS_MAX / 3);
	redact_free(redact);
	free(list);
}

/* What the steps suffice for is masked as ever; all of the rest is masked, and no secret is seen. */
TEST(arguments_beyond_the_steps_are_masked_whole)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("password"), NAMES("(a|aa)+$"));
	size_t one = 10000, count = REDACT_STEPS_MAX / one + 2, at = 0, shown = 0, masked = 0, size = 16;
	char *list = malloc(count * one + 64);
	struct bytes ret, arg;

	CHECK(list);
	memcpy(list, "x\0--password=ab\0", 16);
	for (size_t i = 0; i < count; i++, size += one) {
		memset(list + size, 'a', one - 2);
		memcpy(list + size + one - 2, "x", 2);
	}
	memcpy(list + size, "--password=ab\0", 14);
	CHECK_INT(redact_args(redact, (struct bytes){ list, size + 14 }, &ret), REDACT_E_CHANGED);
	CHECK(memcmp(ret.data, "x\0--password=[redacted]\0", 24) == 0);
	while (nulstr_next(ret, &at, &arg)) {
		CHECK(masked == 0 || bytes_equal(arg, BYTES(REDACT_MARK)));
		shown += arg.size == one - 1;
		masked += bytes_equal(arg, BYTES(REDACT_MARK));
	}
	CHECK(shown > 1);
	CHECK_INT(shown + masked, count + 1);
	/* The next list begins with all of them. */
	CHECK_STR(redacted(redact, "x|--password=x|b|"), "x|--password=[redacted]|b|");
	free(list);
}

TEST(patterns_mask_their_group)
{
	CHECK_STR(pattern("password=([^ ]*)", "sh|-c|mysql password=x y|"), "sh|-c|mysql password=[redacted] y|");
	CHECK_STR(pattern("AKIA[A-Z0-9]{4}", "a|AKIA1234|xAKIA12345|"), "a|[redacted]|x[redacted]5|");
	CHECK_STR(pattern("://[^:/]*:([^@]*)@", "git|clone|https://me:pw@host/x|"),
		  "git|clone|https://me:[redacted]@host/x|");
	CHECK_STR(pattern("^x$", "x|xx|x|"), "[redacted]|xx|[redacted]|");
	CHECK_STR(pattern("b", "abcb|bab|bb|"), "a[redacted]c[redacted]|[redacted]a[redacted]|[redacted]|");
	SAME(pattern("x", "a|b||"));
	SAME(pattern("a\nb", "a|b|"));
}

TEST(pattern_matches_within_one_argument)
{
	SAME(pattern("a.b", "a|b|"));
	SAME(pattern("a[^x]b", "a|b|"));
	CHECK_STR(pattern(".*", "ab|cd|"), "[redacted]|[redacted]|");
}

TEST(empty_matches_change_nothing)
{
	SAME(pattern("x*", "a|b||"));
	SAME(pattern("k=([a-z]*)", "k=|"));
	SAME(pattern("^$", "||"));
	SAME(pattern("()", "a|b|"));
}

TEST(matches_of_several_patterns_join)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NULL, NAMES("abc", "cd", "x(y)", "zz"));

	CHECK_STR(redacted(redact, "abcd|xyzz|abcxcd|"), "[redacted]|x[redacted]|[redacted]x[redacted]|");
}

TEST(matches_of_options_and_patterns_join)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("password", "k"), NAMES("s[0-9]", "word=x"));

	CHECK_STR(redacted(redact, "a|s1|--password=s2|-ks3|--password|s4s5|"),
		  "a|[redacted]|--password=[redacted]|-k[redacted]|--password|[redacted]|");
	/* One run of masked bytes, though from both. */
	CHECK_STR(redacted(redact, "a|--password=xyz|"), "a|--pass[redacted]|");
	CHECK_STR(redacted(redact, "a|--password=|"), "a|--password=[redacted]|");
	/* An option by its true name, though its name is masked. */
	_cleanup_(redact_free_p) struct redact *name = made(NAMES("password"), NAMES("word"));
	CHECK_STR(redacted(name, "a|--password|x|"), "a|--pass[redacted]|[redacted]|");
	CHECK_STR(redacted(name, "a|--password=x|"), "a|--pass[redacted]=[redacted]|");
}

TEST(next_list_replaces_the_previous)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NAMES("p"), NAMES("secret"));
	size_t size = 300 << 10;
	char *large = malloc(size);
	struct bytes ret, first;

	CHECK(large);
	memset(large, 'x', size);
	for (size_t i = 1; i < size / 1024; i++)
		large[i * 1024] = '\0';
	CHECK_STR(redacted(redact, "a|-pmuch longer than the next|"), "a|-p[redacted]|");
	CHECK_STR(redacted(redact, "a|-px|"), "a|-p[redacted]|");
	memcpy(large + size - 7, "secret", 7);
	CHECK_INT(redact_args(redact, (struct bytes){ large, size }, &ret), REDACT_E_CHANGED);
	CHECK(ret.size == size + 4 && memcmp(ret.data + ret.size - 12, "x[redacted]", 12) == 0);
	SAME(redacted(redact, "a|"));
	CHECK_STR(redacted(redact, "a|secrets|"), "a|[redacted]s|");
	CHECK_INT(redact_args(redact, BYTES("a\0-p1\0"), &first), REDACT_E_CHANGED);
	CHECK(bytes_equal(first, BYTES("a\0-p[redacted]\0")));
	free(large);
}

TEST(growth_of_small_arguments_is_as_documented)
{
	_cleanup_(redact_free_p) struct redact *redact = made(NULL, NAMES("."));
	size_t size = 200000;
	char *args = calloc(1, size);
	struct bytes ret;

	CHECK(args);
	for (size_t i = 0; i < size; i += 2)
		args[i] = 'x';
	CHECK_INT(redact_args(redact, (struct bytes){ args, size }, &ret), REDACT_E_CHANGED);
	CHECK_INT(ret.size, size / 2 * 11);
	CHECK_INT(count(ret), size / 2);
	free(args);
}

TEST(invalid_settings_are_refused)
{
	static const char *const bad[] = { "", "-", "--", "---", "---x", "a=b", "--a=", "=" };
	struct redact *redact = NULL;
	const char *reason = NULL, *many[REDACT_OPTIONS_MAX + 2] = { NULL };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reason = NULL;
		CHECK_INT(redact_check_option(bad[i], &reason), -EINVAL);
		CHECK(reason);
		CHECK_INT(redact_new(&redact, NAMES("good", bad[i]), NULL), -EINVAL);
	}
	CHECK_INT(redact_check_option("--good", &reason), 0);
	CHECK_INT(redact_check_option("good-er", &reason), 0);
	CHECK_INT(redact_check_pattern("(", &reason), -EINVAL);
	CHECK_STR(reason, "a group is not closed");
	CHECK_INT(redact_check_pattern("a", &reason), 0);
	CHECK_INT(redact_new(&redact, NULL, NAMES("a", "(")), -EINVAL);
	for (size_t i = 0; i <= REDACT_OPTIONS_MAX; i++)
		many[i] = "x";
	CHECK_INT(redact_new(&redact, many, NULL), -E2BIG);
	many[REDACT_PATTERNS_MAX + 1] = NULL;
	CHECK_INT(redact_new(&redact, NULL, many), -E2BIG);
	CHECK(!redact);
	many[REDACT_PATTERNS_MAX] = NULL;
	CHECK_INT(redact_new(&redact, many, many), 0);
	redact_free(redact);
	redact_free(NULL);
}

TAP_MAIN
