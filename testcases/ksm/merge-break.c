// SPDX-License-Identifier: GPL-2.0
/*
 * KSM makes one page of equal ones, and a write takes a page out of it again.
 *
 * 1, 2, 16 or 64 processes have 3 pages each with the same data.  Merged, all
 * PTEs map one PFN, and its mapcount is their number.  write_protect_page() has
 * to have made each of them read-only: so a write by one process to one page
 * gives that page another PFN, the data written, and takes one off the mapcount,
 * while all other PTEs keep the page and its data.  Taken apart (ksm/run = 2),
 * no two PTEs have a page in common, and each has its data.
 */
#include "ksm.h"
#include "sharers.h"

#define NR 3

static char *addr;

static long write_page(int who, long i)
{
	page_fill(addr + i * PAGE_SIZE, 1000 + NR * who + i);
	return 0;
}

static long read_written(int who, long i)
{
	return page_intact(addr + i * PAGE_SIZE, 1000 + NR * who + i);
}

static long own_pages(int who, long arg)
{
	int i, n = 0;

	(void)who;
	(void)arg;
	for (i = 0; i < NR; i++)
		n += page_facts(addr + i * PAGE_SIZE).count == 1;
	return n;
}

/* Write one page after the other, until FEWEST are left in the KSM page. */
static void write_down_to(int fewest, uint64_t pfn)
{
	int left = NR * sharers_nr(), who, i, right = 0, writes = 0;

	for (who = sharers_nr() - 1; who >= 0; who--) {
		for (i = NR - 1; i >= 0 && left > fewest; i--) {
			sharer_call(who, write_page, i);
			left--;
			writes++;
			right += (int)pfn_facts(pfn).count == left &&
				 ksm_mapping(addr, NR, pfn) == left &&
				 ksm_intact(addr, NR) == left &&
				 sharer_call(who, read_written, i);
		}
	}
	check_eq("writes that took one page out, and no other", right, writes);
}

static void test_merge(void)
{
	uint64_t pfn;
	int all, left;

	addr = ksm_map(NR);
	require_ksm();
	sharers_fork(subtest_arg());
	ksm_fill(addr, NR);
	all = NR * sharers_nr();
	/* One of the pages became the KSM page itself: with few, write all. */
	left = sharers_nr() > 2 ? all - NR : 1;
	ksm_merge(addr, NR);
	pfn = page_facts(addr).pfn;
	check_eq("mapcount of the page", pfn_facts(pfn).count, all);
	check_eq("pages intact", ksm_intact(addr, NR), all);
	write_down_to(left, pfn);

	ksm_unmerge();
	check_eq("pages of mapcount 1, taken apart", sharers_call(own_pages, 0),
		 all);
	check_eq("pages intact", ksm_intact(addr, NR), left);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "merge", test_merge),
		SHARED_BY(2, "merge", test_merge),
		SHARED_BY(16, "merge", test_merge),
		SHARED_BY(64, "merge", test_merge),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
