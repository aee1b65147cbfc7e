// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim takes the pages that nobody uses before those that one process uses.
 *
 * 2 or 16 processes share hot and cold pages, the hot ones faulted in first.
 * Between small rounds of reclaim the last process reads the hot ones: only in
 * its PTEs are they young, and folio_referenced_one() has to find that among all
 * mappings.  So when the last cold page is out, hardly a hot one ever was: each
 * that was is counted, in every round.  A walk that does not look would take them
 * all first, they are at the end of the list.
 *
 * By the classic lists, whose order is the order of use.
 */
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR		256
#define MAX_ROUNDS	200

static char *hot, *cold;

static long read_hot(int who, long arg)
{
	int i, n = 0;

	(void)who;
	(void)arg;
	for (i = 0; i < NR; i++)
		n += *(volatile char *)(hot + i * PAGE_SIZE);
	return n;
}

static void test_referenced(void)
{
	int round, hot_out = 0, cold_out = 0, last;

	require_memcg();
	require_swap();
	choose_lru(false);
	hot = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	cold = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(hot, NR);
	pages_fill(cold, NR);
	sharers_fork(subtest_arg());
	last = sharers_nr() - 1;
	pfns_of(hot, NR);
	pfns_of(cold, NR);
	drain_lru_caches();

	for (round = 0; round < MAX_ROUNDS && cold_out < NR; round++) {
		sharer_call(last, read_hot, 0);
		if (round)
			memcg_stat("anon");
		sharer_call(last, read_hot, 0);
		memcg_reclaim_anon(16 * PAGE_SIZE);
		hot_out += count_ptes(hot, NR, is_swapped);
		cold_out = count_ptes(cold, NR, is_swapped);
	}
	diag("rounds: %d; hot pages out, over all rounds: %d", round, hot_out);
	check_eq("cold pages out", cold_out, NR);
	check(hot_out <= NR / 4, "hot pages out, over all rounds: %d", hot_out);
	check_intact_in_all(hot, 16);
	check_intact_in_all(cold, 16);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(2, "referenced", test_referenced),
		SHARED_BY(16, "referenced", test_referenced),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
