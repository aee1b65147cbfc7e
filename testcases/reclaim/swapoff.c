// SPDX-License-Identifier: GPL-2.0
/*
 * swapoff brings back what 1, 2, 16 or 64 processes have in swap.
 *
 * Every PTE is present afterwards, untouched: one page for all, its mapcount the
 * number of processes, and the data is intact and private.  Swap is on again in
 * the end.
 */
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static void test_swapoff(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE), device[64];
	int ret;

	require_swap();
	require(swap_areas(device, sizeof(device)) == 1, "not one swap area");
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	check(reclaim_shared(addr, NR), "pages were not reclaimed");
	ret = swap_off(device);
	require(!ret, "swapoff: %s", strerror(-ret));
	check_shared_by_all(addr, NR);
	pfns_of(addr, NR);
	check_rss_anon();
	check_intact_in_all(addr, NR);
	check_writes_are_private(addr, NR);
	ret = swap_on(device);
	check(!ret, "swapon: %s", strerror(-ret));
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "swapoff", test_swapoff),
		SHARED_BY(2, "swapoff", test_swapoff),
		SHARED_BY(16, "swapoff", test_swapoff),
		SHARED_BY(64, "swapoff", test_swapoff),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
