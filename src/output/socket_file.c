/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define BACKLOG 1024
#define LOCK_TRIES 100 /* of 10 ms */

struct socket_file {
	char *path;
	struct stat made; /* what the file was then */
};

/* The file that was made, whatever is at its path by now. -ESTALE: it is another. */
static int open_file(const struct socket_file *socket_file, int *ret)
{
	_cleanup_close_ int fd = open(socket_file->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != socket_file->made.st_dev || st.st_ino != socket_file->made.st_ino)
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
int socket_file_set_access(const struct socket_file *socket_file, const struct settings *settings,
			   bool *ret_without_group)
{
	_cleanup_close_ int fd = -1;
	mode_t mode = settings->socket.mode;
	gid_t gid = settings->socket.gid;
	int r = settings->socket.group_error, other;

	if (ret_without_group) {
		*ret_without_group = r == -ESRCH;
		/* Early in a boot, or misspelt: access is narrower than asked for, and no event is lost. */
		if (r == -ESRCH) {
			mode &= ~(mode_t)S_IRWXG;
			r = 0;
		}
	}
	if (r < 0)
		return r;
	other = open_file(socket_file, &fd);
	if (other < 0)
		return other;
	if (gid != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) < 0)
		return -errno;
	return set_mode(fd, mode);
}

/*
 * Two daemons that start at once shall not take each other's socket for a stale one: between bind(2) and listen(2)
 * connect(2) fails. So both lock the folder (flock(2)), and wait for another holder of the lock for a short time only.
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

/* Removes a stale file; one that a process listens on is not touched. */
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

static int bind_and_listen(struct socket_file *socket_file, const struct settings *settings, int fd,
			   bool *ret_without_group)
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
	/* Until listen(2) connect(2) fails, so mode and group are set in time. */
	mask = umask(0777);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	socket_file->path = strdup(settings->socket.path);
	if (!socket_file->path || lstat(address.sun_path, &socket_file->made) < 0) {
		r = socket_file->path ? -errno : -ENOMEM;
		unlink(address.sun_path);
		return r;
	}
	r = socket_file_set_access(socket_file, settings, ret_without_group);
	if (r < 0)
		return r;
	return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int socket_file_new(struct socket_file **ret, const struct settings *settings, int *ret_fd, bool *ret_without_group)
{
	_cleanup_(socket_file_free_p) struct socket_file *socket_file = calloc(1, sizeof(*socket_file));
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (!socket_file)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	r = bind_and_listen(socket_file, settings, fd, ret_without_group);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	*ret = TAKE_PTR(socket_file);
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

int socket_file_adopt(struct socket_file **ret, const struct settings *settings, int fd, uint64_t dev, uint64_t ino,
		      bool *ret_without_group)
{
	_cleanup_(socket_file_free_p) struct socket_file *socket_file = NULL;
	struct sockaddr_un address;
	struct stat made;
	int r;

	if (!find_file(fd, dev, ino, &address, &made) || strcmp(address.sun_path, settings->socket.path) != 0)
		return -ENOENT;
	socket_file = calloc(1, sizeof(*socket_file));
	if (!socket_file)
		return -ENOMEM;
	socket_file->path = strdup(settings->socket.path);
	if (!socket_file->path)
		return -ENOMEM;
	socket_file->made = made;
	r = socket_file_set_access(socket_file, settings, ret_without_group);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(socket_file);
	return 0;
}

void socket_file_discard(int fd, uint64_t dev, uint64_t ino)
{
	struct sockaddr_un address;
	struct stat made;

	if (find_file(fd, dev, ino, &address, &made))
		unlink(address.sun_path);
}

void socket_file_identity(const struct socket_file *socket_file, uint64_t *ret_dev, uint64_t *ret_ino)
{
	*ret_dev = socket_file->made.st_dev;
	*ret_ino = socket_file->made.st_ino;
}

struct socket_file *socket_file_hand_over(struct socket_file *socket_file)
{
	if (socket_file)
		free(socket_file->path);
	free(socket_file);
	return NULL;
}

struct socket_file *socket_file_free(struct socket_file *socket_file)
{
	if (!socket_file)
		return NULL;
	if (socket_file_is_there(socket_file))
		unlink(socket_file->path);
	return socket_file_hand_over(socket_file);
}

bool socket_file_is_there(const struct socket_file *socket_file)
{
	struct stat st;

	return socket_file->path && lstat(socket_file->path, &st) == 0 && st.st_dev == socket_file->made.st_dev &&
	       st.st_ino == socket_file->made.st_ino;
}

const char *socket_file_path(const struct socket_file *socket_file)
{
	return socket_file->path;
}
