// SPDX-License-Identifier: GPL-2.0
/*
 * move_pages() of a PMD-mapped THP of 1, 2, 16 or 64 processes: whole.
 *
 * It arrives as one folio of 512 pages, mapped by a PMD in every process: that
 * is what set_pmd_migration_entry() and remove_migration_pmd() are for.  So
 * thp_migration_success rises, AnonHugePages of the mapping stays at 2 MB, the
 * mapcount of every page is the number of processes, and the data is intact.
 * What one writes afterwards the others do not see.
 */
#include "move.h"
#include "sharers.h"

#define NR 16		/* pages that are looked at closely */

static long huge_kb(int who, long head)
{
	(void)who;
	return smaps_kb((void *)head, "AnonHugePages");
}

static void test_move(void)
{
	long long moved;
	uint64_t pfn;
	char *head;

	require_node(1);
	allocate_on(0);
	head = thp_map();
	allocate_anywhere();
	drain_lru_caches();
	if (!free_huge_blocks(1))
		skip("inconclusive: no free order-9 page on node 1");
	sharers_fork(subtest_arg());
	check_shared_by_all(head, NR);
	pfn = page_facts(head).pfn;

	moved = vmstat("thp_migration_success");
	check_eq("status, the node", move_shared_page(head, 1), 1);
	check_eq("thp_migration_success", vmstat("thp_migration_success") -
		 moved, 1);
	check(page_facts(head).pfn != pfn, "the THP has its old PFN");
	check(is_thp(head), "the THP is gone");
	pfns_of(head, HPAGE_NR);
	check_eq("AnonHugePages of all, kB",
		 sharers_call(huge_kb, (long)head), 2048L * sharers_nr());
	check_shared_by_all(head, NR);
	check_shared_by_all(head + (HPAGE_NR - 1) * PAGE_SIZE, 1);
	check_rss_anon();
	check_intact_in_all(head, sharers_nr() > 2 ? NR : HPAGE_NR);
	check_writes_are_private(head, NR);
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
