// SPDX-License-Identifier: GPL-2.0
/*
 * Exclusive access to the second page of a THP.
 *
 * It succeeds as for any other page, and the PTE of that page alone is
 * exclusive.
 * The unpatched kernel refuses tail pages: -EBUSY.
 */
#include "rmaplab.h"

static void test_tail_page(void)
{
	int dev = dmirror_open();
	char *head = thp_map();
	char *tail = head + PAGE_SIZE;
	struct page_facts p;

	check_eq("EXCLUSIVE(head + 4K, 1)", dmirror_exclusive(dev, tail, 1), 0);
	p = page_facts(tail);
	print_page(1, &p);
	check(is_exclusive(p.pagemap), "the tail page's PTE is not exclusive");
	check_eq("PTEs exclusive", count_ptes(head, HPAGE_NR, is_exclusive), 1);
	check(dmirror_has_exclusive(dev, tail), "the device has no access");
	check(page_intact(tail, 1), "the tail page lost its data");
	check(is_present(pagemap_entry(tail)), "the CPU did not get it back");
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "tail-page", .run = test_tail_page },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
