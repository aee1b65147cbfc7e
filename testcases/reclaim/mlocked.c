// SPDX-License-Identifier: GPL-2.0
/*
 * Locked pages stay, and are locked as long as one mapping of them is.
 *
 * Ordinary pages of the same process are swapped out; the locked ones, which
 * two processes have locked, are unevictable (KPF_MLOCKED), present, and keep
 * their PFN.  One process unlocks: they are still locked by the other's VMA.
 * Both have unlocked: they are swapped out like any other.  vmstat counts them in
 * nr_mlock, once each, for as long as they are locked.
 *
 * after-migration: the same, after the pages moved: taking the PTEs out and
 * putting them back is where the lock has to come along.
 * failed-move: the same, after they failed to move, because a pipe holds a
 * reference: the PTEs were out, and are back.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static char *locked, *control;
static long long unlocked;	/* nr_mlock before anything is locked */

/* Without MLOCK_ONFAULT a page that is shared would be copied first. */
static long lock(int who, long on)
{
	int err = on ? mlock2(locked, NR * PAGE_SIZE, MLOCK_ONFAULT) :
		       munlock(locked, NR * PAGE_SIZE);

	require_errno(!err, "mlock2 or munlock by %d", who);
	return 0;
}

static int flagged(uint64_t flag)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += !!(page_facts(locked + i * PAGE_SIZE).flags & flag);
	return n;
}

static void map_and_lock(void)
{
	require_memcg();
	require_swap();
	control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	locked = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(locked, NR);
	unlocked = nr_mlock();
	sharers_fork(2);
	sharers_call(lock, 1);
	check_eq("nr_mlock", nr_mlock() - unlocked, NR);
	check_eq("pages locked", flagged(KPF_MLOCKED), NR);
	check_eq("pages unevictable", flagged(KPF_UNEVICTABLE), NR);
}

static bool control_is_out(const void *addr, int nr)
{
	return count_ptes(addr, nr, is_swapped) == nr;
}

static void check_locked_pages_stay(void)
{
	struct pfns old = pfns_of(locked, NR);

	pages_fill(control, NR);
	check(reclaim_until(control_is_out, control, NR),
	      "ordinary pages were not reclaimed");
	check_eq("locked pages that kept their PFN", pfns_kept(&old, locked),
		 NR);
	check_eq("pages locked", flagged(KPF_MLOCKED), NR);
}

static void check_both_unlock(void)
{
	sharer_call(1, lock, 0);
	drain_lru_caches();
	check_locked_pages_stay();
	check_eq("nr_mlock, one process unlocked", nr_mlock() - unlocked, NR);
	sharer_call(0, lock, 0);
	drain_lru_caches();
	check_eq("pages locked, all unlocked", flagged(KPF_MLOCKED), 0);
	check_eq("nr_mlock, all unlocked", nr_mlock() - unlocked, 0);
	check(reclaim_shared(locked, NR), "unlocked pages were not reclaimed");
	check_intact_in_all(locked, NR);
	sharers_end();
}

static void test_locked(void)
{
	map_and_lock();
	check_locked_pages_stay();
	check_both_unlock();
}

static void test_after_migration(void)
{
	struct pfns old;

	require_node(1);
	allocate_on(0);
	map_and_lock();
	old = pfns_of(locked, NR);
	check_eq("pages that arrived", move_shared_pages(locked, NR, 1), NR);
	check_eq("pages with their old PFN", pfns_kept(&old, locked), 0);
	allocate_anywhere();
	drain_lru_caches();
	check_eq("pages locked", flagged(KPF_MLOCKED), NR);
	check_both_unlock();
}

static void test_failed_move(void)
{
	int pipe, i, refused = 0;

	require_node(1);
	allocate_on(0);
	map_and_lock();
	allocate_anywhere();
	pipe = hold_references(locked, NR);
	for (i = 0; i < NR; i++)
		refused += move_shared_page(locked + i * PAGE_SIZE, 1) < 0;
	check_eq("pages that did not move", refused, NR);
	drop_references(pipe);
	drain_lru_caches();
	check_both_unlock();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "locked", .run = test_locked },
		{ .name = "after-migration", .run = test_after_migration },
		{ .name = "failed-move", .run = test_failed_move },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
