/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/export.h"

#include "ctl/view_report.h"

static const struct {
	const char *name;
	export_function *write;
} formats[] = {
	{ "report", export_report },
};

export_function *export_find(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(name, formats[i].name) == 0)
			return formats[i].write;
	return NULL;
}

const char *export_names(void)
{
	return "report";
}

int export_report(FILE *out, struct recording *recording, const struct export_options *options)
{
	const struct terminal terminal = { .out = out, .utf8 = true };
	const struct report_facts facts = { 0 };

	return view_report(&terminal, recording, &facts);
}
