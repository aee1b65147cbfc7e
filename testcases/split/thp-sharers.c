// SPDX-License-Identifier: GPL-2.0
/*
 * A THP of 1, 2, 16 or 64 processes is split into pages.
 *
 * The split takes every mapping out by migration entries and puts it back page
 * by page, so each of the 512 pages keeps its PFN, is no longer part of a folio,
 * is mapped by every process, and has its data; thp_split_page counts one.
 * None of them was soft-dirty, after clear_refs, and none is.  Private they are as
 * well: what one process writes no other sees.
 *
 * partial: a process that unmapped a page before the split has not got it back.
 *
 * pmd: where every process unmapped a page, the THP stays one and each process's
 * PMD becomes PTEs.  These are as private as the PMD was.
 */
#include <string.h>
#include <sys/mman.h>

#include "sharers.h"

#define NR	16
#define HOLE	3

static void split(char *head, struct pfns *old)
{
	long long splits = vmstat("thp_split_page");
	int i, ret, apart = 0;

	drain_lru_caches();
	ret = split_thps(head, HPAGE_SIZE, 0);
	require(!ret, "split_huge_pages: %s", strerror(-ret));
	check_eq("thp_split_page", vmstat("thp_split_page") - splits, 1);
	check_eq("pages with their PFN", pfns_kept(old, head), HPAGE_NR);
	for (i = 0; i < HPAGE_NR; i++)
		apart += !(pfn_facts(old->pfn[i]).flags &
			   (KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL));
	check_eq("pages that are no longer part of a folio", apart, HPAGE_NR);
}

static void test_split(void)
{
	char *head = thp_map();
	struct pfns old;
	int i, ret, right = 0;

	sharers_fork(subtest_arg());
	old = pfns_of(head, HPAGE_NR);
	ret = write_text("/proc/self/clear_refs", "4");
	require(!ret, "clear_refs: %s", strerror(-ret));

	split(head, &old);
	check_shared_by_all(head, HPAGE_NR);
	for (i = 0; i < HPAGE_NR; i++)
		right += !is_soft_dirty(pagemap_entry(head + i * PAGE_SIZE));
	check_eq("pages that are not soft-dirty", right, HPAGE_NR);
	check_rss_anon();
	check_intact_in_all(head, sharers_nr() > 2 ? NR : HPAGE_NR);
	check_writes_are_private(head, NR);
	sharers_end();
}

static long unmap_page(int who, long addr)
{
	(void)who;
	require_errno(!munmap((char *)addr + HOLE * PAGE_SIZE, PAGE_SIZE),
		      "munmap");
	return 0;
}

static void test_partial(void)
{
	char *head = thp_map(), *hole = head + HOLE * PAGE_SIZE;
	struct pfns old;

	sharers_fork(16);
	old = pfns_of(head, HPAGE_NR);
	sharers_call_others(unmap_page, (long)head);
	check_eq("mapcount of the hole's page", page_facts(hole).count, 1);

	split(head, &old);
	check_eq("sharers that map the hole's page",
		 sharers_mapping(hole, old.pfn[HOLE]), 1);
	check_eq("its mapcount", page_facts(hole).count, 1);
	check_shared_by_all(head, HOLE);
	check_shared_by_all(hole + PAGE_SIZE, HPAGE_NR - HOLE - 1);
	check_intact_in_all(head, HOLE);
	sharers_end();
}

static void test_pmd(void)
{
	char *head = thp_map(), *hole = head + HOLE * PAGE_SIZE;
	long long splits = vmstat("thp_split_page");
	struct pfns old;

	sharers_fork(16);
	old = pfns_of(head, HPAGE_NR);
	sharers_call(unmap_page, (long)head);
	check_eq("mapcount of the hole's page", pfn_facts(old.pfn[HOLE]).count,
		 0);
	check_eq("thp_split_page", vmstat("thp_split_page") - splits, 0);
	check(pfn_facts(old.pfn[HOLE + 1]).flags & KPF_COMPOUND_TAIL,
	      "the THP is no longer one");
	check_shared_by_all(hole + PAGE_SIZE, HPAGE_NR - HOLE - 1);
	check_intact_in_all(head, HOLE);
	check_writes_are_private(head, HOLE);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "split", test_split),
		SHARED_BY(2, "split", test_split),
		SHARED_BY(16, "split", test_split),
		SHARED_BY(64, "split", test_split),
		{ .name = "partial-16", .run = test_partial },
		{ .name = "pmd-16", .run = test_pmd },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
