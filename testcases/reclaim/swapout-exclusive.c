// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of exclusive pages from our cgroup (memory.reclaim): VmSwap and
 * pagemap.
 *
 * Exclusive access does not pin memory: reclaim revokes it and swaps the pages
 * out, and they come back with their data.  The unpatched kernel takes the
 * folios for unmapped and keeps them: VmSwap 0, still exclusive.
 *
 * Ordinary pages that were not touched since either show that reclaim works in
 * this guest.  memory.swap.current is no oracle: it rises on both kernels.
 */
#include <sys/mman.h>

#include "rmaplab.h"

#define NR		64
#define MAX_ROUNDS	20

static int reclaim_until_swapped(const struct spaced *e, const char *control)
{
	int round, ret, ordinary = 0;

	for (round = 0; round < MAX_ROUNDS; round++) {
		ret = memcg_reclaim_anon(16UL << 20);
		ordinary = count_ptes(control, NR, is_swapped);
		diag("memory.reclaim: %d, swapped: %d ordinary, %d exclusive",
		     ret, ordinary, spaced_count(e, is_swapped));
		if (ordinary == NR && spaced_count(e, is_swapped) == e->nr)
			break;
	}
	return ordinary;
}

static void test_swapout(void)
{
	struct spaced e;
	char *control;
	int i;

	require_memcg();
	require_swap();
	control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < NR; i++)
		page_fill(control + i * PAGE_SIZE, i);
	e = spaced_map(NR);
	spaced_make_exclusive(&e);
	if (reclaim_until_swapped(&e, control) != NR)
		skip("inconclusive: reclaim does not swap ordinary pages out");

	spaced_print(&e);
	diag("VmSwap: %lld kB", status_kb("VmSwap"));
	check_eq("exclusive pages swapped out", spaced_count(&e, is_swapped), NR);
	check_eq("PTEs still exclusive", spaced_count(&e, is_exclusive), 0);
	check_eq("pages still mirrored", spaced_mirrored(&e), 0);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("PTEs present, all touched", spaced_count(&e, is_present), NR);
	for (i = 0; i < NR; i++)
		check(page_intact(control + i * PAGE_SIZE, i),
		      "ordinary page %d", i);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "swapout", .run = test_swapout },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
