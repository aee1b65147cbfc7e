// SPDX-License-Identifier: GPL-2.0
/* NUMA nodes: where a page is, and how to make it go elsewhere. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rmaplab.h"

#define MAX_NODES	64UL

void require_node(int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", node);
	if (!file_exists(path))
		skip("no NUMA node %d", node);
}

int move_page(void *page, int node)
{
	int status = -ENODATA;

	if (syscall(SYS_move_pages, 0, 1UL, &page, &node, &status,
		    MPOL_MF_MOVE) < 0)
		return -errno;
	return status;
}

int node_of(const void *page)
{
	int status = -ENODATA;

	require_errno(!syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0),
		      "move_pages, to ask");
	return status;
}

void allocate_on(int node)
{
	unsigned long nodes = 1UL << node;

	require_errno(!syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, MAX_NODES),
		      "set_mempolicy(node %d)", node);
}

void allocate_anywhere(void)
{
	require_errno(!syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL),
		      "set_mempolicy(default)");
}

int bind_range(void *addr, size_t size, int node)
{
	unsigned long nodes = 1UL << node;

	return syscall(SYS_mbind, addr, size, MPOL_BIND, &nodes, MAX_NODES,
		       MPOL_MF_MOVE | MPOL_MF_STRICT) ? -errno : 0;
}

unsigned long free_huge_blocks(int node)
{
	FILE *f = fopen("/proc/buddyinfo", "re");
	unsigned long blocks, nr = 0;
	char line[256], *s;
	int order, n, pos;

	require_errno(f, "/proc/buddyinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %d, zone %*s%n", &n, &pos) != 1 ||
		    n != node)
			continue;
		s = line + pos;
		for (order = 0; sscanf(s, "%lu%n", &blocks, &pos) == 1; order++) {
			if (order >= 9)
				nr += blocks;
			s += pos;
		}
	}
	fclose(f);
	return nr;
}

void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	require_errno(!sched_setaffinity(0, sizeof(set), &set),
		      "sched_setaffinity");
}
