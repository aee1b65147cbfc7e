// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of anonymous pages that 1, 2, 16 or 64 processes share after a fork,
 * by either LRU.
 *
 * try_to_unmap_one() puts one and the same swap entry into the PTE of every
 * process: pagemap shows it.  Read by all, the pages are intact, one page again
 * serves all who read it, and what one writes no other sees.  Written again and
 * swapped out again, the pages come back with what was written last: a dirty
 * PTE that is not noticed would bring back the old data.
 */
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static void test_swap(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);

	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	check_shared_by_all(addr, NR);
	pfns_of(addr, NR);

	check(reclaim_shared(addr, NR), "not all PTEs were unmapped: %d of %d",
	      sharers_count(addr, NR, is_swapped), NR * sharers_nr());
	check_eq("pages with one swap entry for all",
		 sharers_agreeing(addr, NR), NR);
	check_rss_anon();
	check_intact_in_all(addr, NR);
	check_eq("PTEs present, all read",
		 sharers_count(addr, NR, is_present), NR * sharers_nr());
	check_writes_are_private(addr, NR);

	check(reclaim_shared(addr, NR), "not all PTEs were unmapped again");
	check_eq("pages with what was written last",
		 sharers_own_intact(addr, NR), NR * sharers_nr());
	sharers_end();
}

static void test_classic(void)
{
	choose_lru(false);
	test_swap();
}

static void test_generations(void)
{
	choose_lru(true);
	test_swap();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "classic", test_classic),
		SHARED_BY(2, "classic", test_classic),
		SHARED_BY(16, "classic", test_classic),
		SHARED_BY(64, "classic", test_classic),
		SHARED_BY(1, "generations", test_generations),
		SHARED_BY(2, "generations", test_generations),
		SHARED_BY(16, "generations", test_generations),
		SHARED_BY(64, "generations", test_generations),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
