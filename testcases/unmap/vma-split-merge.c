// SPDX-License-Identifier: GPL-2.0
/*
 * Pages are found through VMAs that were split and merged.
 *
 * The mapping of 48 pages is cut by mprotect(), which makes three VMAs of it,
 * every second process makes one of them again, every third unmaps the pages in
 * the middle, every fifth moves the last third away and back.  Reclaim then swaps
 * out what each has left, soft offline moves it: no PTE keeps an old page, what
 * was unmapped stays so, and the data is where it was.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define THIRD	16
#define NR	(3 * THIRD)

static char *addr;

static bool has_middle(int who)
{
	return who % 3 != 2;
}

static void protect(int prot)
{
	require_errno(!mprotect(addr + THIRD * PAGE_SIZE, THIRD * PAGE_SIZE,
				prot), "mprotect");
}

static void away_and_back(void)
{
	size_t size = THIRD * PAGE_SIZE;
	char *last = addr + 2 * size, *to, *back;

	to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require_errno(to != MAP_FAILED, "mmap");
	to = mremap(last, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	require_errno(to != MAP_FAILED, "mremap away");
	back = mremap(to, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, last);
	require_errno(back == last, "mremap back");
}

static long cut(int who, long arg)
{
	(void)arg;
	protect(PROT_READ);
	if (who % 2)
		protect(PROT_READ | PROT_WRITE);
	if (who % 5 == 4)
		away_and_back();
	if (!has_middle(who))
		require_errno(!munmap(addr + THIRD * PAGE_SIZE,
				      THIRD * PAGE_SIZE), "munmap");
	return 0;
}

static long intact(int who, long arg)
{
	int n = 0;

	(void)arg;
	for (int i = 0; i < NR; i++)
		if (has_middle(who) || i < THIRD || i >= 2 * THIRD)
			n += page_intact(addr + i * PAGE_SIZE, i);
	return n;
}

static int expected(void)
{
	int who, n = 0;

	for (who = 0; who < sharers_nr(); who++)
		n += has_middle(who) ? NR : NR - THIRD;
	return n;
}

static bool all_swapped(const void *base, int nr)
{
	return sharers_count(base, nr, is_swapped) == expected();
}

static int mapcounts(void)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_facts(addr + i * PAGE_SIZE).count;
	return n;
}

static void test_cut(void)
{
	struct pfns old;
	int i, ret, left = 0;

	require_memcg();
	require_swap();
	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	sharers_call(cut, 0);
	check_eq("mapcounts", mapcounts(), expected());

	check(reclaim_until(all_swapped, addr, NR), "PTEs swapped out: %d of %d",
	      sharers_count(addr, NR, is_swapped), expected());
	check_eq("pages intact", sharers_call(intact, 0), expected());
	check_eq("mapcounts", mapcounts(), expected());

	old = pfns_of(addr, NR);
	drain_lru_caches();
	for (i = 0; i < NR; i += 3) {
		ret = soft_offline_pfn(old.pfn[i]);
		check(!ret, "soft offline of page %d: %s", i, strerror(-ret));
		left += sharers_mapping(addr + i * PAGE_SIZE, old.pfn[i]);
	}
	check_eq("PTEs that map an old page", left, 0);
	pfns_of(addr, NR);
	check_eq("mapcounts", mapcounts(), expected());
	check_eq("pages intact", sharers_call(intact, 0), expected());
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "cut-1", test_cut, unpoison_watched, 1 },
		{ "cut-2", test_cut, unpoison_watched, 2 },
		{ "cut-16", test_cut, unpoison_watched, 16 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
