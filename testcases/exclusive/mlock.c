// SPDX-License-Identifier: GPL-2.0
/*
 * nr_mlock and KPF_MLOCKED of locked memory that is made exclusive.
 *
 * The VMA is locked, and an exclusive entry maps its page in it: so the page
 * stays mlocked and is never swapped, munlock() ends that, and mlock() of
 * memory that is exclusive already counts.  The unpatched kernel unmaps the
 * folio, which munlocks it until the CPU touches it again.
 */
#include "rmaplab.h"

#define NR	16

static void check_locked(const struct spaced *e, long long before, int expected)
{
	check_eq("nr_mlock", nr_mlock() - before, expected);
	check_eq("pages with KPF_MLOCKED", spaced_flagged(e, KPF_MLOCKED), expected);
}

static void test_mlocked(void)
{
	long long before = nr_mlock();
	struct spaced e = spaced_map(NR);

	require_swap();
	spaced_mlock(&e);
	check_locked(&e, before, NR);
	spaced_make_exclusive(&e);
	spaced_print(&e);
	check_locked(&e, before, NR);
	diag("memory.reclaim: %d", memcg_reclaim_anon(16UL << 20));
	check_eq("pages swapped out", spaced_count(&e, is_swapped), 0);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_locked(&e, before, NR);
}

static void test_mlock_exclusive(void)
{
	long long before = nr_mlock();
	struct spaced e = spaced_map(NR);

	spaced_make_exclusive(&e);
	spaced_mlock(&e);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_locked(&e, before, NR);
}

static void test_munlock_exclusive(void)
{
	long long before = nr_mlock();
	struct spaced e = spaced_map(NR);

	spaced_mlock(&e);
	spaced_make_exclusive(&e);
	spaced_munlock(&e);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_locked(&e, before, 0);
	check_eq("pages unevictable", spaced_flagged(&e, KPF_UNEVICTABLE), 0);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_locked(&e, before, 0);
	check_eq("pages unevictable", spaced_flagged(&e, KPF_UNEVICTABLE), 0);
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
