// SPDX-License-Identifier: GPL-2.0
/* The guest's console and kernel log. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "protocol.h"
#include "util.h"

static int kmsg_fd = -1;
static int consoles_fd = -1;	/* /proc/consoles */

/* The initramfs has no device nodes: so PID 1 may start without a console. */
void console_open(void)
{
	int fd;

	if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
		return;
	fd = open("/dev/console", O_RDWR | O_NOCTTY);
	/* Descriptors 0 to 2 must not become pipes or the port. */
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		return;
	while (fd < STDERR_FILENO)
		fd = dup(fd);
	dup2(fd, STDIN_FILENO);
}

void console_init(void)
{
	kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	consoles_fd = open("/proc/consoles", O_RDONLY | O_CLOEXEC);
}

void complain(const char *what, int err)
{
	dprintf(STDERR_FILENO, "rmaplab-agent: %s: %s\n", what, strerror(err));
}

/* KERN_ERR, because "quiet" hides everything from KERN_WARNING on. */
void kmsg_mark(const char *what, const char *text)
{
	char line[512];
	char *s;

	if (kmsg_fd < 0)
		return;
	snprintf(line, sizeof(line) - 1, "<3>" MARK_PREFIX "%s%s%s", what,
		 text ? " " : "", text ? text : "");
	for (s = line; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
	/*
	 * Without a newline the record may still be continued, and the console
	 * gets it when the next one comes (vprintk_store(), prb_commit()).
	 */
	*s++ = '\n';
	if (write(kmsg_fd, line, s - line) < 0)
		complain("/dev/kmsg", errno);
}

/*
 * Another CPU may still be printing.  Reading this file takes the console lock,
 * and giving that back prints what is left.
 */
void console_flush(void)
{
	char text[512];

	reread(consoles_fd, text, sizeof(text));
}
