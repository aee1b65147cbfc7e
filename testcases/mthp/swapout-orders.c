// SPDX-License-Identifier: GPL-2.0
/*
 * A folio of each order that the kernel offers below a PMD is swapped out, whole
 * or in pieces, and comes back.
 *
 * try_to_unmap_one() goes over all of its PTEs, in both processes that share it:
 * all of them are swap entries, one for each page, the same for both.  Read
 * again, the data is intact, and private.  swpout or swpout_fallback of the
 * order says which of the two it was.
 */
#include "move.h"
#include "mthp.h"
#include "sharers.h"

static void test_swapout(void)
{
	int order = subtest_arg(), nr = 1 << order, i, others = 0;
	long long whole = mthp_stat(order, "swpout");
	char *head;

	require_memcg();
	require_swap();
	head = mthp_map(order);
	sharers_fork(2);
	check_shared_by_all(head, nr);
	check(reclaim_shared(head, nr), "PTEs swapped out: %d of %d",
	      sharers_count(head, nr, is_swapped), 2 * nr);
	if (whole >= 0)
		diag("swpout: %lld", mthp_stat(order, "swpout") - whole);
	check_eq("pages with one swap entry for both",
		 sharers_agreeing(head, nr), nr);
	for (i = 1; i < nr; i++)
		others += pagemap_entry(head + i * PAGE_SIZE) !=
			  pagemap_entry(head + (i - 1) * PAGE_SIZE);
	check_eq("pages with an entry of their own", others, nr - 1);
	check_rss_anon();
	check_intact_in_all(head, nr);
	check_shared_by_all(head, nr);
	check_writes_are_private(head, 2);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		OF_ORDER(2, "swapout", test_swapout),
		OF_ORDER(3, "swapout", test_swapout),
		OF_ORDER(4, "swapout", test_swapout),
		OF_ORDER(5, "swapout", test_swapout),
		OF_ORDER(6, "swapout", test_swapout),
		OF_ORDER(7, "swapout", test_swapout),
		OF_ORDER(8, "swapout", test_swapout),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
