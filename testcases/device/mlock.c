// SPDX-License-Identifier: GPL-2.0
/*
 * mlock and device memory: a locked page counts as mlocked before it migrates
 * to the device, there, and when it is back; munlock() then brings nr_mlock
 * back to where it began.  (munlock() of a page that is there: device/munlock.)
 */
#include "rmaplab.h"

#define NR	8

static void test_mlock(void)
{
	long long before = nr_mlock();
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);

	e = spaced_map_for(e.dev, NR);
	spaced_mlock(&e);
	check_eq("nr_mlock", nr_mlock() - before, NR);
	spaced_to_device(&e);
	check_eq("nr_mlock, on the device", nr_mlock() - before, NR);
	dmirror_to_system(e.dev, e.base, 2 * NR);
	check_eq("pages on the device", spaced_on_device(&e), 0);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("nr_mlock, back", nr_mlock() - before, NR);
	check_eq("pages with KPF_MLOCKED", spaced_flagged(&e, KPF_MLOCKED), NR);
	spaced_munlock(&e);
	check_eq("nr_mlock, unlocked", nr_mlock() - before, 0);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private", .run = test_mlock, .arg = DEVICE_PRIVATE },
		{ .name = "coherent", .run = test_mlock,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
