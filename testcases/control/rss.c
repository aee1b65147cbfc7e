// SPDX-License-Identifier: GPL-2.0
/*
 * VmRSS and smaps of exclusive pages: Rss stays, Private becomes Shared_Dirty.
 *
 * An exclusive entry counts as resident on every kernel, and smaps takes each
 * non-present PFN entry for "maybe shared".
 */
#include "rmaplab.h"

#define NR 64
#define KB (NR * (long)PAGE_SIZE / 1024)

static void test_rss(void)
{
	struct spaced e = spaced_map(NR);
	long long before;

	/* Once before, so that the process itself needs no new page later. */
	spaced_make_exclusive(&e);
	check_eq("pages intact", spaced_intact(&e), NR);
	if (!rss_is_exact())
		skip("this kernel caches RSS changes per task");
	check_rss_anon();

	before = status_kb("VmRSS");
	spaced_make_exclusive(&e);
	check_eq("change of VmRSS, kB", status_kb("VmRSS") - before, 0);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_rss_anon();
}

static void test_smaps(void)
{
	struct spaced e = spaced_map(NR);
	long long shared;

	check_eq("smaps Rss, kB", smaps_kb(e.base, "Rss"), KB);
	check_eq("smaps Private_Dirty, kB",
		 smaps_kb(e.base, "Private_Dirty"), KB);
	spaced_make_exclusive(&e);
	check_eq("smaps Rss, exclusive, kB", smaps_kb(e.base, "Rss"), KB);
	check_eq("smaps Anonymous, exclusive, kB",
		 smaps_kb(e.base, "Anonymous"), KB);
	/* Booted: 6.12 shows them as shared, 6.1 leaves them private. */
	shared = kernel_at_least(6, 12) ? KB : 0;
	check_eq("smaps Private_Dirty, exclusive, kB",
		 smaps_kb(e.base, "Private_Dirty"), KB - shared);
	check_eq("smaps Shared_Dirty, exclusive, kB",
		 smaps_kb(e.base, "Shared_Dirty"), shared);
	check_eq("smaps Swap, exclusive, kB", smaps_kb(e.base, "Swap"), 0);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "vm-rss", .run = test_rss },
		{ .name = "smaps", .run = test_smaps },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
