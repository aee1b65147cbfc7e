// SPDX-License-Identifier: GPL-2.0
/*
 * PAGEMAP_SCAN with PM_SCAN_WP_MATCHING of exclusive pages, in a range that is
 * registered with a userfaultfd for UFFD_FEATURE_WP_ASYNC.
 *
 * The kernel says nothing: the scan write-protects exclusive entries like any
 * others; they then count as not written until the CPU writes, and their data
 * is kept.  On the unpatched kernel make_uffd_wp_pte() sets the uffd-wp bit of
 * an entry of the writable type, which page_table_check takes for a mistake: a
 * WARN.
 */
#include "rmaplab.h"

#define NR		8
#define SIZE		(NR * 2 * PAGE_SIZE)
#define NR_WRITTEN	3

static void test_scan(void)
{
	struct spaced e = spaced_map(NR);
	int i;

	uffd_open_wp_async(e.base, SIZE);
	spaced_make_exclusive(&e);
	/* Those that were never touched count as written too. */
	check_eq("pages written", pagemap_scan_written(e.base, SIZE, true),
		 2 * NR);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_eq("PTEs uffd-wp", spaced_count(&e, is_uffd_wp), NR);
	check_eq("pages written since", pagemap_scan_written(e.base, SIZE, false),
		 0);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("pages written by reading",
		 pagemap_scan_written(e.base, SIZE, false), 0);
	for (i = 0; i < NR_WRITTEN; i++)
		page_fill(spaced_page(&e, i), i);
	check_eq("pages written by writing",
		 pagemap_scan_written(e.base, SIZE, false), NR_WRITTEN);
	check_eq("pages intact", spaced_intact(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "scan", .run = test_scan },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
