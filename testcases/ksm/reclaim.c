// SPDX-License-Identifier: GPL-2.0
/*
 * A KSM page with 3, 6, 48 or 192 mappings in 1 to 64 processes is reclaimed.
 *
 * Its PTEs are at addresses that have nothing to do with one another:
 * rmap_walk_ksm() finds them by the list of the stable node.  All of them become
 * swap entries, one and the same; read again, all have the data, and a write to
 * one is not seen by another.
 */
#include "ksm.h"
#include "move.h"
#include "sharers.h"

#define NR 3

static void test_reclaim(void)
{
	char *addr = ksm_map(NR);
	int all;

	require_ksm();
	require_memcg();
	require_swap();
	sharers_fork(subtest_arg());
	ksm_fill(addr, NR);
	ksm_merge(addr, NR);
	all = NR * sharers_nr();

	check(reclaim_shared(addr, NR), "PTEs that became swap entries: %d of %d",
	      sharers_count(addr, NR, is_swapped), all);
	check_eq("pages with one swap entry for all",
		 sharers_agreeing(addr, NR), NR);
	check(!((pagemap_entry(addr) ^ pagemap_entry(addr + PAGE_SIZE)) &
		PM_PFN_MASK),
	      "two pages of one process have different swap entries");
	check_rss_anon();
	check_eq("pages intact", ksm_intact(addr, NR), all);
	page_fill(addr, 77);
	check_eq("pages intact after one was written", ksm_intact(addr, NR),
		 all - 1);
	check(page_intact(addr, 77), "the page has other data than written");
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "reclaim", test_reclaim),
		SHARED_BY(2, "reclaim", test_reclaim),
		SHARED_BY(16, "reclaim", test_reclaim),
		SHARED_BY(64, "reclaim", test_reclaim),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
