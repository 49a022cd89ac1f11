/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever a peer sends is a request, or is refused with a reason that can be sent. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char reason[REQUEST_REASON_SIZE];
	struct request request;
	int r;

	if (size > REQUEST_LINE_MOST)
		return 0;
	r = request_parse(&request, (const char *)data, size, reason);
	if (r == -EINVAL) {
		for (const char *c = reason; *c; c++)
			if (*c < 0x20 || *c > 0x7e)
				abort();
		return 0;
	}
	if (r != 0 || !request.filter || (request.keys_given && !(request.keys & KEY_BIT(KEY_TYPE))))
		abort();
	request_clear(&request);
	return 0;
}
