// SPDX-License-Identifier: GPL-2.0
/*
 * Saying which pages a subtest is about, for whoever looks into the guest's
 * memory when it has crashed: docs/postmortem.md.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol.h"
#include "rmaplab.h"

#define MAX_RANGES	16	/* of one process: a stress test maps many */

void postmortem_pages(const char *name, const void *addr, unsigned long nr)
{
	static const void *told[MAX_RANGES];
	static int nr_told, pid;
	int i;

	/* The agent is not to be woken up while instructions are counted. */
	if (getenv(ENV_EXACT))
		return;
	if (pid != getpid())
		nr_told = 0;
	pid = getpid();
	for (i = 0; i < nr_told; i++)
		if (told[i] == addr)
			return;
	if (nr_told == MAX_RANGES)
		return;
	told[nr_told++] = addr;
	printf(SAY_PREFIX SAY_PAGES " %d %#lx %lu %.*s\n", pid,
	       (unsigned long)addr, nr, PAGES_NAME_BYTES, name);
	fflush(stdout);
}
