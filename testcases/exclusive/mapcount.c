// SPDX-License-Identifier: GPL-2.0
/*
 * The mapcount of 64 exclusive pages in a memcg of their own, by kpagecount,
 * KPF_MMAP and memory.stat `anon`.
 *
 * A device-exclusive entry still maps its folio.  So on a fixed kernel each
 * page keeps mapcount 1, stays KPF_MMAP, and stays charged as `anon`; and the
 * same after the CPU took the page back.  The unpatched kernel unmaps the
 * folio: mapcount 0, KPF_MMAP clear, `anon` 64 pages lower.
 */
#include "rmaplab.h"

#define NR 64

static void check_still_mapped(const struct spaced *e)
{
	check_eq("sum of mapcounts", spaced_mapcounts(e), NR);
	check_eq("pages with KPF_MMAP", spaced_flagged(e, KPF_MMAP), NR);
	check_eq("pages with KPF_ANON", spaced_flagged(e, KPF_ANON), NR);
}

static void test_mapcount(void)
{
	struct spaced e = spaced_map(NR);

	spaced_make_exclusive(&e);
	spaced_print(&e);
	check_still_mapped(&e);
}

static void test_revoked(void)
{
	struct spaced e = spaced_map(NR);

	spaced_make_exclusive(&e);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("PTEs present", spaced_count(&e, is_present), NR);
	check_eq("pages mirrored", spaced_mirrored(&e), 0);
	spaced_print(&e);
	check_still_mapped(&e);
}

static void test_memcg_anon(void)
{
	long long before, exclusive, after;
	struct spaced e;

	require_memcg();
	e = spaced_map(NR);
	/* Once before, so that the process itself needs no new page later. */
	spaced_make_exclusive(&e);
	check_eq("pages intact", spaced_intact(&e), NR);
	memcg_stat("anon");

	before = memcg_stat("anon");
	spaced_make_exclusive(&e);
	exclusive = memcg_stat("anon");
	check_eq("pages intact", spaced_intact(&e), NR);
	after = memcg_stat("anon");
	diag("memory.stat anon: %lld, exclusive %lld, revoked %lld", before,
	     exclusive, after);
	check_eq("change of anon by EXCLUSIVE, pages",
		 (exclusive - before) / (long)PAGE_SIZE, 0);
	check_eq("change of anon over both, pages",
		 (after - before) / (long)PAGE_SIZE, 0);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "mapcount", .run = test_mapcount },
		{ .name = "mapcount-after-revoke", .run = test_revoked },
		{ .name = "memcg-anon", .run = test_memcg_anon },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
