// SPDX-License-Identifier: GPL-2.0
/*
 * Exclusive access to the first page of a THP: how many PTEs become exclusive,
 * and whether the THP is queued for a deferred split (split_deferred).
 *
 * One page was asked for, so one PTE becomes exclusive, the folio stays mapped
 * by all 512, and nobody queues it for a deferred split.  The unpatched kernel
 * walks the rmap of the whole folio: 512 PTEs, and split_deferred +1.
 */
#include <string.h>

#include "rmaplab.h"

static int mapcounts(const char *head)
{
	int i, n = 0;

	for (i = 0; i < HPAGE_NR; i++)
		n += page_facts(head + i * PAGE_SIZE).count;
	return n;
}

static void test_one_page(void)
{
	int dev = dmirror_open();
	char *head = thp_map();
	long long deferred = thp_stat("split_deferred");
	struct page_facts p;
	int i, ret;

	ret = dmirror_exclusive(dev, head, 1);
	require(!ret, "EXCLUSIVE(head, 1): %s", strerror(-ret));
	for (i = 0; i < HPAGE_NR; i += HPAGE_NR - 1) {
		p = page_facts(head + i * PAGE_SIZE);
		print_page(i, &p);
	}
	check_eq("PTEs exclusive", count_ptes(head, HPAGE_NR, is_exclusive), 1);
	check_eq("PTEs present", count_ptes(head, HPAGE_NR, is_present), 511);
	check_eq("sum of mapcounts", mapcounts(head), HPAGE_NR);
	if (deferred >= 0)
		check_eq("change of split_deferred",
			 thp_stat("split_deferred") - deferred, 0);
	check(is_thp(head), "the THP is gone");
	check_rss_anon();
	for (i = 0; i < HPAGE_NR; i++)
		check(page_intact(head + i * PAGE_SIZE, i), "page %d", i);
	check_eq("PTEs present, all touched",
		 count_ptes(head, HPAGE_NR, is_present), HPAGE_NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "one-page", .run = test_one_page },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
