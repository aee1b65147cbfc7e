// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_FREE, then reclaim: what was not touched since is dropped, what was
 * written since is kept.
 *
 * try_to_unmap_one() drops a lazyfree page without swap if its PTE and folio
 * are clean and nobody else holds a reference: it reads as zeroes afterwards and
 * pglazyfreed counts it.  A page that was written after the madvise() has a
 * dirty PTE: it gets swap-backed again and keeps its data.  A page that a pipe
 * holds (vmsplice) must not be dropped either.  Shared by a fork, it is dropped
 * for all.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static char *lazyfree_map(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);

	require_memcg();
	require_swap();
	pages_fill(addr, NR);
	pfns_of(addr, NR);
	drain_lru_caches();
	require_errno(!madvise(addr, NR * PAGE_SIZE, MADV_FREE), "MADV_FREE");
	drain_lru_caches();
	return addr;
}

static bool is_none(uint64_t pagemap)
{
	return !is_present(pagemap) && !(pagemap & PM_SWAP);
}

static bool even_dropped(const void *addr, int nr)
{
	int i, n = 0;

	for (i = 0; i < nr; i += 2)
		n += is_none(pagemap_entry((const char *)addr + i * PAGE_SIZE));
	return n == nr / 2;
}

static bool all_dropped(const void *addr, int nr)
{
	return sharers_count(addr, nr, is_none) == nr * sharers_nr();
}

static long zero_pages(int who, long addr)
{
	const char *page = (const char *)addr;
	int i, n = 0;

	(void)who;
	for (i = 0; i < NR; i++)
		n += page_is_zero(page + i * PAGE_SIZE);
	return n;
}

static void test_clean(void)
{
	long long freed = vmstat("pglazyfreed");
	char *addr = lazyfree_map();

	sharers_fork(subtest_arg());
	check(reclaim_until(all_dropped, addr, NR),
	      "PTEs gone without swap: %d of %d",
	      sharers_count(addr, NR, is_none), NR * sharers_nr());
	freed = vmstat("pglazyfreed") - freed;
	check(freed >= NR, "pglazyfreed rose by %lld", freed);
	check_rss_anon();
	check_eq("pages that read as zeroes",
		 sharers_call(zero_pages, (long)addr), NR * sharers_nr());
	sharers_end();
}

static void test_rewritten(void)
{
	char *addr = lazyfree_map();
	int i, zero = 0, kept = 0;

	for (i = 1; i < NR; i += 2)
		page_fill(addr + i * PAGE_SIZE, i);
	check(reclaim_until(even_dropped, addr, NR),
	      "pages that were not written are still there");
	check_rss_anon();
	for (i = 0; i < NR; i += 2) {
		zero += page_is_zero(addr + i * PAGE_SIZE);
		kept += page_intact(addr + (i + 1) * PAGE_SIZE, i + 1);
	}
	check_eq("pages not written that read as zeroes", zero, NR / 2);
	check_eq("pages written that are intact", kept, NR / 2);
}

static void test_referenced(void)
{
	char *addr = lazyfree_map(), got[PAGE_SIZE];
	int i, pipe, kept = 0, read_back = 0;

	/* Odd pages, one pipe each. */
	int pipes[NR / 2];

	for (i = 1; i < NR; i += 2) {
		pipe = hold_references(addr + i * PAGE_SIZE, 1);
		pipes[i / 2] = pipe;
	}
	check(reclaim_until(even_dropped, addr, NR),
	      "pages that nobody holds are still there");
	for (i = 1; i < NR; i += 2) {
		kept += page_intact(addr + i * PAGE_SIZE, i);
		require_errno(read(pipes[i / 2], got, PAGE_SIZE) ==
			      (ssize_t)PAGE_SIZE,
			      "read from the pipe");
		read_back += page_intact(got, i);
		drop_references(pipes[i / 2]);
	}
	check_eq("pages that a pipe holds that are intact", kept, NR / 2);
	check_eq("pages intact in the pipe", read_back, NR / 2);
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "clean", test_clean),
		SHARED_BY(2, "clean", test_clean),
		SHARED_BY(16, "clean", test_clean),
		SHARED_BY(64, "clean", test_clean),
		{ .name = "rewritten", .run = test_rewritten },
		{ .name = "referenced", .run = test_referenced },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
