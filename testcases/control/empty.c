// SPDX-License-Identifier: GPL-2.0
/*
 * The control without a device: map and touch a few anonymous pages.  What
 * fails here is the lab's or the guest's fault, not the series'.
 */
#include "rmaplab.h"

#define NR 8

static void test_touch(void)
{
	char *base = anon_map(NR * PAGE_SIZE, 0);
	struct page_facts p;
	int i;

	for (i = 0; i < NR; i++)
		page_fill(base + i * PAGE_SIZE, i);
	for (i = 0; i < NR; i++) {
		p = page_facts(base + i * PAGE_SIZE);
		print_page(i, &p);
		watch_pfn(p.pfn);
		check(p.count == 1, "page %d: count=%lld", i,
		      (long long)p.count);
		check(page_intact(base + i * PAGE_SIZE, i), "page %d", i);
	}
	check_eq("PTEs present", count_ptes(base, NR, is_present), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "touch", .run = test_touch },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
