// SPDX-License-Identifier: GPL-2.0
/*
 * A THP of which a part was unmapped is queued for a split, and reclaim does it.
 *
 * MADV_DONTNEED of the second half: the mapcounts of its 256 pages go to 0 and
 * those of the others stay 1, thp_deferred_split_page rises by one, and so does
 * nr_anon_partially_mapped where the kernel has it (6.12).  Under reclaim the
 * THP is split: the unmapped pages are free, the mapped ones keep PFN and data
 * or are swapped out, intact; nr_anon_partially_mapped falls again.
 *
 * shared: with a second process that still maps all of it, no page has mapcount
 * 0, and nothing is queued.
 */
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define HALF	(HPAGE_NR / 2)

static int mapcounts(const struct pfns *pfns, int from, int to)
{
	int i, n = 0;

	for (i = from; i < to; i++)
		n += pfn_facts(pfns->pfn[i]).count;
	return n;
}

static void unmap_half(char *head)
{
	require_errno(!madvise(head + HALF * PAGE_SIZE, HALF * PAGE_SIZE,
			       MADV_DONTNEED), "MADV_DONTNEED");
}

static bool is_split(const void *head, int nr)
{
	(void)nr;
	return !(page_facts(head).flags & KPF_THP);
}

static void test_unmap(void)
{
	long long deferred = vmstat("thp_deferred_split_page");
	long long partial = thp_stat("nr_anon_partially_mapped");
	char *head = thp_map();
	struct pfns old = pfns_of(head, HPAGE_NR);
	int i, anon = 0;

	require_memcg();
	require_swap();
	unmap_half(head);
	check_eq("mapcounts of the half that is mapped",
		 mapcounts(&old, 0, HALF), HALF);
	check_eq("mapcounts of the half that is not",
		 mapcounts(&old, HALF, HPAGE_NR), 0);
	check_eq("thp_deferred_split_page",
		 vmstat("thp_deferred_split_page") - deferred, 1);
	if (partial >= 0)
		check_eq("nr_anon_partially_mapped",
			 thp_stat("nr_anon_partially_mapped") - partial, 1);

	check(reclaim_until(is_split, head, HALF), "the THP was not split");
	for (i = HALF; i < HPAGE_NR; i++)
		anon += (pfn_facts(old.pfn[i]).flags & (KPF_ANON | KPF_THP)) ==
			(KPF_ANON | KPF_THP);
	check_eq("unmapped pages still in the THP", anon, 0);
	if (partial >= 0)
		check_eq("nr_anon_partially_mapped, after the split",
			 thp_stat("nr_anon_partially_mapped") - partial, 0);
	check_eq("pages intact", intact_pages(head, HALF), HALF);
	check_rss_anon();
}

static void test_shared(void)
{
	long long deferred = vmstat("thp_deferred_split_page");
	char *head = thp_map();
	struct pfns old = pfns_of(head, HPAGE_NR);

	sharers_fork(2);
	unmap_half(head);
	check_eq("mapcounts of the half that both map",
		 mapcounts(&old, 0, HALF), HPAGE_NR);
	check_eq("mapcounts of the half that one maps",
		 mapcounts(&old, HALF, HPAGE_NR), HALF);
	check_eq("thp_deferred_split_page",
		 vmstat("thp_deferred_split_page") - deferred, 0);
	sharers_end();
	check_eq("mapcounts of the half that nobody maps",
		 mapcounts(&old, HALF, HPAGE_NR), 0);
	check_eq("thp_deferred_split_page, the other process gone",
		 vmstat("thp_deferred_split_page") - deferred, 1);
	check_eq("pages intact", intact_pages(head, HALF), HALF);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "unmap", .run = test_unmap },
		{ .name = "shared", .run = test_shared },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
