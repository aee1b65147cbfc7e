// SPDX-License-Identifier: GPL-2.0
/* Subtests and KTAP: Documentation/dev-tools/ktap.rst */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol.h"
#include "rmaplab.h"

enum { PASS = 0, FAIL = 1, SKIP = 4 };

static bool failed;
static long current_arg;
static char *skip_reason;	/* shared with the subtest's process */
#define SKIP_REASON_MAX	256

static void vdiag(const char *prefix, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	printf("# %s%s\n", prefix, text);
}

void diag(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdiag("", fmt, ap);
	va_end(ap);
}

void check(bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return;
	va_start(ap, fmt);
	vdiag("FAILED: ", fmt, ap);
	va_end(ap);
	failed = true;
}

/* Says what it saw also when that is right: it is the evidence. */
void check_eq(const char *what, long long got, long long expected)
{
	if (got == expected) {
		diag("%s: %lld", what, got);
		return;
	}
	diag("FAILED: %s: %lld, expected %lld", what, got, expected);
	failed = true;
}

void require(bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return;
	va_start(ap, fmt);
	vdiag("FAILED: ", fmt, ap);
	va_end(ap);
	exit(FAIL);
}

void require_errno(bool ok, const char *fmt, ...)
{
	char text[256];
	int err = errno;
	va_list ap;

	if (ok)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	require(false, "%s: %s (errno %d)", text, strerror(err), err);
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skip_reason, SKIP_REASON_MAX, fmt, ap);
	va_end(ap);
	/* What failed before is not made good by a precondition unmet later. */
	exit(failed ? FAIL : SKIP);
}

void bail_out(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("Bail out! ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	exit(FAIL);
}

void child_done(void)
{
	exit(failed ? FAIL : PASS);
}

static int wait_for(int pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			bail_out("waitpid: %s", strerror(errno));
	return status;
}

void child_join(int pid)
{
	int status = wait_for(pid);

	if (WIFSIGNALED(status))
		check(false, "child died of signal %d", WTERMSIG(status));
	else
		check(!WEXITSTATUS(status), "child failed");
}

long subtest_arg(void)
{
	return current_arg;
}

/*
 * A line in the kernel log, so that what the kernel says until the next one is
 * known to be this subtest's.  Only root may; without it the whole test owns it,
 * and in exact mode, since the serial port's time is not exact.
 */
static void mark(const char *name)
{
	char line[256];
	int fd;

	if (getenv(ENV_EXACT))
		return;
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(line, sizeof(line), "<3>" MARK_PREFIX MARK_SUBTEST " %s\n",
		 name);
	if (write(fd, line, strlen(line)) < 0)
		diag("no mark of %s on the console: %s", name, strerror(errno));
	close(fd);
}

static int run_subtest(const struct subtest *t)
{
	int status;
	pid_t pid;

	skip_reason[0] = '\0';
	current_arg = t->arg;
	watch_reset();
	mark(t->name);
	pid = fork();
	if (pid < 0)
		bail_out("fork: %s", strerror(errno));
	if (!pid) {
		audit_at_exit(t->name);
		measure_whole_begin();
		t->run();
		measure_whole_end();
		child_done();
	}
	status = wait_for(pid);
	if (t->after)
		t->after();
	if (WIFSIGNALED(status)) {
		diag("FAILED: died of signal %d", WTERMSIG(status));
		return FAIL;
	}
	if (!watched_pfns_are_free())
		return FAIL;
	return WEXITSTATUS(status);
}

int ktap_run(const struct subtest *tests, size_t nr)
{
	bool any_failed = false;
	int result;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	skip_reason = mmap(NULL, SKIP_REASON_MAX, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skip_reason == MAP_FAILED)
		bail_out("mmap: %s", strerror(errno));

	printf("KTAP version 1\n1..%zu\n", nr);
	for (i = 0; i < nr; i++) {
		result = run_subtest(&tests[i]);
		if (result == SKIP)
			printf("ok %zu %s # SKIP %s\n", i + 1, tests[i].name,
			       skip_reason);
		else
			printf("%s %zu %s\n", result == PASS ? "ok" : "not ok",
			       i + 1, tests[i].name);
		any_failed |= result != PASS && result != SKIP;
	}
	return any_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
