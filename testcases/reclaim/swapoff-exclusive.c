// SPDX-License-Identifier: GPL-2.0
/*
 * swapoff after reclaim of exclusive pages.
 *
 * swapoff succeeds on both kernels: every page that reclaim swapped out is
 * present again, or still exclusive if reclaim could not take it, with its data
 * and mapped once; and no swap entry is left in the page table.
 *
 * Ordinary pages show that there was something to swap out.
 */
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define NR		64
#define MAX_ROUNDS	20

static void swap_out(const struct spaced *e, const char *control)
{
	int round;

	for (round = 0; round < MAX_ROUNDS; round++) {
		memcg_reclaim_anon(16UL << 20);
		if (count_ptes(control, NR, is_swapped) == NR &&
		    spaced_count(e, is_swapped) == NR)
			break;
	}
	diag("swapped out: %d ordinary, %d exclusive",
	     count_ptes(control, NR, is_swapped), spaced_count(e, is_swapped));
}

static void test_swapoff(void)
{
	char device[64], *control;
	struct spaced e;
	int i, ret;

	require_memcg();
	require_swap();
	require(swap_areas(device, sizeof(device)) == 1, "not one swap area");
	control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < NR; i++)
		page_fill(control + i * PAGE_SIZE, i);
	e = spaced_map(NR);
	spaced_make_exclusive(&e);
	swap_out(&e, control);
	if (count_ptes(control, NR, is_swapped) != NR)
		skip("inconclusive: reclaim does not swap ordinary pages out");

	ret = swap_off(device);
	check(!ret, "swapoff %s: %s", device, strerror(-ret));
	check_eq("ordinary pages present", count_ptes(control, NR, is_present),
		 NR);
	check_eq("PTEs present or exclusive", spaced_count(&e, is_present) +
		 spaced_count(&e, is_exclusive), NR);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("sum of mapcounts", spaced_mapcounts(&e), NR);
	check_eq("ordinary pages intact", intact_pages(control, NR), NR);
	ret = swap_on(device);
	check(!ret, "swapon %s: %s", device, strerror(-ret));
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "swapoff", .run = test_swapoff },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
