/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The expression that the journal's index gets for a query; tests/ctl/query.py compares what it finds. */
#include "ctl/source/journal_matches.h"

#include "tap.h"

static char expression[8192];
static size_t used;
static const char *fields[] = { "MESSAGE", "EXECSNOOP_RESULT", NULL };
static size_t next_field;

static void put(const char *data, size_t size)
{
	CHECK(used + size < sizeof(expression));
	memcpy(expression + used, data, size);
	expression[used += size] = '\0';
}

int __wrap_sd_journal_add_match(sd_journal *journal, const void *data, size_t size);
int __wrap_sd_journal_add_disjunction(sd_journal *journal);
int __wrap_sd_journal_add_conjunction(sd_journal *journal);
int __wrap_sd_journal_enumerate_fields(sd_journal *journal, const char **field);
void __wrap_sd_journal_restart_fields(sd_journal *journal);

int __wrap_sd_journal_add_match(sd_journal *journal, const void *data, size_t size)
{
	put(data, size > 0 ? size : strlen(data));
	put(" ", 1);
	return 0;
}

int __wrap_sd_journal_add_disjunction(sd_journal *journal)
{
	put("| ", 2);
	return 0;
}

int __wrap_sd_journal_add_conjunction(sd_journal *journal)
{
	put("& ", 2);
	return 0;
}

int __wrap_sd_journal_enumerate_fields(sd_journal *journal, const char **field)
{
	*field = fields[next_field];
	return fields[next_field++] != NULL;
}

void __wrap_sd_journal_restart_fields(sd_journal *journal)
{
	next_field = 0;
}

/* A word is a program; "KEY=VALUE"; "--failed", "--slower". */
static const char *matches_of(const char *const words[])
{
	_cleanup_(query_free_p) struct query *query = NULL;
	const char *reason;

	CHECK(query_new(&query) == 0);
	for (size_t i = 0; words[i]; i++) {
		if (strcmp(words[i], "--failed") == 0)
			query_set_bounds(query)->failed = true;
		else if (strcmp(words[i], "--slower") == 0)
			query_set_bounds(query)->slower = 1;
		else if (strchr(words[i], '='))
			CHECK(query_add_pair(query, words[i], &reason) == 0);
		else
			CHECK(query_add_program(query, words[i], &reason) == 0);
	}
	used = 0;
	CHECK(journal_matches_add(NULL, query) >= 0);
	return expression;
}

#define OR_LOST "| EXECSNOOP_TYPE=lost & "
#define CHECK_MATCHES(expected, ...)                                                 \
	do {                                                                         \
		const char *is_ = matches_of((const char *[]){ __VA_ARGS__, NULL }); \
		if (strcmp(is_, "& " expected) != 0) {                               \
			printf("# is       %s\n# expected & %s\n", is_, expected);   \
			CHECK(!"the expression is another");                         \
		}                                                                    \
	} while (0)

TEST(exact_values_are_matches)
{
	CHECK_MATCHES("EXECSNOOP_PID=7 EXECSNOOP_PID=8 " OR_LOST, "pid=7", "pid=0008");
	CHECK_MATCHES("EXECSNOOP_UID=0 " OR_LOST "EXECSNOOP_UNIT=a.service " OR_LOST, "unit=a.service", "uid=0");
	CHECK_MATCHES("EXECSNOOP_EXE=/a*b " OR_LOST, "exe=/a\\*b");
	CHECK_MATCHES("EXECSNOOP_LOGINUID=1000 " OR_LOST, "loginuid=1000");
	CHECK_MATCHES("EXECSNOOP_RESULT=signal " OR_LOST, "result=signal");
	CHECK_MATCHES("EXECSNOOP_SECUREEXEC=true " OR_LOST, "secureexec=Yes");
	CHECK_MATCHES("EXECSNOOP_TYPE=exited " OR_LOST, "type=exited");
}

TEST(errors_are_found_by_their_number)
{
	CHECK_MATCHES("EXECSNOOP_ERROR_CODE=-2 EXECSNOOP_ERROR_CODE=-13 EXECSNOOP_ERROR_CODE=-8 " OR_LOST,
		      "error=ENOENT", "error=13", "error=-8");
	CHECK_MATCHES("", "error=E*");
}

TEST(keys_without_a_filter_of_the_daemon_are_matches)
{
	CHECK_MATCHES("EXECSNOOP_EXIT_CODE=1 EXECSNOOP_EXIT_CODE=2 " OR_LOST, "exit_code=1", "exit_code=2",
		      "exit_code=!3");
	CHECK_MATCHES("EXECSNOOP_EXIT_SIGNAL=SIGKILL " OR_LOST, "exit_signal=SIGKILL");
	CHECK_MATCHES("EXECSNOOP_ID=1-2-3 " OR_LOST, "id=1-2-3");
	CHECK_MATCHES("EXECSNOOP_ANCESTOR=cron " OR_LOST, "ancestors=cron");
	CHECK_MATCHES("EXECSNOOP_ENV=A=b " OR_LOST, "env=A=b");
	CHECK_MATCHES("EXECSNOOP_CORE_DUMPED=true " OR_LOST, "core_dumped=true");
}

/* Else an entry that passes would be left out. */
TEST(values_that_the_index_cannot_find_are_no_matches)
{
	CHECK_MATCHES("", "comm=a", "comm=b*");
	CHECK_MATCHES("", "comm=!a");
	CHECK_MATCHES("EXECSNOOP_COMM=a " OR_LOST, "comm=a", "comm=!b");
	CHECK_MATCHES("", "loginuid=unset");
	CHECK_MATCHES("", "loginuid=4294967295");
	CHECK_MATCHES("", "loginuid=1000", "loginuid=unset");
	CHECK_MATCHES("", "secureexec=no");
	CHECK_MATCHES("", "args=-x");
	CHECK_MATCHES("", "parent_args=-x");
	CHECK_MATCHES("", "time=2026-11-29T10:00:00Z");
	CHECK_MATCHES("", "host=mail");
	CHECK_MATCHES("", "exit_code=1", "exit_code=1?");
	CHECK_MATCHES("", "cron");
}

TEST(paths_of_programs_are_matches)
{
	CHECK_MATCHES("EXECSNOOP_EXE=/bin/a | EXECSNOOP_FILENAME=/bin/a " OR_LOST, "/bin/a");
	CHECK_MATCHES(
		"EXECSNOOP_EXE=/bin/a EXECSNOOP_EXE=/b | EXECSNOOP_FILENAME=/bin/a EXECSNOOP_FILENAME=/b " OR_LOST,
		"/bin/a", "/b");
	CHECK_MATCHES("", "/bin/a", "b");
	CHECK_MATCHES("", "/bin/*");
}

TEST(failures_are_found_by_type_and_result)
{
	CHECK_MATCHES("EXECSNOOP_TYPE=error | EXECSNOOP_RESULT=exit-code EXECSNOOP_RESULT=signal "
		      "EXECSNOOP_RESULT=core-dump " OR_LOST,
		      "--failed");
	CHECK_MATCHES("EXECSNOOP_TYPE=exited " OR_LOST, "--slower");
	CHECK_MATCHES("EXECSNOOP_TYPE=exited " OR_LOST, "min_cpu=1s");
}

TEST(result_is_not_looked_for_where_no_entry_has_it)
{
	fields[1] = NULL;
	CHECK_MATCHES("", "--failed");
	CHECK_MATCHES("", "result=signal");
}

TEST(tree_is_followed_through_all_entries)
{
	CHECK_MATCHES("", "tree=7", "uid=0");
}

TEST(value_is_matched_in_its_whole_length)
{
	char pair[4096] = "exe=/", expected[sizeof(pair) + 64];
	const char *words[] = { pair, NULL };

	memset(pair + 5, 'x', 3000);
	snprintf(expected, sizeof(expected), "& EXECSNOOP_EXE=%s " OR_LOST, pair + 4);
	CHECK(strcmp(matches_of(words), expected) == 0);
}

TAP_MAIN
