// SPDX-License-Identifier: GPL-2.0
/*
 * A folio of each order below a PMD that is mapped in part is queued, and is
 * split into pages that are as they were.
 *
 * One page unmapped: its mapcount is 0, that of the others 1, and the order's
 * split_deferred rises by one.  Split by debugfs: every page that is mapped
 * keeps its PFN and data and is no part of a folio; the unmapped one is free.
 */
#include <string.h>
#include <sys/mman.h>

#include "mthp.h"
#include "sharers.h"

static void test_split(void)
{
	int order = subtest_arg(), nr = 1 << order, i, ret, ones = 0, parts = 0;
	long long deferred = mthp_stat(order, "split_deferred");
	char *head = mthp_map(order);
	struct pfns old = pfns_of(head, nr);

	drain_lru_caches();
	/* The last page: the rest is one range still. */
	require_errno(!munmap(head + (nr - 1) * PAGE_SIZE, PAGE_SIZE), "munmap");
	for (i = 0; i < nr - 1; i++)
		ones += pfn_facts(old.pfn[i]).count == 1;
	check_eq("pages of mapcount 1", ones, nr - 1);
	check_eq("mapcount of the unmapped page",
		 pfn_facts(old.pfn[nr - 1]).count, 0);
	if (deferred >= 0)
		check_eq("split_deferred",
			 mthp_stat(order, "split_deferred") - deferred, 1);

	ret = split_thps(head, (nr - 1) * PAGE_SIZE, 0);
	require(!ret, "split_huge_pages: %s", strerror(-ret));
	old.nr = nr - 1;
	check_eq("pages with their PFN", pfns_kept(&old, head), nr - 1);
	for (i = 0; i < nr - 1; i++)
		parts += !!(pfn_facts(old.pfn[i]).flags &
			    (KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL));
	check_eq("pages that are still part of a folio", parts, 0);
	check_shared_by_all(head, nr - 1);
	check_eq("pages intact", intact_pages(head, nr - 1), nr - 1);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		OF_ORDER(2, "split", test_split),
		OF_ORDER(3, "split", test_split),
		OF_ORDER(4, "split", test_split),
		OF_ORDER(5, "split", test_split),
		OF_ORDER(6, "split", test_split),
		OF_ORDER(7, "split", test_split),
		OF_ORDER(8, "split", test_split),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
