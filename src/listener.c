/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define BACKLOG 1024
#define LOCK_TRIES 100	     /* of 10 ms */
#define GROUP_MOST (1 << 20) /* bytes of a group's entry, with the names of its members */

struct listener {
	char *path;
	struct stat made; /* what the file was then */
};

static int find_group(const char *name, gid_t *ret)
{
	struct group group, *found = NULL;
	int r = ERANGE;

	for (size_t size = 4096; r == ERANGE && size <= GROUP_MOST; size *= 2) {
		_cleanup_free_ char *members = malloc(size);

		if (!members)
			return -ENOMEM;
		r = getgrnam_r(name, &group, members, size, &found);
	}
	if (r != 0 || !found)
		return r != 0 && r != ENOENT ? -r : -ESRCH;
	*ret = group.gr_gid;
	return 0;
}

/* The file that was made, whatever is at its path by now. -ESTALE: it is another. */
static int open_file(const struct listener *listener, int *ret)
{
	_cleanup_close_ int fd = open(listener->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != listener->made.st_dev || st.st_ino != listener->made.st_ino)
		return -ESTALE;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Of such a descriptor: fchmod(2) takes none, and fchmodat(2) follows links. */
static int set_mode(int fd, mode_t mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode) < 0 ? -errno : 0;
}

/* Mode and group, of the file, not of the socket's descriptor, which has others. */
int listener_set_access(const struct listener *listener, const struct settings *settings, bool *ret_without_group)
{
	_cleanup_close_ int fd = -1;
	mode_t mode = settings->socket.mode;
	gid_t gid = (gid_t)-1;
	int r = settings->socket.group ? find_group(settings->socket.group, &gid) : 0, other;

	if (ret_without_group) {
		*ret_without_group = r == -ESRCH;
		/* Early in a boot, or misspelt: nobody reads who should not, and the events are not lost for it. */
		if (r == -ESRCH) {
			mode &= ~(mode_t)S_IRWXG;
			r = 0;
		}
	}
	if (r < 0)
		return r;
	other = open_file(listener, &fd);
	if (other < 0)
		return other;
	if (gid != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	return set_mode(fd, mode);
}

/*
 * Two daemons that start at once shall not take each other's socket for a stale one: between bind(2) and listen(2) nobody can connect
 * to it. So both lock the folder (flock(2)). Whoever holds that for no reason is waited for a little, and no longer.
 */
static int lock_folder(const char *path)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	_cleanup_free_ char *folder = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	_cleanup_close_ int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK && i < LOCK_TRIES; i++)
		nanosleep(&pause, NULL);
	return TAKE_FD(fd);
}

/* A file that nobody listens on any more is in the way; one that somebody does is not touched. */
static int clear_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return errno == ENOENT ? 0 : -errno;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_and_listen(struct listener *listener, const struct settings *settings, int fd, bool *ret_without_group)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int folder = -1;
	mode_t mask;
	int r;

	if (strlen(settings->socket.path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, settings->socket.path);
	folder = lock_folder(address.sun_path);
	r = clear_stale(&address);
	if (r < 0)
		return r;
	/* Nobody gets in before mode and group are right: until listen(2) nobody can connect at all. */
	mask = umask(0777);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	listener->path = strdup(settings->socket.path);
	if (!listener->path || lstat(address.sun_path, &listener->made) < 0) {
		r = listener->path ? -errno : -ENOMEM;
		unlink(address.sun_path);
		return r;
	}
	r = listener_set_access(listener, settings, ret_without_group);
	if (r < 0)
		return r;
	return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int listener_new(struct listener **ret, const struct settings *settings, int *ret_fd, bool *ret_without_group)
{
	_cleanup_(listener_free_p) struct listener *listener = calloc(1, sizeof(*listener));
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (!listener)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	r = bind_and_listen(listener, settings, fd, ret_without_group);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	*ret = TAKE_PTR(listener);
	return 0;
}

/* Where the socket was bound, if its file is still there. */
static bool find_file(int fd, uint64_t dev, uint64_t ino, struct sockaddr_un *ret, struct stat *ret_stat)
{
	socklen_t size = sizeof(*ret) - 1;

	memset(ret, 0, sizeof(*ret));
	return getsockname(fd, (struct sockaddr *)ret, &size) == 0 && ret->sun_family == AF_UNIX &&
	       lstat(ret->sun_path, ret_stat) == 0 && ret_stat->st_dev == dev && ret_stat->st_ino == ino;
}

int listener_adopt(struct listener **ret, const struct settings *settings, int fd, uint64_t dev, uint64_t ino,
		   bool *ret_without_group)
{
	_cleanup_(listener_free_p) struct listener *listener = NULL;
	struct sockaddr_un address;
	struct stat made;
	int r;

	if (!find_file(fd, dev, ino, &address, &made) || strcmp(address.sun_path, settings->socket.path) != 0)
		return -ENOENT;
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	listener->path = strdup(settings->socket.path);
	if (!listener->path)
		return -ENOMEM;
	listener->made = made;
	r = listener_set_access(listener, settings, ret_without_group);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(listener);
	return 0;
}

void listener_discard(int fd, uint64_t dev, uint64_t ino)
{
	struct sockaddr_un address;
	struct stat made;

	if (find_file(fd, dev, ino, &address, &made))
		unlink(address.sun_path);
}

void listener_identity(const struct listener *listener, uint64_t *ret_dev, uint64_t *ret_ino)
{
	*ret_dev = listener->made.st_dev;
	*ret_ino = listener->made.st_ino;
}

struct listener *listener_leave(struct listener *listener)
{
	if (listener)
		free(listener->path);
	free(listener);
	return NULL;
}

struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;
	if (listener_is_there(listener))
		unlink(listener->path);
	return listener_leave(listener);
}

bool listener_is_there(const struct listener *listener)
{
	struct stat st;

	return listener->path && lstat(listener->path, &st) == 0 && st.st_dev == listener->made.st_dev &&
	       st.st_ino == listener->made.st_ino;
}

const char *listener_path(const struct listener *listener)
{
	return listener->path;
}
