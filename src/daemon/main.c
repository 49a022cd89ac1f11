/* SPDX-License-Identifier: GPL-2.0-or-later */
/* argv in, exit status out. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "daemon/daemon.h"
#include "util/log.h"

static void help(FILE *out)
{
	fprintf(out, "usage: execsnoopd [OPTION]...\n"
		     "Report every program that starts, fails to start, or ends on this machine.\n"
		     "\n"
		     "  -c, --config FILE   configuration file (default " CONFIG_FILE ")\n"
		     "  -t, --test-config   check the configuration and exit: 0, or 78 with every problem\n"
		     "  -o, --stdout        stream to standard output, without socket and journal\n"
		     "      --dump-config   print the effective configuration as a complete file\n"
		     "  -v, --verbose       log at debug level\n"
		     "  -V, --version       print the version\n"
		     "  -h, --help          print this\n"
		     "\n"
		     "See execsnoopd(8), execsnoopd.conf(5), execsnoopd-events(7).\n");
}

static int stdout_failed(int error)
{
	log_error("standard output: %s", strerror(error));
	return DAEMON_FAILED;
}

/* 0 if all of it went out. */
static int finish_stdout(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? DAEMON_OK : stdout_failed(errno);
}

static int check_config(const struct daemon_options *options, bool dump)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL;
	int r;

	if (daemon_load_settings(&settings, options, log_message, NULL) < 0)
		return DAEMON_CONFIG;
	r = dump ? settings_dump(settings, stdout) : 0;
	return r < 0 ? stdout_failed(-r) : finish_stdout();
}

int main(int argc, char **argv)
{
	enum { DUMP_CONFIG = 256 };
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "test-config", no_argument, NULL, 't' },
		{ "stdout", no_argument, NULL, 'o' },	    { "dump-config", no_argument, NULL, DUMP_CONFIG },
		{ "verbose", no_argument, NULL, 'v' },	    { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },	    {},
	};
	struct daemon_options options = {};
	bool test = false, dump = false;
	int c;

	log_open();
	while ((c = getopt_long(argc, argv, "c:tovVh", longs, NULL)) >= 0) {
		switch (c) {
		case 'c':
			options.config = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'o':
			options.to_stdout = true;
			break;
		case DUMP_CONFIG:
			dump = true;
			break;
		case 'v':
			options.verbose = true;
			break;
		case 'V':
			puts(PACKAGE_STRING);
			return finish_stdout();
		case 'h':
			help(stdout);
			return finish_stdout();
		default:
			fprintf(stderr, "Try 'execsnoopd --help'.\n");
			return DAEMON_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "execsnoopd: unexpected argument '%s'\nTry 'execsnoopd --help'.\n", argv[optind]);
		return DAEMON_USAGE;
	}
	if (test || dump)
		return check_config(&options, dump);
	return daemon_run(&options);
}
