// SPDX-License-Identifier: GPL-2.0
/*
 * Asking the agent for an audit: docs/audit.md.  The agent freezes our cgroup,
 * recounts the reverse map, and answers on a pipe of ours.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol.h"
#include "rmaplab.h"

/* The descriptor that the agent left us; -1: nobody audits. */
static int audit_fd(void)
{
	const char *fd = getenv(ENV_AUDIT);

	return fd ? atoi(fd) : -1;
}

/* False, with errno: the agent was not asked, or did not answer. */
static bool ask(int fd, const char *name)
{
	char line[96], byte;
	int answer[2], len;
	ssize_t n;

	if (pipe2(answer, O_CLOEXEC))
		return false;
	len = snprintf(line, sizeof(line), "%d %d %.60s\n", getpid(), answer[1],
		       name);
	do {
		n = write(fd, line, len);
	} while (n < 0 && errno == EINTR);
	while (n == len) {
		n = read(answer[0], &byte, 1);
		if (n < 0 && errno == EINTR)
			n = len;
	}
	close(answer[0]);
	close(answer[1]);
	return n == 1;
}

void audit_mark(const char *name)
{
	int fd = audit_fd();

	require_errno(fd < 0 || ask(fd, name), "audit at mark %s", name);
}

static const char *end_name;
static int end_pid;

static void mark_end(void)
{
	/* Not for what it forked: they inherit the handler. */
	if (getpid() != end_pid || ask(audit_fd(), end_name))
		return;
	diag("FAILED: audit at the end: %s", strerror(errno));
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

void audit_at_exit(const char *name)
{
	end_name = name;
	end_pid = getpid();
	if (audit_fd() >= 0 && atexit(mark_end))
		bail_out("atexit: %s", strerror(errno));
}
