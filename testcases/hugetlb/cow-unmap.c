// SPDX-License-Identifier: GPL-2.0
/*
 * hugetlb pages: COW among 2 or 3 processes, MADV_DONTNEED, munmap and exit, and
 * the pool balances.
 *
 * A write of one takes one off the mapcount and a page out of the pool; the
 * others keep the data.  MADV_DONTNEED of a private page takes one off and gives
 * a page back if it was the last; read again there are zeroes.  Of a shared page
 * it takes the mapping, and the data is still there.  When all have unmapped
 * their pages the pool is what it was.
 */
#include <sys/mman.h>

#include "hugetlb.h"
#include "sharers.h"

static char *addr;

static long write_page(int who, long arg)
{
	(void)arg;
	page_fill(addr, 100 + who);
	return 0;
}

static long has(int who, long seed)
{
	(void)who;
	return page_intact(addr, seed);
}

static long drop(int who, long arg)
{
	(void)arg;
	require_errno(!madvise(addr, HPAGE_SIZE, MADV_DONTNEED),
		      "MADV_DONTNEED by %d", who);
	return 0;
}

static void check_pool(const char *what, long long before, int taken)
{
	check_eq(what, before - hugetlb_free(), taken);
}

static void test_cow(void)
{
	long long pool = hugetlb_free();
	uint64_t pfn;
	int who, nr = subtest_arg();

	addr = hugetlb_map(1, MAP_PRIVATE);
	check_pool("huge pages taken", pool, 1);
	sharers_fork(nr);
	pfn = page_facts(addr).pfn;
	check_eq("mapcount", pfn_facts(pfn).count, nr);
	/* The owner of the reservation has the right to a page, others may. */
	for (who = 1; who < nr; who++) {
		sharer_call(who, write_page, 0);
		check_eq("mapcount after a write", pfn_facts(pfn).count,
			 nr - who);
		check_eq("the writer has its data",
			 sharer_call(who, has, 100 + who), 1);
		check_eq("the first has its data", has(0, 0), 1);
	}
	check_pool("huge pages taken by all", pool, nr);
	page_fill(addr, 5);
	check_eq("the PFN, written by the last", page_facts(addr).pfn, pfn);
	sharer_call(1, drop, 0);
	check_pool("huge pages taken, one dropped", pool, nr - 1);
	sharers_end();
	check_pool("huge pages taken, the others gone", pool, 1);
	check_eq("the first has its data", has(0, 5), 1);
	require_errno(!munmap(addr, HPAGE_SIZE), "munmap");
	check_pool("huge pages taken in the end", pool, 0);
}

static void test_shared(void)
{
	long long pool = hugetlb_free();
	uint64_t pfn;

	addr = hugetlb_map(1, MAP_SHARED);
	pfn = page_facts(addr).pfn;
	sharers_fork(2);
	check_eq("the other has the data", sharer_call(1, has, 0), 1);
	check_eq("mapcount", pfn_facts(pfn).count, 2);
	sharer_call(1, drop, 0);
	check_eq("mapcount, one dropped", pfn_facts(pfn).count, 1);
	drop(0, 0);
	check_eq("mapcount, both dropped", pfn_facts(pfn).count, 0);
	check_eq("the data is still there", sharers_call(has, 0), 2);
	check_eq("PFN", page_facts(addr).pfn, pfn);
	check_eq("mapcount", pfn_facts(pfn).count, 2);
	sharers_end();
	require_errno(!munmap(addr, HPAGE_SIZE), "munmap");
	check_pool("huge pages taken in the end", pool, 0);
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(2, "cow", test_cow),
		SHARED_BY(3, "cow", test_cow),
		{ .name = "shared", .run = test_shared },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
