// SPDX-License-Identifier: GPL-2.0
/*
 * T1: 64 x E0 in its own memcg: kpagecount, KPF_MMAP, memory.stat `anon`.
 *
 * A device-exclusive entry still maps its folio.  So on a fixed kernel each
 * page keeps mapcount 1, stays KPF_MMAP, and stays charged as `anon`; and the
 * same after the CPU took the page back.  The unpatched kernel unmaps the
 * folio: mapcount 0, KPF_MMAP clear, `anon` 64 pages lower.
 */
#include "rmaplab.h"

#define NR 64

static void check_still_mapped(const struct e0 *e)
{
	check_eq("sum of mapcounts", e0_mapcounts(e), NR);
	check_eq("pages with KPF_MMAP", e0_flagged(e, PF_MMAP), NR);
	check_eq("pages with KPF_ANON", e0_flagged(e, PF_ANON), NR);
}

static void test_mapcount(void)
{
	struct e0 e = e0_map(NR);

	e0_make_exclusive(&e);
	e0_print(&e);
	check_still_mapped(&e);
}

static void test_revoked(void)
{
	struct e0 e = e0_map(NR);

	e0_make_exclusive(&e);
	check_eq("pages intact", e0_intact(&e), NR);
	check_eq("PTEs present", e0_count(&e, is_present), NR);
	check_eq("pages mirrored", e0_mirrored(&e), 0);
	e0_print(&e);
	check_still_mapped(&e);
}

static void test_memcg_anon(void)
{
	long long before, exclusive, after;
	struct e0 e;

	require_memcg();
	e = e0_map(NR);
	/* Once before, so that the process itself needs no new page later. */
	e0_make_exclusive(&e);
	check_eq("pages intact", e0_intact(&e), NR);
	memcg_stat("anon");

	before = memcg_stat("anon");
	e0_make_exclusive(&e);
	exclusive = memcg_stat("anon");
	check_eq("pages intact", e0_intact(&e), NR);
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
