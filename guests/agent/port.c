// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio-serial port.
 *
 * The host side comes and goes: a guest is saved, and its clones meet a new
 * QEMU.  While nobody is connected the port polls EPOLLHUP without end
 * (drivers/char/virtio_console.c, port_fops_poll()), so it is watched edge
 * triggered, by an epoll instance that poll() sees as one descriptor.  The
 * edge is only a wakeup: port_service() takes it, then writes and reads until
 * EAGAIN.  What it read must be served before the agent sleeps.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "port.h"
#include "protocol.h"

#define PORT_CLASS	"/sys/class/virtio-ports"
#define PORT_WAIT_MS	30000
#define PORT_RETRY_MS	20

static int port_fd = -1;
static int epoll_fd = -1;

static char in_buf[MAX_REQUEST];
static size_t in_len;
static bool in_skip;		/* in the rest of a line that was too long */
static bool in_too_long;
static bool gone;		/* the device was taken away */

static char out_buf[256 * 1024];
static size_t out_len;
static bool out_mid_line;	/* the host has the front of out_buf's line */
static bool out_skip;		/* drop the line being written up to its end */

static bool is_our_port(const char *device)
{
	char path[PATH_MAX], name[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), PORT_CLASS "/%s/name", device);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, name, sizeof(name) - 1);
	close(fd);
	if (n <= 0)
		return false;
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return !strcmp(name, AGENT_PORT);
}

static int try_open(void)
{
	DIR *dir = opendir(PORT_CLASS);
	struct dirent *entry;
	char path[PATH_MAX];
	int fd = -1;

	if (!dir)
		return -1;
	while (fd < 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !is_our_port(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	closedir(dir);
	return fd;
}

/*
 * The port's name arrives in a control message after the device was probed, so
 * it may appear after user space started.
 */
bool port_open(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int waited;

	for (waited = 0; waited < PORT_WAIT_MS; waited += PORT_RETRY_MS) {
		port_fd = try_open();
		if (port_fd >= 0)
			break;
		poll(NULL, 0, PORT_RETRY_MS);
	}
	if (port_fd < 0)
		return false;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return false;
	return !epoll_ctl(epoll_fd, EPOLL_CTL_ADD, port_fd, &ev);
}

int port_poll_fd(void)
{
	return epoll_fd;
}

size_t port_room(void)
{
	return sizeof(out_buf) - out_len;
}

/* -- out ---------------------------------------------------------------- */

static void consume_out(size_t n)
{
	out_len -= n;
	memmove(out_buf, out_buf + n, out_len);
}

/* The next host must not see the end of a line whose start another one has. */
static void forget_sent_line(void)
{
	char *nl;

	if (!out_mid_line)
		return;
	nl = memchr(out_buf, '\n', out_len);
	if (nl) {
		consume_out(nl + 1 - out_buf);
	} else {
		out_len = 0;
		out_skip = true;
	}
	out_mid_line = false;
}

void port_write(void)
{
	struct pollfd pfd = { .fd = port_fd, .events = POLLOUT };
	ssize_t n;

	poll(&pfd, 1, 0);
	if (pfd.revents & POLLHUP) {
		forget_sent_line();
		return;
	}
	while (out_len) {
		n = write(port_fd, out_buf, out_len);
		if (n <= 0)
			return;
		out_mid_line = out_buf[n - 1] != '\n';
		consume_out(n);
	}
}

/*
 * Wait until the host took some bytes.  False: nobody is connected.  Called
 * while no workload runs, or when port_room() was looked at before.
 */
static bool wait_for_host(void)
{
	struct pollfd pfd = { .fd = port_fd, .events = POLLOUT };

	if (poll(&pfd, 1, -1) < 0)
		return errno == EINTR;
	if (pfd.revents & POLLHUP)
		return false;
	port_write();
	return true;
}

/* Cut the unfinished line, the last one, off a buffer that nobody empties. */
static void drop_last_line(void)
{
	char *nl = memrchr(out_buf, '\n', out_len);

	out_len = nl ? nl + 1 - out_buf : 0;
	out_skip = true;
}

void port_put(const char *s, size_t len)
{
	size_t n;

	while (len && !out_skip) {
		n = port_room() < len ? port_room() : len;
		memcpy(out_buf + out_len, s, n);
		out_len += n;
		s += n;
		len -= n;
		if (len && !wait_for_host())
			drop_last_line();
	}
}

void port_end_line(void)
{
	port_put("\n", 1);
	out_skip = false;
}

void port_flush(void)
{
	while (out_len && wait_for_host())
		;
}

/* -- in ----------------------------------------------------------------- */

static char *end_of_last_line(void)
{
	return memrchr(in_buf, '\n', in_len);
}

static void skip_long_line(void)
{
	char *nl = memchr(in_buf, '\n', in_len);

	if (!nl) {
		in_len = 0;
		return;
	}
	in_len -= nl + 1 - in_buf;
	memmove(in_buf, nl + 1, in_len);
	in_skip = false;
}

static void read_in(void)
{
	ssize_t n;

	while (in_len < sizeof(in_buf)) {
		n = read(port_fd, in_buf + in_len, sizeof(in_buf) - in_len);
		if (n == 0) {
			/* The host left: so half a request has no other half. */
			char *nl = end_of_last_line();

			in_len = nl ? nl + 1 - in_buf : 0;
			in_skip = false;
			return;
		}
		if (n < 0) {
			gone = gone || errno == ENODEV;
			return;
		}
		in_len += n;
		if (in_skip)
			skip_long_line();
	}
	if (!end_of_last_line()) {
		in_len = 0;
		in_skip = true;
		in_too_long = true;
	}
}

/*
 * Whether the port has bytes that read_in() would take.  To be asked before
 * every sleep: a poll() of the port, such as port_write()'s, fetches a used
 * buffer from the ring (virtio_console.c, port_has_data()); if it does so
 * before the buffer's interrupt, vring_interrupt() finds nothing more used,
 * nobody calls in_intr(), and the edge that epoll waits for never comes.
 */
bool port_has_input(void)
{
	struct pollfd pfd = { .fd = port_fd, .events = POLLIN };

	if (in_len == sizeof(in_buf))
		return false;
	poll(&pfd, 1, 0);
	return (pfd.revents & POLLIN) && !(pfd.revents & POLLHUP);
}

void port_service(void)
{
	struct epoll_event ev;

	epoll_wait(epoll_fd, &ev, 1, 0);
	port_write();
	read_in();
}

bool port_is_gone(void)
{
	return gone;
}

/* Take the first line that is wanted (NULL: any) out of the buffer. */
bool port_line(char *line, bool (*wanted)(const char *line))
{
	char *s = in_buf, *nl;
	size_t len;

	while ((nl = memchr(s, '\n', in_buf + in_len - s))) {
		len = nl - s;
		memcpy(line, s, len);
		line[len] = '\0';
		if (!wanted || wanted(line)) {
			in_len -= len + 1;
			memmove(s, nl + 1, in_buf + in_len - s);
			/* A NUL would hide what follows; no word has a \1. */
			for (; len; len--)
				if (!line[len - 1])
					line[len - 1] = '\1';
			return true;
		}
		s = nl + 1;
	}
	return false;
}

bool port_line_too_long(void)
{
	bool was = in_too_long;

	in_too_long = false;
	return was;
}
