// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_COLLAPSE of anonymous pages, some shared, some swapped out.
 *
 * own: 512 pages of this process, every 16th swapped out, become one THP: the
 * PFNs are consecutive, and the data is intact.
 * shared: the same pages are mapped by 2 or 16 processes.  The caller gets the
 * THP, a copy; the others keep the old pages, each with a mapcount of one less
 * than before, and their data; and no write is seen across.
 */
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static char *map_pages(void)
{
	char *area = anon_map(2 * HPAGE_SIZE, MADV_NOHUGEPAGE);
	char *head = ptr_align(area, HPAGE_SIZE);

	pages_fill(head, HPAGE_NR);
	/* The setting thp-never does not forbid MADV_COLLAPSE, the VMA would. */
	require_errno(!madvise(area, 2 * HPAGE_SIZE, MADV_HUGEPAGE),
		      "MADV_HUGEPAGE");
	return head;
}

static void collapse_now(char *head)
{
	int ret;

	drain_lru_caches();
	ret = collapse(head, HPAGE_SIZE);
	require(!ret, "MADV_COLLAPSE: %s", strerror(-ret));
	check(is_thp(head), "no THP came of it");
	pfns_of(head, HPAGE_NR);
	check_rss_anon();
}

static void test_own(void)
{
	char *head = map_pages();
	int i;

	require_swap();
	drain_lru_caches();
	for (i = 0; i < HPAGE_NR; i += 16)
		require_errno(!madvise(head + i * PAGE_SIZE, PAGE_SIZE,
				       MADV_PAGEOUT), "MADV_PAGEOUT");
	check_eq("pages swapped out", count_ptes(head, HPAGE_NR, is_swapped),
		 HPAGE_NR / 16);
	collapse_now(head);
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

static void test_shared(void)
{
	char *head = map_pages();
	struct pfns old;
	int i, right = 0, others = 0;

	sharers_fork(subtest_arg());
	check_shared_by_all(head, HPAGE_NR);
	old = pfns_of(head, HPAGE_NR);
	/* Without a writable PTE in the range the kernel declines. */
	page_fill(head, 0);
	collapse_now(head);
	check_eq("pages of the caller with an old PFN", pfns_kept(&old, head), 0);
	for (i = 0; i < HPAGE_NR; i++) {
		right += (int)pfn_facts(old.pfn[i]).count == sharers_nr() - 1;
		others += page_facts(head + i * PAGE_SIZE).count == 1;
	}
	check_eq("old pages with a mapcount of one less", right, HPAGE_NR);
	check_eq("pages of the THP with mapcount 1", others, HPAGE_NR);
	check_eq("sharers that map the old last page",
		 sharers_mapping(head + (HPAGE_NR - 1) * PAGE_SIZE,
				 old.pfn[HPAGE_NR - 1]), sharers_nr() - 1);
	check_intact_in_all(head, NR);
	check_writes_are_private(head, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "own", .run = test_own },
		SHARED_BY(2, "shared", test_shared),
		SHARED_BY(16, "shared", test_shared),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
