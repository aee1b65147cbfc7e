/* SPDX-License-Identifier: GPL-2.0 */
/* The cgroup of the running workload. */
#ifndef AGENT_CELL_H
#define AGENT_CELL_H

#include <stdbool.h>

bool cell_make(void);
/* Move this process into it. */
bool cell_join(void);
/* How many processes are in it. */
int cell_count(void);
void cell_kill(void);
/* 0 or errno */
int cell_remove(void);
/* Freeze and wait until all are frozen, or thaw. */
bool cell_freeze(bool freeze);

#endif /* AGENT_CELL_H */
