// SPDX-License-Identifier: GPL-2.0
/*
 * move_pages(MPOL_MF_MOVE_ALL) of anonymous pages that 1, 2, 16 or 64 processes
 * share after a fork.
 *
 * Each page gets another PFN, on the other node, and the same one in every
 * process: the walk replaced every PTE and put every PTE back.  The mapcount is
 * the number of processes that map it, the old page has none, and
 * pgmigrate_success counts the pages.  The data is intact, and still private:
 * what one process writes afterwards no other sees.
 *
 * A PTE that is left behind, or put back writable where it was read-only for
 * COW, shows in one of these.
 */
#include "move.h"
#include "sharers.h"

#define NR 16

static void test_move(void)
{
	long long moved;
	struct pfns old;
	char *addr;
	int i;

	require_node(1);
	addr = anon_map_on(0, NR);
	sharers_fork(subtest_arg());
	check_shared_by_all(addr, NR);
	old = pfns_of(addr, NR);

	moved = vmstat("pgmigrate_success");
	check_eq("pages that arrived", move_shared_pages(addr, NR, 1), NR);
	moved = vmstat("pgmigrate_success") - moved;
	check(moved >= NR, "pgmigrate_success rose by %lld", moved);
	check_eq("pages with their old PFN", pfns_kept(&old, addr), 0);
	check_shared_by_all(addr, NR);
	pfns_of(addr, NR);
	for (i = 0; i < NR; i++)
		check(!sharers_mapping(addr + i * PAGE_SIZE, old.pfn[i]),
		      "page %d: its old PFN is still mapped", i);
	check_rss_anon();
	check_intact_in_all(addr, NR);
	check_writes_are_private(addr, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "move", test_move),
		SHARED_BY(2, "move", test_move),
		SHARED_BY(16, "move", test_move),
		SHARED_BY(64, "move", test_move),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
