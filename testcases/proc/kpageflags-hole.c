// SPDX-License-Identifier: GPL-2.0
/*
 * kpageflags says KPF_NOPAGE of a page frame without memory: pagemap.rst has it
 * so, and a reader that takes no flags for a page would find one there.
 *
 * Frames without RAM in a section that has some are no hole: they have a struct
 * page, and are reserved.  So this looks at one frame of each section that is
 * between two ranges of RAM: a guest with a DIMM has many, below 4 GB.
 */
#include "rmaplab.h"

#define SECTION		(128UL << 20)	/* bytes, at most, where the lab runs */

static void test_nopage(void)
{
	uint64_t step = SECTION / PAGE_SIZE, end = ram_end(), pfn;
	int holes = 0, silent = 0;
	struct page_facts p;

	for (pfn = step; pfn + step <= end; pfn += step) {
		if (has_ram(pfn, pfn + step - 1))
			continue;
		p = pfn_facts(pfn);
		if (!holes++)
			print_page(0, &p);
		silent += !(p.flags & KPF_NOPAGE);
		check(!p.count, "PFN %#llx has a mapcount",
		      (unsigned long long)pfn);
	}
	require(holes, "the guest has no hole between its ranges of RAM");
	check_eq("holes without KPF_NOPAGE", silent, 0);
}

/* The other side: a page that is there has some flag, and not that one. */
static void test_page(void)
{
	char *base = anon_map(PAGE_SIZE, 0);
	struct page_facts p;

	page_fill(base, 1);
	p = page_facts(base);
	check(!(p.flags & KPF_NOPAGE) && p.flags & KPF_MMAP, "flags=%#llx",
	      (unsigned long long)p.flags);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "nopage", .run = test_nopage },
		{ .name = "page", .run = test_page },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
