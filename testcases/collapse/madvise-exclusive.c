// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_COLLAPSE of a range of small pages, one of them exclusive; and of a THP
 * that has one present PTE and 511 exclusive ones.
 *
 * Memory is never collapsed while some of it is still exclusive; revoking the
 * access first is legal, and what both kernels do for the small pages.  For the
 * THP the unpatched kernel says EAGAIN: the THP there cannot be isolated, since
 * its mapcount does not explain its references.
 */
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define EXCLUSIVE_PAGE	101

static int mirrored(int dev, const char *head)
{
	int i, n = 0;

	for (i = 0; i < HPAGE_NR; i++)
		n += dmirror_has_exclusive(dev, head + i * PAGE_SIZE);
	return n;
}

static void check_collapsed(int dev, char *head)
{
	int ret = collapse(head, HPAGE_SIZE);

	check(!ret, "MADV_COLLAPSE: %s", strerror(-ret));
	check(is_thp(head), "no THP");
	check_eq("PTEs exclusive", count_ptes(head, HPAGE_NR, is_exclusive), 0);
	check_eq("pages mirrored", mirrored(dev, head), 0);
	check_eq("mapcount of the first page", page_facts(head).count, 1);
	check_rss_anon();
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
	if (is_thp(head))
		watch_pfn(page_facts(head).pfn);
}

static void test_small_pages(void)
{
	char *head = hpage_area(), *page = head + EXCLUSIVE_PAGE * PAGE_SIZE;
	int i, ret, dev = dmirror_open();

	require_errno(!madvise(head, HPAGE_SIZE, MADV_NOHUGEPAGE), "madvise");
	for (i = 0; i < HPAGE_NR; i++)
		page_fill(head + i * PAGE_SIZE, i);
	ret = dmirror_exclusive(dev, page, 1);
	require(!ret && is_exclusive(pagemap_entry(page)), "EXCLUSIVE: %s",
		strerror(-ret));
	require_errno(!madvise(head, HPAGE_SIZE, MADV_HUGEPAGE), "madvise");
	drain_lru_caches();
	check_collapsed(dev, head);
}

static void test_partial_thp(void)
{
	int dev = dmirror_open();
	char *head = partial_thp_map(dev);

	drain_lru_caches();
	check_collapsed(dev, head);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "small-pages", .run = test_small_pages },
		{ .name = "partial-thp", .run = test_partial_thp },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
