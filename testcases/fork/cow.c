// SPDX-License-Identifier: GPL-2.0
/*
 * Copy on write among 2, 16 or 64 processes: each has what it wrote, the last
 * one to write needs no copy.
 *
 * Shared by N, a page has mapcount N.  A write by one of them takes one off, and
 * gives the writer a page of its own with mapcount 1.  When all others have
 * written or are gone, the one that is left writes to the page that it always
 * had: same PFN.  A page with a mapcount or an exclusive mark that is wrong is
 * copied without need, or written by two.
 */
#include <sys/mman.h>

#include "sharers.h"

#define NR 16

static long write_pages(int who, long addr)
{
	int i;

	for (i = 0; i < NR; i++)
		page_fill((char *)addr + i * PAGE_SIZE, 1000 * who + i);
	return 0;
}

static long own_intact(int who, long addr)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_intact((char *)addr + i * PAGE_SIZE, 1000 * who + i);
	return n;
}

static int mapcounts(const struct pfns *pfns)
{
	int i, n = 0;

	for (i = 0; i < pfns->nr; i++)
		n += pfn_facts(pfns->pfn[i]).count;
	return n;
}

static void test_cow(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	struct pfns first;
	int who, fell = 0, nr = subtest_arg();

	pages_fill(addr, NR);
	sharers_fork(nr);
	check_shared_by_all(addr, NR);
	first = pfns_of(addr, NR);
	/* A page on its way to the LRU has a reference more, and is copied. */
	drain_lru_caches();
	/* All but the first and the last write. */
	for (who = 1; who < nr - 1; who++) {
		sharer_call(who, write_pages, (long)addr);
		fell += mapcounts(&first) == NR * (nr - who);
	}
	check_eq("writes that took one off the mapcounts", fell, nr - 2);
	sharer_end(nr - 1);
	check_eq("mapcounts, one has it left", mapcounts(&first), NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	write_pages(0, (long)addr);
	check_eq("pages that were written in place", pfns_kept(&first, addr),
		 NR);
	for (who = 1, fell = 0; who < nr - 1; who++)
		fell += sharer_call(who, own_intact, (long)addr);
	check_eq("pages intact of those that wrote", fell, NR * (nr - 2));
	check_rss_anon();
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(2, "cow", test_cow),
		SHARED_BY(16, "cow", test_cow),
		SHARED_BY(64, "cow", test_cow),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
