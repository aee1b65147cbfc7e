/* SPDX-License-Identifier: GPL-2.0 */
/* The agent's event loop. */
#ifndef AGENT_LOOP_H
#define AGENT_LOOP_H

#include "compiler.h"

void __noreturn loop_run(void);

#endif /* AGENT_LOOP_H */
