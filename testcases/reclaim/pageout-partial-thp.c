// SPDX-License-Identifier: GPL-2.0
/*
 * T6: MADV_PAGEOUT on partial ET.
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

static void pageout(char *head)
{
	/* A page on its way to the LRU cannot be isolated from it. */
	drain_lru_caches();
	require_errno(!madvise(head, HPAGE_SIZE, MADV_PAGEOUT), "MADV_PAGEOUT");
}

static void test_pageout(void)
{
	int dev = dmirror_open();
	char *head, *control;
	long long failed;

	require_swap();
	control = thp_map();
	head = et_map(dev);
	pageout(control);
	if (count_ptes(control, HPAGE_NR, is_swapped) != HPAGE_NR)
		skip("inconclusive: MADV_PAGEOUT swapped %d of 512 ordinary pages",
		     count_ptes(control, HPAGE_NR, is_swapped));
	failed = vmstat("thp_split_page_failed");
	pageout(head);

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
