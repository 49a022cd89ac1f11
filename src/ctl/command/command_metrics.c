/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's statistics: to standard output, to a file that is replaced as a whole (for the textfile collector of
 * node_exporter(1)), or as the response to one HTTP request on standard input, for a socket unit with Accept=yes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "ctl/command/commands.h"
#include "ctl/command/http_request.h"
#include "ctl/command/stats_request.h"
#include "ctl/view/view_metrics.h"

#define REQUEST_MS 5000

static int make(const struct options *options, bool openmetrics, char **ret, size_t *ret_size)
{
	_cleanup_free_ char *line = NULL;
	char error[128];
	FILE *out;
	yajl_val stats;
	int r = stats_request(options, &line);

	if (r > 0)
		return r;
	stats = yajl_tree_parse(line, error, sizeof(error));
	if (!stats) {
		fprintf(stderr, "execsnoopctl: the statistics are no JSON\n");
		return CTL_DATA;
	}
	out = open_memstream(ret, ret_size);
	if (out)
		view_metrics(out, stats, openmetrics);
	yajl_tree_free(stats);
	return !out || fclose(out) != 0 ? CTL_FAILED : 0;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* A reader gets the old file or the new one, never a part. */
static int replace_file(const char *path, const char *data, size_t size)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, size);
	if (r == 0 && (fchmod(fd, 0644) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

static int respond(const struct http_request *request, const char *body, size_t size)
{
	const char *type = !request->openmetrics || request->status != 200
				   ? "text/plain; version=0.0.4; charset=utf-8"
				   : "application/openmetrics-text; version=1.0.0; charset=utf-8";
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
			 request->status, http_status_text(request->status), type, size,
			 request->status == 405 ? "Allow: GET, HEAD\r\n" : "");
	int r = write_all(STDOUT_FILENO, head, (size_t)n);

	if (r == 0 && !request->head)
		r = write_all(STDOUT_FILENO, body, size);
	return r == 0 || r == -EPIPE ? CTL_OK : CTL_FAILED;
}

static int respond_http(const struct options *options)
{
	_cleanup_free_ char *body = NULL;
	char head[HTTP_HEAD_MAX + 1], text[64];
	struct http_request request = { .status = 400 };
	size_t size;
	int r = http_read_head(STDIN_FILENO, head, REQUEST_MS);

	if (r == -ECONNRESET)
		return CTL_OK;
	if (r == 0)
		http_parse_head(head, &request);
	else if (r == -ETIMEDOUT || r == -E2BIG)
		request.status = r == -ETIMEDOUT ? 408 : 431;
	if (request.status == 200) {
		r = make(options, request.openmetrics, &body, &size);
		if (r == 0)
			return respond(&request, body, size);
		request.status = 503;
	}
	size = (size_t)snprintf(text, sizeof(text), "%s\n", http_status_text(request.status));
	return respond(&request, text, size);
}

int command_metrics(struct options *options)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (options->http)
		return respond_http(options);
	r = make(options, !options->output, &text, &size);
	if (r > 0)
		return r;
	r = options->output ? replace_file(options->output, text, size) : write_all(STDOUT_FILENO, text, size);
	if (r < 0 && r != -EPIPE) {
		fprintf(stderr, "execsnoopctl: %s: %s\n", options->output ? options->output : "standard output",
			strerror(-r));
		return CTL_FAILED;
	}
	return CTL_OK;
}
