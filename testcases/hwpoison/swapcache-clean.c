// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure in a page of which swap has a good copy hurts nobody.
 *
 * Pages of 2 or 16 processes were swapped out and read by all: they are in the
 * swap cache, clean.  On a failure try_to_unmap_one() must put their swap entries
 * back, not poisoned ones: all read the data again, from another page, without a
 * signal, and still have it to themselves.
 */
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 8

static void test_clean(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	int i, ret, cached = 0;
	struct pfns old;

	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	check(reclaim_shared(addr, NR), "pages were not reclaimed");
	check_intact_in_all(addr, NR);
	old = pfns_of(addr, NR);
	for (i = 0; i < NR; i++)
		cached += !!(pfn_facts(old.pfn[i]).flags & KPF_SWAPCACHE);
	if (cached != NR)
		skip("inconclusive: %d of %d pages in the swap cache", cached,
		     NR);
	drain_lru_caches();

	for (i = 0; i < NR; i++) {
		ret = hwpoison_pfn(old.pfn[i]);
		require(!ret, "corrupt-pfn, page %d: %s", i, strerror(-ret));
	}
	check_eq("swap entries in their place",
		 sharers_count(addr, NR, is_swapped), NR * sharers_nr());
	check_intact_in_all(addr, NR);
	check_eq("pages with their old PFN", pfns_kept(&old, addr), 0);
	pfns_of(addr, NR);
	check_shared_by_all(addr, NR);
	check_writes_are_private(addr, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "clean-2", test_clean, unpoison_watched, 2 },
		{ "clean-16", test_clean, unpoison_watched, 16 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
