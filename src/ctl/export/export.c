/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/export/export.h"

#include "ctl/view/view_report.h"

static const struct {
	const char *name;
	export_function *write;
} formats[] = {
	{ "chrome", export_chrome }, { "svg", export_svg },
	{ "html", export_html },     { "compile-commands", export_compile_commands },
	{ "folded", export_folded }, { "sh", export_sh },
	{ "csv", export_csv },	     { "dot", export_dot },
	{ "report", export_report },
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

export_function *export_find(const char *name)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (strcmp(name, formats[i].name) == 0)
			return formats[i].write;
	return NULL;
}

const char *export_name(size_t i)
{
	return i < FORMATS ? formats[i].name : NULL;
}

const char *export_names(void)
{
	static char names[128];
	struct text text;

	text_begin(&text, names, sizeof(names));
	for (size_t i = 0; i < FORMATS; i++)
		text_printf(&text, "%s%s", i > 0 ? ", " : "", formats[i].name);
	return names;
}

int export_report(FILE *out, struct recording *recording, const struct export_options *options)
{
	const struct terminal terminal = { .out = out, .utf8 = true, .width = REPORT_WIDTH };
	const struct report_facts facts = { 0 };

	return view_report(&terminal, recording, &facts);
}
