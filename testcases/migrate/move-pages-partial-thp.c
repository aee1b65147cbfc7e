// SPDX-License-Identifier: GPL-2.0
/*
 * move_pages() to another node, of page 0 of a THP that has one present PTE and
 * 511 exclusive ones.
 *
 * The status is the node, all pages are present with their data.  The unpatched
 * kernel crashes: its try_to_migrate_one() takes the PFN of an exclusive entry
 * by pte_pfn(), which is another page's: kernel BUG under DEBUG_VM_PGFLAGS,
 * else corruption.
 *
 * Without a free order-9 page on the target node the migration would split the
 * THP, or fail, on either kernel: inconclusive.
 */
#include "rmaplab.h"

#define SOURCE	0
#define TARGET	1

static char *et_map_on_source(int dev)
{
	char *head;

	allocate_on(SOURCE);
	head = partial_thp_map(dev);
	allocate_anywhere();
	return head;
}

static void test_move_pages(void)
{
	uint64_t pfn;
	int dev;
	char *head;

	require_node(TARGET);
	dev = dmirror_open();
	head = et_map_on_source(dev);
	drain_lru_caches();
	if (!free_huge_blocks(TARGET))
		skip("inconclusive: no free order-9 page on node %d", TARGET);
	pfn = page_facts(head).pfn;

	diag("move_pages(page 0 of a partly exclusive THP -> node %d)", TARGET);
	check_eq("status, the node", move_page(head, TARGET), TARGET);
	check(page_facts(head).pfn != pfn, "page 0 still has its PFN");
	if (page_facts(head).pfn != pfn)
		watch_pfn(page_facts(head).pfn);
	check_eq("PTEs present", count_ptes(head, HPAGE_NR, is_present),
		 HPAGE_NR);
	check(is_thp(head), "the THP is gone");
	check_rss_anon();
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "move-pages", .run = test_move_pages },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
