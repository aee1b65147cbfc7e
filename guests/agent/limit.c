// SPDX-License-Identifier: GPL-2.0
/* The limit of a workload, and the killing of what it leaves. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cell.h"
#include "console.h"
#include "init.h"
#include "limit.h"
#include "util.h"

void limit_begin(struct limit *l, long limit_ms)
{
	*l = (struct limit){ .deadline = now_ms() + limit_ms };
}

void limit_kill(struct limit *l, pid_t pid)
{
	int others = cell_count() - 1;

	/* Under way to exec, the process may not be in the cgroup yet. */
	if (!l->kill && others > 0)
		l->left = others;
	l->kill = true;
	kill(pid, SIGKILL);
	cell_kill();
	l->next_kill = now_ms() + KILL_MS;
}

void limit_enforce(struct limit *l, pid_t pid, long long now)
{
	if (now < l->deadline || l->timeout)
		return;
	l->timeout = true;
	limit_kill(l, pid);
}

void limit_clear(struct limit *l)
{
	int left = cell_count();

	if (!l->kill)
		l->left = left;
	if (left)
		cell_kill();
	l->next_kill = now_ms() + KILL_MS;
}

/* The children that came to us, PROC_CHILDREN; theirs come when those are dead. */
static void kill_children(void)
{
	char path[64];
	FILE *children;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	if (!children) {
		complain(path, errno);
		return;
	}
	while (fscanf(children, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(children);
}

/*
 * As PID 1 we can kill every process but ourselves: also those that left the
 * cgroup, which only a workload of UID 0 can do.  Beside a distribution's
 * programs we kill what descends from us.
 */
void limit_kill_again(struct limit *l, bool everywhere, long long now)
{
	if (now < l->next_kill)
		return;
	l->next_kill = now + KILL_MS;
	if (!everywhere) {
		cell_kill();
		return;
	}
	if (is_init)
		kill(-1, SIGKILL);
	else
		kill_children();
	if (!l->left)
		l->left = 1;
}
