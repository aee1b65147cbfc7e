// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_PAGEOUT of exclusive pages does nothing.
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
	struct spaced e;
	int i;

	require_swap();
	control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < NR; i++)
		page_fill(control + i * PAGE_SIZE, i);
	e = spaced_map(NR);
	spaced_make_exclusive(&e);
	pageout(control, NR);
	if (count_ptes(control, NR, is_swapped) != NR)
		skip("inconclusive: MADV_PAGEOUT swapped %d of %d ordinary pages",
		     count_ptes(control, NR, is_swapped), NR);
	pageout(e.base, 2 * NR);

	spaced_print(&e);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_eq("pages mirrored", spaced_mirrored(&e), NR);
	check_eq("pages intact", spaced_intact(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "pageout", .run = test_pageout },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
