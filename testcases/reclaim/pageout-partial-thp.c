// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_PAGEOUT of a THP that has one present PTE and 511 exclusive ones.
 *
 * The present PTE leads to the THP, which is mapped in part: it is split, which
 * revokes the device's access to all of it, and the 512 pages are swapped out.
 * On the unpatched kernel the split fails, for the folio has references that
 * its mapcount does not explain: nothing is swapped, thp_split_page_failed + 1.
 *
 * An ordinary THP that is swapped out by the same call shows that there is
 * enough swap and that MADV_PAGEOUT works in this guest.
 */
#include <sys/mman.h>

#include "rmaplab.h"

static void test_pageout(void)
{
	int dev = dmirror_open();
	char *head, *control;
	long long failed;

	require_swap();
	control = thp_map();
	head = partial_thp_map(dev);
	pageout(control, HPAGE_NR);
	if (count_ptes(control, HPAGE_NR, is_swapped) != HPAGE_NR)
		skip("inconclusive: MADV_PAGEOUT swapped %d of %d ordinary pages",
		     count_ptes(control, HPAGE_NR, is_swapped), HPAGE_NR);
	failed = vmstat("thp_split_page_failed");
	pageout(head, HPAGE_NR);

	check_eq("thp_split_page_failed",
		 vmstat("thp_split_page_failed") - failed, 0);
	check_eq("pages swapped out", count_ptes(head, HPAGE_NR, is_swapped),
		 HPAGE_NR);
	check_eq("PTEs exclusive", count_ptes(head, HPAGE_NR, is_exclusive), 0);
	check_rss_anon();
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "pageout", .run = test_pageout },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
