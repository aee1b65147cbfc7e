/* SPDX-License-Identifier: GPL-2.0 */
/* When instructions begin to be counted. */
#ifndef AGENT_EXACT_H
#define AGENT_EXACT_H

/* Sleep until the moment is 12 ms away. */
void exact_near_the_mark(void);
/* Wait for the moment itself; at its end without sleeping. */
void exact_wait_for_the_mark(void);

#endif /* AGENT_EXACT_H */
