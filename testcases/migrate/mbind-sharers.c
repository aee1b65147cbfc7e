// SPDX-License-Identifier: GPL-2.0
/*
 * mbind() moves what it may: MPOL_MF_MOVE the pages of this process alone,
 * MPOL_MF_MOVE_ALL those that others map too.
 *
 * Half of the pages were written after the fork, so they are this process's
 * own; the others are shared.  After MPOL_MF_MOVE the own ones have another
 * PFN, on the other node, and the shared ones theirs.  After MPOL_MF_MOVE_ALL
 * all are there, for all who map them, with mapcounts that fit.
 */
#define _GNU_SOURCE
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static void mbind_to(char *addr, int node, unsigned int flags)
{
	unsigned long nodes = 1UL << node;

	require_errno(!syscall(SYS_mbind, addr, NR * PAGE_SIZE, MPOL_BIND,
			       &nodes, 64UL, flags), "mbind");
}

static int pages_on(char *addr, int node)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += node_of(addr + i * PAGE_SIZE) == node;
	return n;
}

static void test_mbind(void)
{
	struct pfns old;
	char *addr;
	int i, own;

	require_node(1);
	addr = anon_map_on(0, NR);
	sharers_fork(subtest_arg());
	allocate_on(0);
	for (i = 0; i < NR; i += 2)
		page_fill(addr + i * PAGE_SIZE, i);
	allocate_anywhere();
	old = pfns_of(addr, NR);
	own = sharers_nr() == 1 ? NR : NR / 2;
	drain_lru_caches();

	mbind_to(addr, 1, MPOL_MF_MOVE);
	check_eq("pages moved by MPOL_MF_MOVE", NR - pfns_kept(&old, addr), own);
	check_eq("pages on the other node", pages_on(addr, 1), own);

	mbind_to(addr, 1, MPOL_MF_MOVE_ALL);
	check_eq("pages moved by MPOL_MF_MOVE_ALL",
		 NR - pfns_kept(&old, addr), NR);
	check_eq("pages on the other node", pages_on(addr, 1), NR);
	pfns_of(addr, NR);
	for (i = 1; i < NR; i += 2)
		check_shared_by_all(addr + i * PAGE_SIZE, 1);
	check_rss_anon();
	check_intact_in_all(addr, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "mbind", test_mbind),
		SHARED_BY(2, "mbind", test_mbind),
		SHARED_BY(16, "mbind", test_mbind),
		SHARED_BY(64, "mbind", test_mbind),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
