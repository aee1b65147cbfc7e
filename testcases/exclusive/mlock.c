// SPDX-License-Identifier: GPL-2.0
/*
 * T2: mlock, EXCLUSIVE, drop_caches: nr_mlock, KPF bit 33.
 *
 * The VMA is locked, and an exclusive entry maps its page in it: so the page
 * stays mlocked and is never swapped, munlock() ends that, and mlock() of
 * memory that is exclusive already counts.  The unpatched kernel unmaps the
 * folio, which munlocks it until the CPU touches it again.
 */
#include "rmaplab.h"

#define NR	16

static void check_locked(const struct e0 *e, long long before, int expected)
{
	check_eq("nr_mlock", nr_mlock() - before, expected);
	check_eq("pages with KPF_MLOCKED", e0_flagged(e, PF_MLOCKED), expected);
}

static void test_mlocked(void)
{
	long long before = nr_mlock();
	struct e0 e = e0_map(NR);

	require_swap();
	e0_mlock(&e);
	check_locked(&e, before, NR);
	e0_make_exclusive(&e);
	e0_print(&e);
	check_locked(&e, before, NR);
	diag("memory.reclaim: %d", memcg_reclaim_anon(16UL << 20));
	check_eq("pages swapped out", e0_count(&e, is_swapped), 0);
	check_eq("pages intact", e0_intact(&e), NR);
	check_locked(&e, before, NR);
}

static void test_mlock_exclusive(void)
{
	long long before = nr_mlock();
	struct e0 e = e0_map(NR);

	e0_make_exclusive(&e);
	e0_mlock(&e);
	check_eq("PTEs exclusive", e0_count(&e, is_exclusive), NR);
	check_locked(&e, before, NR);
}

static void test_munlock_exclusive(void)
{
	long long before = nr_mlock();
	struct e0 e = e0_map(NR);

	e0_mlock(&e);
	e0_make_exclusive(&e);
	e0_munlock(&e);
	check_eq("PTEs exclusive", e0_count(&e, is_exclusive), NR);
	check_locked(&e, before, 0);
	check_eq("pages unevictable", e0_flagged(&e, PF_UNEVICTABLE), 0);
	check_eq("pages intact", e0_intact(&e), NR);
	check_locked(&e, before, 0);
	check_eq("pages unevictable", e0_flagged(&e, PF_UNEVICTABLE), 0);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "mlocked", .run = test_mlocked },
		{ .name = "mlock-exclusive", .run = test_mlock_exclusive },
		{ .name = "munlock-exclusive", .run = test_munlock_exclusive },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
