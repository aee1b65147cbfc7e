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

static long write_one(int who, long addr)
{
	page_fill((char *)addr + (who % NR) * PAGE_SIZE, 1000 + who);
	return 0;
}

static long read_written(int who, long addr)
{
	return page_intact((const char *)addr + (who % NR) * PAGE_SIZE,
			   1000 + who);
}

static long own_pages(int who, long addr)
{
	int i, n = 0;

	(void)who;
	for (i = 0; i < NR; i++)
		n += page_facts((const char *)addr + i * PAGE_SIZE).count == 1;
	return n;
}

static void test_merge(void)
{
	char *addr = ksm_map(NR);
	uint64_t pfn;
	int all, last;

	require_ksm();
	sharers_fork(subtest_arg());
	ksm_fill(addr, NR);
	all = NR * sharers_nr();
	last = sharers_nr() - 1;
	ksm_merge(addr, NR);
	pfn = page_facts(addr + ((last + 1) % NR) * PAGE_SIZE).pfn;
	check_eq("mapcount of the page", pfn_facts(pfn).count, all);
	check_eq("pages intact", ksm_intact(addr, NR), all);

	sharer_call(last, write_one, (long)addr);
	check_eq("mapcount after one write", pfn_facts(pfn).count, all - 1);
	check_eq("PTEs that map it", ksm_mapping(addr, NR, pfn), all - 1);
	check_eq("the page has what was written",
		 sharer_call(last, read_written, (long)addr), 1);
	check_eq("pages intact, the others", ksm_intact(addr, NR), all - 1);

	ksm_unmerge();
	check_eq("pages of mapcount 1, taken apart",
		 sharers_call(own_pages, (long)addr), all);
	check_eq("pages intact", ksm_intact(addr, NR), all - 1);
	check_eq("the page has what was written",
		 sharer_call(last, read_written, (long)addr), 1);
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
