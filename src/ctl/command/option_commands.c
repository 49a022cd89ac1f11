/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/command/option_commands.h"

#include <stddef.h>
#include <string.h>

#include "ctl/command/options_table.h"

#define LINES "watch log cat"
#define EXPORTS "export plot"
#define JOURNAL "watch log show tree stats diff verify cat " EXPORTS
#define FILTERED "watch log tree top stats diff cat " EXPORTS

/* All others have a use with every command. */
static const struct {
	const char *options, *commands;
} uses[] = {
	{ "socket", "watch log show tree top run status metrics cat bridge" },
	{ "host", "watch show tree top status metrics cat" },
	{ "input", "watch log show tree top stats verify metrics cat " EXPORTS },
	{ "directory file namespace merge-hosts", JOURNAL },
	{ "boot since until", JOURNAL " top" },
	{ "type unit uid pid tree container args grep failed slower cpu", FILTERED },
	{ "lines", "watch log top stats diff" },
	{ "reverse follow", "log" },
	{ "columns", LINES },
	{ "output", "top stats run status metrics " LINES " " EXPORTS },
	{ "at", "tree" },
	{ "by sort", "top stats" },
	{ "delay batch", "top" },
	{ "weight write", "run " EXPORTS },
	{ "wait scope", "run" },
	{ "merge", "watch" },
	{ "json", "status" },
	{ "http", "metrics" },
	{ "name connect cursor-file", "cat" },
};

/* As journalctl(1) and systemctl(1), which accept such options with every command. */
#define EVERYWHERE "since until boot lines reverse follow output columns"

static const struct {
	const char *command, *values;
} formats[] = {
	{ "watch", FORMATS }, { "log", FORMATS },   { "cat", FORMATS },	    { "stats", "json csv" },
	{ "top", "json" },    { "status", "json" }, { "metrics", "@file" },
};

bool has_word(const char *words, const char *word)
{
	size_t size = strlen(word);

	for (const char *at = words; size > 0 && (at = strstr(at, word)); at += size)
		if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
			return true;
	return false;
}

const char *option_commands(const char *option)
{
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		if (has_word(uses[i].options, option))
			return uses[i].commands;
	return NULL;
}

enum option_use option_use(const char *option, const char *command)
{
	const char *commands = option_commands(option);

	if (!commands || has_word(commands, command))
		return OPTION_TAKEN;
	return has_word(EVERYWHERE, option) ? OPTION_IDLE : OPTION_REFUSED;
}

const char *command_formats(const char *command)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i].command, command) == 0)
			return formats[i].values;
	return NULL;
}
