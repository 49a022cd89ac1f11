/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As much of HTTP (RFC 9112) as one request for metrics needs. */
#pragma once

#include <stdbool.h>

#define HTTP_HEAD_MAX 8192

struct http_request {
	int status;	  /* of the response: 200, or what is wrong with the request */
	bool head;	  /* HEAD: a response without its body */
	bool openmetrics; /* it accepts application/openmetrics-text */
};

/* Reads up to the empty line that ends the head, at most HTTP_HEAD_MAX bytes. 0; -ETIMEDOUT; -ECONNRESET: the peer has
 * ended before; -E2BIG; -errno. */
int http_read_head(int fd, char head[static HTTP_HEAD_MAX + 1], int timeout_ms);
/* head is changed. */
void http_parse_head(char *head, struct http_request *ret);

const char *http_status_text(int status);
