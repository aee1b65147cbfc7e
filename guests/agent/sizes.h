/* SPDX-License-Identifier: GPL-2.0 */
/* The sizes of pages, asked once at start. */
#ifndef AGENT_SIZES_H
#define AGENT_SIZES_H

extern unsigned long page_size, hpage_size;	/* bytes; the latter of a PMD */
extern int page_shift;

/* After /sys is mounted. */
void sizes_init(void);
/* The variable that tells a workload of hpage_size. */
char *sizes_environment(void);

#endif /* AGENT_SIZES_H */
