// SPDX-License-Identifier: GPL-2.0
/*
 * A library to preload into a lab: it counts what the lab does to the files below
 * $SHIM_ROOT, and does one of these.
 *
 *	SHIM_LOG=FILE		record each operation, for tests/hostile/powercut.py
 *	SHIM_FAIL=ERRNO:OP:N:M	fail the operations N to N+M-1 of a kind (or "any")
 *	SHIM_SIGNAL=SIGNAL:N:M	send this process a signal before the operations N to N+M-1
 *	SHIM_CLOCK=SECONDS:N	let the time of day jump before operation N
 *
 * It does nothing until the program calls shim_begin(), which reads them.
 * Operations count from 1.  A record is a line "OP FILE OFFSET LENGTH PATH" and
 * LENGTH bytes; FILE numbers what was opened, so that a file is known after a
 * rename.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_FD	4096

static pthread_mutex_t guard = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static const char *root;
static char fail_op[16];
static int fail_errno, signal_nr, log_fd = -1;
static long fail_from, fail_to, signal_from, signal_to, clock_from;
static long clock_jump, nr_all, nr_op;
static struct {
	int file;		/* 0: not below the root */
	bool append;
} fds[MAX_FD];
static int nr_files;

void shim_begin(void);

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

void shim_begin(void)
{
	const char *text;

	root = getenv("SHIM_ROOT");
	text = getenv("SHIM_LOG");
	if (text)
		log_fd = REAL(open64)(text, O_WRONLY | O_CREAT | O_APPEND |
				      O_CLOEXEC, 0600);
	text = getenv("SHIM_FAIL");
	if (text && sscanf(text, "%d:%15[a-z]:%ld:%ld", &fail_errno, fail_op,
			   &fail_from, &fail_to) == 4)
		fail_to += fail_from - 1;
	text = getenv("SHIM_SIGNAL");
	if (text && sscanf(text, "%d:%ld:%ld", &signal_nr, &signal_from,
			   &signal_to) == 3)
		signal_to += signal_from - 1;
	text = getenv("SHIM_CLOCK");
	if (text)
		sscanf(text, "%ld:%ld", &clock_jump, &clock_from);
}

/* The path from the root, in a buffer; empty for the root, NULL elsewhere. */
static const char *ours(const char *path, char *buf)
{
	size_t len;

	if (!root || !path)
		return NULL;
	if (path[0] != '/') {
		if (!getcwd(buf, PATH_MAX))
			return NULL;
		len = strlen(buf);
		snprintf(buf + len, PATH_MAX - len, "/%s", path);
		path = buf;
	}
	if (strncmp(path, root, strlen(root)))
		return NULL;
	path += strlen(root);
	if (!*path)
		return path;
	return *path == '/' ? path + 1 : NULL;
}

static void put(const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t n;

	for (; len; len -= n, at += n) {
		n = REAL(write)(log_fd, at, len);
		if (n <= 0)
			abort();
	}
}

static void record(const char *op, int file, long long offset, const void *data,
		   size_t len, const char *path)
{
	char head[PATH_MAX + 80];

	if (log_fd < 0)
		return;
	snprintf(head, sizeof(head), "%s %d %lld %zu %s\n", op, file, offset,
		 len, path ? path : "");
	put(head, strlen(head));
	put(data, len);
}

/* Count an operation; true if it has to fail, with errno. */
static bool fails(const char *op)
{
	nr_all++;
	if (nr_all >= signal_from && nr_all <= signal_to)
		kill(getpid(), signal_nr);
	if (!*fail_op || (strcmp(fail_op, "any") && strcmp(fail_op, op)))
		return false;
	nr_op++;
	if (nr_op < fail_from || nr_op > fail_to)
		return false;
	errno = fail_errno;
	return true;
}

static int file_of(int fd)
{
	return fd >= 0 && fd < MAX_FD ? fds[fd].file : 0;
}

static int do_open(int (*call)(const char *path, int flags, ...),
		   const char *path, int flags, mode_t mode)
{
	bool writes = flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC);
	char buf[PATH_MAX];
	const char *name;
	struct stat st;
	bool isnew;
	int fd;

	pthread_mutex_lock(&guard);
	name = ours(path, buf);
	if (name && fails(writes ? "open" : "look")) {
		pthread_mutex_unlock(&guard);
		return -1;
	}
	isnew = stat(path, &st);
	fd = call(path, flags, mode);
	if (fd >= 0 && fd < MAX_FD) {
		fds[fd].file = name ? ++nr_files : 0;
		fds[fd].append = flags & O_APPEND;
		if (name)
			record(isnew ? "create" : flags & O_TRUNC ? "empty" :
			       "open", nr_files, 0, NULL, 0, name);
	}
	pthread_mutex_unlock(&guard);
	return fd;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return do_open(REAL(open), path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return do_open(REAL(open64), path, flags, mode);
}

int close(int fd)
{
	if (fd >= 0 && fd < MAX_FD)
		fds[fd].file = 0;
	return REAL(close)(fd);
}

ssize_t write(int fd, const void *data, size_t len)
{
	long long offset;
	ssize_t n;
	int file;

	pthread_mutex_lock(&guard);
	file = file_of(fd);
	if (!file) {
		pthread_mutex_unlock(&guard);
		return REAL(write)(fd, data, len);
	}
	if (fails("write")) {
		pthread_mutex_unlock(&guard);
		return -1;
	}
	offset = fds[fd].append ? lseek64(fd, 0, SEEK_END) :
				  lseek64(fd, 0, SEEK_CUR);
	n = REAL(write)(fd, data, len);
	if (n > 0)
		record("write", file, offset, data, n, NULL);
	pthread_mutex_unlock(&guard);
	return n;
}

/* Whoever calls this falls back on write(). */
ssize_t sendfile64(int out, int in, off64_t *offset, size_t len)
{
	if (!file_of(out))
		return REAL(sendfile64)(out, in, offset, len);
	errno = ENOTSOCK;
	return -1;
}

static int do_fd(const char *op, int (*call)(int fd), int fd)
{
	int ret, file;

	pthread_mutex_lock(&guard);
	file = file_of(fd);
	if (file && fails(op)) {
		pthread_mutex_unlock(&guard);
		return -1;
	}
	ret = call(fd);
	if (file && !ret)
		record(op, file, 0, NULL, 0, NULL);
	pthread_mutex_unlock(&guard);
	return ret;
}

int fsync(int fd)
{
	return do_fd("fsync", REAL(fsync), fd);
}

int fdatasync(int fd)
{
	return do_fd("fsync", REAL(fdatasync), fd);
}

int ftruncate64(int fd, off64_t size)
{
	int ret, file;

	pthread_mutex_lock(&guard);
	file = file_of(fd);
	ret = file && fails("truncate") ? -1 : REAL(ftruncate64)(fd, size);
	if (file && !ret)
		record("truncate", file, size, NULL, 0, NULL);
	pthread_mutex_unlock(&guard);
	return ret;
}

int rename(const char *from, const char *to)
{
	char buf1[PATH_MAX], buf2[PATH_MAX];
	const char *one, *two;
	int ret;

	pthread_mutex_lock(&guard);
	one = ours(from, buf1);
	two = ours(to, buf2);
	ret = two && fails("rename") ? -1 : REAL(rename)(from, to);
	if (!ret && one && two)
		record("rename", 0, 0, two, strlen(two), one);
	pthread_mutex_unlock(&guard);
	return ret;
}

static int do_path(const char *op, int (*call)(const char *path), const char *path)
{
	char buf[PATH_MAX];
	const char *name;
	int ret;

	pthread_mutex_lock(&guard);
	name = ours(path, buf);
	ret = name && fails(op) ? -1 : call(path);
	if (!ret && name)
		record(op, 0, 0, NULL, 0, name);
	pthread_mutex_unlock(&guard);
	return ret;
}

int unlink(const char *path)
{
	return do_path("unlink", REAL(unlink), path);
}

int rmdir(const char *path)
{
	return do_path("rmdir", REAL(rmdir), path);
}

int mkdir(const char *path, mode_t mode)
{
	char buf[PATH_MAX];
	const char *name;
	int ret;

	pthread_mutex_lock(&guard);
	name = ours(path, buf);
	ret = name && fails("mkdir") ? -1 : REAL(mkdir)(path, mode);
	if (!ret && name)
		record("mkdir", 0, 0, NULL, 0, name);
	pthread_mutex_unlock(&guard);
	return ret;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int ret = REAL(clock_gettime)(clock, t);

	if (!ret && clock == CLOCK_REALTIME && clock_from && nr_all >= clock_from)
		t->tv_sec += clock_jump;
	return ret;
}
