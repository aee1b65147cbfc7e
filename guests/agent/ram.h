/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the RAM is, by /proc/iomem: what kpageflags says of other page frames
 * differs between kernels.
 */
#ifndef AGENT_RAM_H
#define AGENT_RAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Read the ranges from a file such as /proc/iomem; NULL for one that is not there. */
unsigned long ram_read(FILE *f);
/* Look again: memory may have been plugged in.  Returns the PFN behind all RAM. */
unsigned long ram_look(void);
/* Whether a page frame is RAM: if in doubt, it is. */
bool ram_has(uint64_t pfn);

#endif /* AGENT_RAM_H */
