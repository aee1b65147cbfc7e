/* SPDX-License-Identifier: GPL-2.0 */
/* The process of a workload, from its fork to its execve. */
#ifndef AGENT_STAGE_H
#define AGENT_STAGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "request.h"

/* A process in the cell's cgroup that waits for what to execute. */
struct staged {
	pid_t pid;
	int go_fd;		/* takes what to execute */
	int out_fd, err_fd;	/* reading ends */
};

/* Make the cgroup and the process.  Returns what failed, or NULL. */
const char *stage_process(struct staged *s);
/*
 * Have it execute the words of RQ from the fourth on.  False: it could not be
 * told, and is gone.
 */
bool stage_go(struct staged *s, const struct request *rq, uid_t uid, bool exact);

#endif /* AGENT_STAGE_H */
