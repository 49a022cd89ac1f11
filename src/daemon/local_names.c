/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/local_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "util/log.h"

#define FOLDER "/etc"
#define CHANGES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)
/* Before the consumer: records that come after a change are made events with the new name. */
#define PRIORITY (SD_EVENT_PRIORITY_IMPORTANT - 1)

#define KEYS_OF_FILES (KEY_BIT(KEY_USER) | KEY_BIT(KEY_GROUP) | KEY_BIT(KEY_LOGIN_USER))

struct local_names {
	struct extras_source source;
	sd_event *event;
	sd_event_source *host_watch, *files_watch;
	int host_fd;
	key_set prepared;
	struct utsname host;
	struct names *users, *groups;
};

/* The host. */

static void read_host(struct local_names *l)
{
	if (uname(&l->host) < 0)
		return;
	l->source.host = *l->host.nodename ? bytes_of(l->host.nodename) : BYTES_NONE;
}

static int on_host(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	read_host(userdata);
	return 0;
}

static int watch_host(struct local_names *l)
{
	int r;

	l->host_fd = open("/proc/sys/kernel/hostname", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (l->host_fd < 0)
		return -errno;
	/* A change is EPOLLERR | EPOLLPRI, and a poll resets it (kernel, fs/proc/proc_sysctl.c, proc_sys_poll). */
	r = sd_event_add_io(l->event, &l->host_watch, l->host_fd, 0, on_host, l);
	return r < 0 ? r : sd_event_source_set_priority(l->host_watch, PRIORITY);
}

/* Users and groups. */

/* Whole lines, up to the limit. O_NONBLOCK: waits neither for the writer of a FIFO (fifo(7)) nor for the holder of a
 * lease (open(2)). */
static int read_file(const char *path, char ret[static LOCAL_NAMES_SIZE_MAX + 1], size_t *ret_size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	size_t size = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADFD;
	while (size < LOCAL_NAMES_SIZE_MAX && (n = read(fd, ret + size, LOCAL_NAMES_SIZE_MAX - size)) != 0) {
		if (n < 0)
			return -errno;
		size += (size_t)n;
	}
	if (size == LOCAL_NAMES_SIZE_MAX)
		log_warning("%s: only the first %d bytes are used", path, LOCAL_NAMES_SIZE_MAX);
	else
		ret[size++] = '\n'; /* the last line may have none */
	*ret_size = size;
	return 0;
}

/* A file that cannot be read leaves the names as they were. */
static void read_names(const char *path, struct names **to)
{
	_cleanup_free_ char *text = malloc(LOCAL_NAMES_SIZE_MAX + 1);
	struct names *names;
	size_t size = 0;
	int r = text ? read_file(path, text, &size) : -ENOMEM;

	if (r == 0 || r == -ENOENT)
		r = names_new(&names, (struct bytes){ text, size });
	if (r < 0) {
		log_warning("%s: %s", path, r == -EBADFD ? "not a regular file" : strerror(-r));
		return;
	}
	names_free(*to);
	*to = names;
}

static void read_users(struct local_names *l)
{
	read_names(FOLDER "/passwd", &l->users);
	l->source.users = l->users;
}

static void read_groups(struct local_names *l)
{
	read_names(FOLDER "/group", &l->groups);
	l->source.groups = l->groups;
}

static int on_files(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	struct local_names *l = userdata;
	bool overflow = event->mask & IN_Q_OVERFLOW;

	if (overflow || (event->len > 0 && strcmp(event->name, "passwd") == 0))
		read_users(l);
	if (overflow || (event->len > 0 && strcmp(event->name, "group") == 0))
		read_groups(l);
	return 0;
}

static int watch_files(struct local_names *l)
{
	int r = sd_event_add_inotify(l->event, &l->files_watch, FOLDER, CHANGES, on_files, l);

	return r < 0 ? r : sd_event_source_set_priority(l->files_watch, PRIORITY);
}

/* Watches before it reads, so that no change is between the two. */
static void prepare(struct extras_source *source, key_set keys)
{
	struct local_names *l = (struct local_names *)((char *)source - offsetof(struct local_names, source));
	int r;

	keys &= ~l->prepared;
	l->prepared |= keys;
	if (keys & KEY_BIT(KEY_HOST)) {
		r = watch_host(l);
		if (r < 0)
			log_warning("changes of the host name are not seen before a reload: %s", strerror(-r));
		read_host(l);
	}
	if (keys & KEYS_OF_FILES) {
		l->prepared |= KEYS_OF_FILES;
		r = watch_files(l);
		if (r < 0)
			log_warning("changes of " FOLDER "/passwd and group are not seen before a reload: %s",
				    strerror(-r));
		read_users(l);
		read_groups(l);
	}
}

int local_names_new(struct local_names **ret, sd_event *event)
{
	struct local_names *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->event = event;
	l->host_fd = -1;
	l->source = (struct extras_source){ .prepare = prepare };
	*ret = l;
	return 0;
}

struct local_names *local_names_free(struct local_names *l)
{
	if (!l)
		return NULL;
	sd_event_source_unref(l->host_watch);
	sd_event_source_unref(l->files_watch);
	if (l->host_fd >= 0)
		close(l->host_fd);
	names_free(l->users);
	names_free(l->groups);
	free(l);
	return NULL;
}

struct extras_source *local_names_source(struct local_names *l)
{
	return &l->source;
}

void local_names_reload(struct local_names *l)
{
	if (l->prepared & KEY_BIT(KEY_HOST))
		read_host(l);
	if (l->prepared & KEYS_OF_FILES) {
		read_users(l);
		read_groups(l);
	}
}
