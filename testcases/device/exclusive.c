// SPDX-License-Identifier: GPL-2.0
/*
 * Exclusive access and device memory.  EXCLUSIVE on a page in private memory
 * brings it back first; on a coherent page it is granted in place.  An exclusive
 * page does not migrate to the device, which the driver does not report.  Data
 * and RSS are kept, and the CPU gets the page back with mapcount 1.
 */
#include <string.h>

#include "rmaplab.h"

#define NR 8

static void check_back(const struct spaced *e)
{
	check_eq("pages intact", spaced_intact(e), NR);
	check_eq("PTEs present", spaced_count(e, is_present), NR);
	check_eq("pages mirrored", spaced_mirrored(e), 0);
	dmirror_to_system(e->dev, e->base, 2 * NR);
	check_eq("sum of mapcounts", spaced_mapcounts(e), NR);
	check_rss_anon();
}

static void test_of_device_page(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int i, ret;

	for (i = 0; i < NR; i++) {
		ret = dmirror_exclusive(e.dev, spaced_page(&e, i), 1);
		check(!ret, "EXCLUSIVE on page %d: %s", i, strerror(-ret));
	}
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_rss_anon();
	check_back(&e);
}

static void test_to_device(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);

	e = spaced_map_for(e.dev, NR);
	drain_lru_caches();
	spaced_make_exclusive(&e);
	dmirror_to_device(e.dev, e.base, 2 * NR);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_eq("exclusive pages that migrated", spaced_on_device(&e), 0);
	check_rss_anon();
	check_back(&e);
	spaced_to_device(&e);
	check_eq("pages intact, there", spaced_intact(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-page", .run = test_of_device_page,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-page", .run = test_of_device_page,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-migrates", .run = test_to_device,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-migrates", .run = test_to_device,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
