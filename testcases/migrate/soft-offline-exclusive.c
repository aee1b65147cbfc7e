// SPDX-License-Identifier: GPL-2.0
/*
 * Soft offline of an exclusive page.
 *
 * It succeeds, the PFN changes, the data is intact, and the next device read
 * faults: the page is migrated like any other, which revokes the device's
 * access.  The unpatched kernel finds one reference too many for mapcount 0:
 * EBUSY, the PFN is the same.
 *
 * The page is given by its physical address: MADV_SOFT_OFFLINE would touch it.
 */
#include <string.h>

#include "rmaplab.h"

#define NR 4

static void test_soft_offline(void)
{
	uint64_t old[NR], faults;
	struct page_facts p;
	struct spaced e;
	int i, ret;

	e = spaced_map(NR);
	spaced_make_exclusive(&e);
	for (i = 0; i < NR; i++) {
		old[i] = spaced_facts(&e, i).pfn;
		ret = soft_offline_pfn(old[i]);
		check(!ret, "soft offline of page %d: %s", i, strerror(-ret));
	}
	for (i = 0; i < NR; i++) {
		p = spaced_facts(&e, i);
		print_page(i, &p);
		check(p.pfn != old[i], "page %d still has its PFN", i);
		check(p.count == 1, "page %d: count=%lld", i,
		      (long long)p.count);
		if (p.pfn)
			watch_pfn(p.pfn);
	}
	check_eq("pages still mirrored", spaced_mirrored(&e), 0);
	check_rss_anon();
	for (i = 0; i < NR; i++) {
		faults = 0;
		check(dmirror_page_intact(e.dev, spaced_page(&e, i), i, &faults),
		      "page %d: the device reads other data", i);
		check(faults == 1, "page %d: the device read faulted %lld times",
		      i, (long long)faults);
	}
	check_eq("pages intact", spaced_intact(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "soft-offline", .run = test_soft_offline,
		  .after = unpoison_watched },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
