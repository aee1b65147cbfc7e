// SPDX-License-Identifier: GPL-2.0
/*
 * move_pages() of hugetlb pages that 1, 2, 16 or 64 processes map.
 *
 * Private after a fork, or shared by a file with every second process at another
 * offset of it: each page arrives on the other node, under one new PFN for all,
 * its mapcount the number of processes; the pool of either node balances; the
 * data is intact, and a write is private or seen by all, as the mapping is.
 */
#include <sys/mman.h>

#include "hugetlb.h"
#include "move.h"
#include "sharers.h"

#define NR 2

static char *addr, *where[MAX_SHARERS];
static int file;

static long place(int who, long arg)
{
	(void)arg;
	/* From the file's second page on, so that it lies one page lower. */
	if (file >= 0 && who % 2)
		addr = hugetlb_map_file(file, NR - 1, 1) - HPAGE_SIZE;
	return (long)addr;
}

static long read_second(int who, long seed)
{
	(void)who;
	return page_intact(addr + HPAGE_SIZE, seed);
}

static int mapping(uint64_t pfn)
{
	uint64_t entry;
	int who, n = 0;

	for (who = 0; who < sharers_nr(); who++) {
		entry = pagemap_entry_of(sharer_pid(who),
					 where[who] + HPAGE_SIZE);
		n += is_present(entry) && PM_PFN(entry) == pfn;
	}
	return n;
}

static void move(void)
{
	char *second = addr + HPAGE_SIZE;
	long long free0, free1;
	uint64_t old, new;
	int who;

	sharers_fork(subtest_arg());
	for (who = 0; who < sharers_nr(); who++)
		where[who] = (char *)sharer_call(who, place, 0);
	check_eq("sharers with the data", sharers_call(read_second, HPAGE_NR),
		 sharers_nr());
	if (hugetlb_free_on(1) < 1)
		skip("inconclusive: no free huge page on node 1");
	old = page_facts(second).pfn;
	free0 = hugetlb_free_on(0);
	free1 = hugetlb_free_on(1);

	check_eq("status, the node", move_shared_page(second, 1), 1);
	new = page_facts(second).pfn;
	check(new && new != old, "the page has its old PFN");
	check_eq("mapcount", page_facts(second).count, sharers_nr());
	check_eq("PTEs that map it", mapping(new), sharers_nr());
	check_eq("PTEs that map the old page", mapping(old), 0);
	check_eq("free huge pages, node 0", hugetlb_free_on(0) - free0, 1);
	check_eq("free huge pages, node 1", hugetlb_free_on(1) - free1, -1);
	check_eq("sharers with the data", sharers_call(read_second, HPAGE_NR),
		 sharers_nr());
	check_eq("huge pages intact", hugetlb_intact(addr, NR), NR);
	page_fill(second, 7);
	check_eq("sharers that see what sharer 0 writes",
		 sharers_call(read_second, 7), file < 0 ? 1 : sharers_nr());
	sharers_end();
}

static void test_private(void)
{
	require_node(1);
	file = -1;
	allocate_on(0);
	addr = hugetlb_map(NR, MAP_PRIVATE);
	allocate_anywhere();
	move();
}

static void test_shared(void)
{
	require_node(1);
	allocate_on(0);
	file = hugetlb_file(NR);
	addr = hugetlb_map_file(file, NR, 0);
	hugetlb_fill(addr, NR);
	allocate_anywhere();
	move();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "private", test_private),
		SHARED_BY(2, "private", test_private),
		SHARED_BY(16, "private", test_private),
		SHARED_BY(64, "private", test_private),
		SHARED_BY(1, "shared", test_shared),
		SHARED_BY(2, "shared", test_shared),
		SHARED_BY(16, "shared", test_shared),
		SHARED_BY(64, "shared", test_shared),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
