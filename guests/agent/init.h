/* SPDX-License-Identifier: GPL-2.0 */
/* The agent as a process: PID 1 of a fast guest, or beside a distribution. */
#ifndef AGENT_INIT_H
#define AGENT_INIT_H

#include <stdbool.h>

#include "compiler.h"

extern bool is_init;		/* PID 1, with no other program around */

/* Bring mm's background threads to rest, and have the agent run at once. */
void come_to_rest(void);
/*
 * Fault in every buffer now, so that no sample of nr_anon_pages differs from
 * another by the agent's own pages.
 */
void touch_memory(void);
/* This process and its forks: not for the OOM killer, or like any other. */
void spare_from_oom(bool spare);
/* A distribution's init ends the guest when the agent is gone. */
void __noreturn power_off(int status);

#endif /* AGENT_INIT_H */
