// SPDX-License-Identifier: GPL-2.0
/*
 * split_huge_pages of a THP that has one present PTE and 511 exclusive ones.
 *
 * The THP is split and the data is intact: the split puts migration entries in
 * the place of exclusive ones, which revokes the device's access.  On the
 * unpatched kernel the THP remains, for its 511 exclusive entries hold
 * references that no mapcount explains.
 */
#include <string.h>

#include "rmaplab.h"

static int pages_of_thp(const char *head)
{
	int i, n = 0;

	for (i = 0; i < HPAGE_NR; i++)
		n += !!(page_facts(head + i * PAGE_SIZE).flags &
			(KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL));
	return n;
}

static int mapped_once(const char *head)
{
	int i, n = 0;

	for (i = 0; i < HPAGE_NR; i++)
		n += page_facts(head + i * PAGE_SIZE).count == 1;
	return n;
}

static void check_split(const char *head, int ret)
{
	require(!ret, "split_huge_pages: %s", strerror(-ret));
	check_eq("pages of a THP", pages_of_thp(head), 0);
	check_eq("PTEs present", count_ptes(head, HPAGE_NR, is_present),
		 HPAGE_NR);
	check_eq("pages with mapcount 1", mapped_once(head), HPAGE_NR);
	check_rss_anon();
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

static char *et(void)
{
	char *head = partial_thp_map(dmirror_open());

	/* A page on its way to the LRU has one reference more. */
	drain_lru_caches();
	return head;
}

static void test_all(void)
{
	char *head = et();

	check_split(head, split_all_thps());
}

static void test_range(void)
{
	char *head = et();

	check_split(head, split_thps(head, HPAGE_SIZE, 0));
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "all", .run = test_all },
		{ .name = "range", .run = test_range },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
