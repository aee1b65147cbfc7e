/* SPDX-License-Identifier: GPL-2.0 */
/* What keeps a workload, which may be root, from the agent and its channels. */
#ifndef AGENT_PRIVILEGE_H
#define AGENT_PRIVILEGE_H

#include <stdbool.h>

/* Shut the agent off; called once, when its port and console are open. */
void privilege_init(void);
/*
 * Take from this process, which is about to execute a workload, what reaches
 * the agent.  False with errno.
 */
bool privilege_drop(void);

#endif /* AGENT_PRIVILEGE_H */
