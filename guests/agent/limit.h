/* SPDX-License-Identifier: GPL-2.0 */
/* The limit of a workload, and the killing of what it leaves. */
#ifndef AGENT_LIMIT_H
#define AGENT_LIMIT_H

#include <stdbool.h>
#include <sys/types.h>

#define KILL_MS		100	/* between two attempts to kill what is left */

struct limit {
	bool timeout;
	bool kill;		/* at the limit, or by a stop */
	int left;		/* processes that had to be killed */
	long long deadline, next_kill;	/* ms */
};

void limit_begin(struct limit *l, long limit_ms);
/* Kill the workload, of which PID is the first process. */
void limit_kill(struct limit *l, pid_t pid);
/* Kill it if the limit is over. */
void limit_enforce(struct limit *l, pid_t pid, long long now);
/* The first process is gone: kill those that it left. */
void limit_clear(struct limit *l);
/*
 * Kill again what did not die of it; with EVERYWHERE also what has left the
 * cgroup.
 */
void limit_kill_again(struct limit *l, bool everywhere, long long now);

#endif /* AGENT_LIMIT_H */
