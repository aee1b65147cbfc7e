// SPDX-License-Identifier: GPL-2.0
/*
 * T6, the control: MADV_PAGEOUT on E0 does nothing.
 *
 * madvise_cold_or_pageout_pte_range() takes present PTEs only, on both kernels.
 * Ordinary pages of the same process, which are swapped out by the same call,
 * show that it works in this guest.
 */
#include <sys/mman.h>

#include "rmaplab.h"

#define NR 16

static void test_pageout(void)
{
	char *control;
	struct e0 e;
	int i;

	require_swap();
	control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < NR; i++)
		page_fill(control + i * PAGE_SIZE, i);
	e = e0_map(NR);
	e0_make_exclusive(&e);
	/* A page on its way to the LRU cannot be isolated from it. */
	drain_lru_caches();
	require_errno(!madvise(control, NR * PAGE_SIZE, MADV_PAGEOUT),
		      "MADV_PAGEOUT");
	if (count_ptes(control, NR, is_swapped) != NR)
		skip("inconclusive: MADV_PAGEOUT swapped %d of %d ordinary pages",
		     count_ptes(control, NR, is_swapped), NR);
	require_errno(!madvise(e.base, NR * 2 * PAGE_SIZE, MADV_PAGEOUT),
		      "MADV_PAGEOUT on E0");

	e0_print(&e);
	check_eq("PTEs exclusive", e0_count(&e, is_exclusive), NR);
	check_eq("pages mirrored", e0_mirrored(&e), NR);
	check_eq("pages intact", e0_intact(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "pageout", .run = test_pageout },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
