/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "ctl/command/commands.h"
#include "ctl/export/export.h"

static int read_all(const struct options *options, struct event_source *source, struct recording *recording)
{
	const struct parsed *parsed;
	int r;

	while ((r = source_next(source, &parsed)) > 0) {
		if (!query_pass(options->query, parsed))
			continue;
		r = recording_add(recording, parsed);
		if (r < 0)
			break;
	}
	return r;
}

void warn_truncated(const struct recording *recording)
{
	if (recording->truncated > 0)
		fprintf(stderr,
			"execsnoopctl: of %zu programs not all arguments are known, see args_limit in "
			"execsnoopd.conf(5)\n",
			recording->truncated);
}

static int print(const struct options *options, export_function *write, struct recording *recording)
{
	const struct export_options export = { .weight = (enum weight)options->weight, .utc = options->view.utc };
	_cleanup_fclose_ FILE *file = options->write ? fopen(options->write, "we") : NULL;
	FILE *out = options->write ? file : stdout;
	int r = out ? write(out, recording, &export) : -errno;

	if (r >= 0)
		r = file_flush(out);
	if (r < 0)
		fprintf(stderr, "execsnoopctl: %s: %s\n", options->write ? options->write : "standard output",
			strerror(-r));
	return r < 0 ? CTL_FAILED : CTL_OK;
}

static int export(struct options *options, const char *format)
{
	_cleanup_(source_free_p) struct event_source *source = NULL;
	_cleanup_(recording_free_p) struct recording *recording = NULL;
	export_function *write = export_find(format);
	int r = options_add_programs(options);

	if (r == 0 && !write) {
		fprintf(stderr, "execsnoopctl: --output %s: not one of %s\n", format, export_names());
		r = CTL_USAGE;
	}
	if (r == 0)
		r = options_open(options, false, true, &source);
	if (r > 0)
		return r;
	r = recording_new(&recording);
	if (r >= 0)
		r = read_all(options, source, recording);
	if (r < 0) {
		fprintf(stderr, "execsnoopctl: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	recording_close(recording);
	if (recording->count == 0 && recording->failure_count == 0)
		return CTL_NOTHING;
	warn_truncated(recording);
	return print(options, write, recording);
}

int command_export(struct options *options)
{
	if (!options->output) {
		fprintf(stderr, "execsnoopctl: export: --output is one of %s\n", export_names());
		return CTL_USAGE;
	}
	return export(options, options->output);
}

int command_plot(struct options *options)
{
	return export(options, options->output ? options->output : "svg");
}
