/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The audit: recount the reverse map from outside the kernel.  docs/audit.md
 * says what is compared and what is left out.
 */
#ifndef AGENT_AUDIT_H
#define AGENT_AUDIT_H

#include <stdbool.h>

#include "request.h"

/* Allocate and look at everything once, before the first sample. */
void audit_init(void);
/* The request "audit": whether workloads are audited from now on. */
void audit_request(const struct request *rq);
bool audit_wanted(void);
/*
 * Before the fork of a workload: TO is the end of the pipe that takes its
 * marks, or -1 if no audit is wanted.
 */
bool audit_open(int *to);
/* In the child: the variable that names the descriptor, or NULL. */
char *audit_environment(int fd);
/* Readable when the workload has set a mark; -1 without one. */
int audit_fd(void);
void audit_close(void);
void audit_serve_marks(long id);
void audit_end(long id);

#endif /* AGENT_AUDIT_H */
