/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever is taken can be written, and reads back to the same; whatever is wrong is reported with its place. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "settings/settings.h"

static unsigned reported;

static void complain(void *userdata, int level, const char *message)
{
	reported += level == LOG_ERR;
	if (strncmp(message, "fuzz:", 5) != 0)
		abort();
}

static char *dump(const struct settings *settings)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f || settings_dump(settings, f) < 0 || fclose(f) != 0)
		abort();
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings *settings = NULL, *again = NULL;
	struct filter *filter;
	char *first, *second;

	reported = 0;
	if (settings_parse(&settings, "fuzz", (const char *)data, size, complain, NULL) < 0) {
		if (settings || reported == 0)
			abort();
		return 0;
	}
	if (reported > 0)
		abort();
	if (settings_filter(&settings->socket.output, &filter) < 0)
		abort();
	filter_free(filter);
	first = dump(settings);
	if (settings_parse(&again, "fuzz", first, strlen(first), complain, NULL) < 0)
		abort();
	second = dump(again);
	if (strcmp(first, second) != 0)
		abort();
	free(first);
	free(second);
	settings_free(settings);
	settings_free(again);
	return 0;
}
