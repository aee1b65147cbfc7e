// SPDX-License-Identifier: GPL-2.0
/*
 * A page that a memory failure took is no memory of its process any more.
 *
 * Its PTE is a hwpoison entry, which maps nothing: the mapcount is 0, and RssAnon gives
 * the page up.  smaps goes by the page tables, and has to say the same: of 8 pages, 2 of
 * which are poisoned, Rss and Anonymous are 6.  Kernels that take every entry with a PFN
 * for a mapping say 8.
 */
#include <sys/mman.h>

#include "sharers.h"

#define NR	8
#define BAD	2

static void test_anon(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	struct pfns old;
	int i;

	pages_fill(addr, NR);
	old = pfns_of(addr, NR);
	drain_lru_caches();
	check_eq("Anonymous, kB", smaps_kb(addr, "Anonymous"),
		 NR * PAGE_SIZE / 1024);
	for (i = 0; i < BAD; i++)
		poison_pfn(old.pfn[3 * i + 1]);
	check_eq("PTEs present", count_ptes(addr, NR, is_present), NR - BAD);
	check_eq("Anonymous, kB, of 6 pages", smaps_kb(addr, "Anonymous"),
		 (NR - BAD) * PAGE_SIZE / 1024);
	check_eq("Rss, kB, of 6 pages", smaps_kb(addr, "Rss"),
		 (NR - BAD) * PAGE_SIZE / 1024);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "anon", .run = test_anon, .after = unpoison_watched },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
