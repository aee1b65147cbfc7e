// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that share the page table of a hugetlb file, by PUD-sized mappings.
 *
 * 2 or 16 processes map 1 GB of a file at one address, aligned to 1 GB: the kernel
 * gives all of them one table of PMDs, so the page is mapped once: mapcount 1.
 * Moved to another node, and unmapped by a hole, it is so for all of them: none
 * keeps the old page, all have the data, then zeroes.  A process that exits takes
 * nothing from the others.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hugetlb.h"
#include "move.h"
#include "sharers.h"

#define GIGABYTE	(1UL << 30)

static int file;
static char *addr;

static long map_window(int who, long at)
{
	addr = mmap((void *)at, GIGABYTE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0);
	require_errno(addr == (char *)at, "mmap by sharer %d", who);
	return 0;
}

static long has(int who, long seed)
{
	(void)who;
	return page_intact(addr, seed);
}

static long is_zero_word(int who, long arg)
{
	(void)who;
	(void)arg;
	return !*(volatile uint64_t *)addr;
}

static void test_sharing(void)
{
	/* Far from what is mapped, and free in all: they are forks. */
	long at = 256 * (long)GIGABYTE;
	uint64_t old, new;
	int nr;

	require_node(1);
	file = hugetlb_file(1);
	require_errno(!ftruncate(file, GIGABYTE), "ftruncate");
	sharers_fork(subtest_arg());
	nr = sharers_nr();
	sharers_call(map_window, at);
	allocate_on(0);
	page_fill(addr, 3);
	allocate_anywhere();
	check_eq("sharers with the data", sharers_call(has, 3), nr);
	old = page_facts(addr).pfn;
	check_eq("sharers that map the page", sharers_mapping(addr, old), nr);
	if (pfn_facts(old).count != 1)
		skip("this kernel does not share the table: mapcount %lld",
		     (long long)pfn_facts(old).count);

	check_eq("status, the node", move_shared_page(addr, 1), 1);
	check_eq("sharers that map the old page", sharers_mapping(addr, old), 0);
	check_eq("sharers with the data", sharers_call(has, 3), nr);
	new = page_facts(addr).pfn;
	check(new != old, "the page has its old PFN");
	check_eq("sharers that map the new page", sharers_mapping(addr, new),
		 nr);
	sharer_end(nr - 1);
	check_eq("sharers with the data, one gone", sharers_call(has, 3),
		 nr - 1);

	require_errno(!fallocate(file, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, 0, HPAGE_SIZE),
		      "fallocate");
	check_eq("sharers that map the page of the hole",
		 sharers_mapping(addr, new), 0);
	check_eq("mapcount of that page", pfn_facts(new).count, 0);
	check_eq("sharers that read zeroes", sharers_call(is_zero_word, 0),
		 nr - 1);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(2, "sharing", test_sharing),
		SHARED_BY(16, "sharing", test_sharing),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
