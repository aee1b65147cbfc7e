// SPDX-License-Identifier: GPL-2.0
/*
 * munlock() of pages in device memory, then they come back and are unmapped:
 * nr_mlock is where it began, and no page is left mlocked.
 *
 * Neither kernel does that.  Migration to the device mlocks the new page with
 * its reverse mapping (__folio_add_anon_rmap() calls mlock_vma_folio()), but
 * mlock_pte_range() leaves device memory out, and free_zone_device_folio() does
 * not take back what a page that is freed counts for: nr_mlock stays too high
 * for good.
 */
#include <sys/mman.h>

#include "rmaplab.h"

#define NR	8

static void test_munlock(void)
{
	long long before = nr_mlock();
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);

	e = spaced_map_for(e.dev, NR);
	spaced_mlock(&e);
	spaced_to_device(&e);
	spaced_munlock(&e);
	check_eq("nr_mlock, unlocked", nr_mlock() - before, 0);
	dmirror_to_system(e.dev, e.base, 2 * NR);
	check_eq("nr_mlock, back", nr_mlock() - before, 0);
	check_eq("pages with KPF_MLOCKED", spaced_flagged(&e, KPF_MLOCKED), 0);
	require_errno(!munmap(e.base, 2 * NR * PAGE_SIZE), "munmap");
	check_eq("nr_mlock, unmapped", nr_mlock() - before, 0);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private", .run = test_munlock, .arg = DEVICE_PRIVATE },
		{ .name = "coherent", .run = test_munlock,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
