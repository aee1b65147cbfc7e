// SPDX-License-Identifier: GPL-2.0
/*
 * Half of a THP is locked: that half is not reclaimed.
 *
 * The kernel takes a large folio for mlocked only if the whole of it is in a
 * VM_LOCKED VMA.  So this one is on the evictable list, and reclaim's walks meet
 * the VMA: they must leave the folio mapped, or split it and take the other half
 * alone.  Ordinary pages are swapped out meanwhile; after 8 rounds more every
 * locked page is present, where it was, with its data.  Unlocked, all pages are
 * swapped out.
 */
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define HALF		(HPAGE_NR / 2)
#define NR		16
#define ROUNDS		8

static bool all_out(const void *addr, int nr)
{
	return count_ptes(addr, nr, is_swapped) == nr;
}

static void test_half(void)
{
	char *head, *control;
	struct pfns old;
	int round;

	require_memcg();
	require_swap();
	head = thp_map();
	control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(control, NR);
	require_errno(!mlock(head, HALF * PAGE_SIZE), "mlock");
	check(!(page_facts(head).flags & KPF_MLOCKED),
	      "the kernel takes all of the THP for locked");
	old = pfns_of(head, HALF);

	check(reclaim_until(all_out, control, NR),
	      "ordinary pages were not reclaimed");
	for (round = 0; round < ROUNDS; round++) {
		memcg_stat("anon");
		memcg_reclaim_anon(16UL << 20);
	}
	diag("pages out of the half that is not locked: %d",
	     count_ptes(head + HALF * PAGE_SIZE, HALF, is_swapped));
	check_eq("locked pages present", count_ptes(head, HALF, is_present),
		 HALF);
	check_eq("locked pages with their PFN", pfns_kept(&old, head), HALF);
	check_eq("locked pages intact", intact_pages(head, HALF), HALF);

	require_errno(!munlock(head, HALF * PAGE_SIZE), "munlock");
	check(reclaim_until(all_out, head, HPAGE_NR),
	      "unlocked pages were not reclaimed");
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "half", .run = test_half },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
