// SPDX-License-Identifier: GPL-2.0
/*
 * KSM does not merge exclusive pages.
 *
 * On both kernels KSM looks for present PTEs: of pages with the same content it
 * merges the ordinary ones and leaves the exclusive ones exclusive, and merges
 * those too once the CPU has them back.
 */
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define NR	8
#define SIZE	(NR * 2 * PAGE_SIZE)
#define KSM	"/sys/kernel/mm/ksm/"
#define WAIT_MS	5000

static void ksm(const char *file, const char *text)
{
	char path[64] = KSM;
	int ret;

	strcat(path, file);
	ret = write_text(path, text);
	require(!ret, "%s = %s: %s", path, text, strerror(-ret));
}

/* A page is merged once it was seen unchanged in a scan before: so three. */
static void scan(void)
{
	long long until = read_number(KSM "full_scans") + 3;
	int waited = 0;

	ksm("run", "1");
	while (read_number(KSM "full_scans") < until)
		require(wait_again(&waited, WAIT_MS), "KSM does not scan");
	ksm("run", "0");
}

/*
 * KPF_KSM does not tell: 6.12 sets it for all anonymous memory, since
 * stable_page_flags() tests for any bit of PAGE_MAPPING_KSM.
 */
static int pages_at(uint64_t pfn, const char *base, int stride)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_facts(base + i * stride * PAGE_SIZE).pfn == pfn;
	return n;
}

static void test_skipped(void)
{
	char *control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	struct spaced e = spaced_map(NR);
	uint64_t pfn;
	int i;

	ksm("pages_to_scan", "10000");
	ksm("sleep_millisecs", "1");
	for (i = 0; i < NR; i++) {
		page_fill(control + i * PAGE_SIZE, 7);
		page_fill(spaced_page(&e, i), 7);
	}
	require_errno(!madvise(control, NR * PAGE_SIZE, MADV_MERGEABLE) &&
		      !madvise(e.base, SIZE, MADV_MERGEABLE), "MADV_MERGEABLE");
	spaced_make_exclusive(&e);
	drain_lru_caches();
	scan();
	pfn = page_facts(control).pfn;
	check_eq("ordinary pages merged", pages_at(pfn, control, 1), NR);
	check_eq("mapcount of the merged page", pfn_facts(pfn).count, NR);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_eq("pages mirrored", spaced_mirrored(&e), NR);
	check_eq("exclusive pages merged",
		 pages_at(pfn, spaced_page(&e, 0), 2), 0);
	for (i = 0; i < NR; i++)
		check(page_intact(spaced_page(&e, i), 7), "page %d", i);
	scan();
	check_eq("pages merged after their return",
		 pages_at(pfn, spaced_page(&e, 0), 2), NR);
	check_eq("mapcount of the merged page", pfn_facts(pfn).count, 2 * NR);
	for (i = 0; i < NR; i++)
		check(page_intact(spaced_page(&e, i), 7), "page %d", i);
}

static void unmerge(void)
{
	ksm("run", "2");
	ksm("run", "0");
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "skipped", .run = test_skipped, .after = unmerge },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
