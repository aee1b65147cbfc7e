// SPDX-License-Identifier: GPL-2.0
/*
 * For testing the lab: has the OOM killer kill a child, by SysRq-f, and
 * declares that notice, so that the cell passes with the splat listed.
 * Oracle: the child dies of SIGKILL.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmaplab.h"

static void set_adj(const char *value)
{
	require(!write_text("/proc/self/oom_score_adj", value), "oom_score_adj");
}

static void oom(void)
{
	int status, pid;

	set_adj("1000");	/* the child's, from its first moment on */
	pid = fork();
	require_errno(pid >= 0, "fork");
	if (!pid)
		for (;;)
			pause();
	set_adj("-999");
	require(!write_text("/proc/sysrq-trigger", "f"), "SysRq-f");
	require_errno(waitpid(pid, &status, 0) == pid, "waitpid");
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "the child ended with status %#x", status);
}

static const struct subtest tests[] = {
	{ .name = "oom", .run = oom },
};

int main(void)
{
	return ktap_run(tests, ARRAY_SIZE(tests));
}
