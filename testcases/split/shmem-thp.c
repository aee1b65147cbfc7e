// SPDX-License-Identifier: GPL-2.0
/*
 * A huge page of tmpfs that 1, 2 or 16 processes map, split by a hole in it.
 *
 * One process maps it by a PMD, the others PTE by PTE, from an odd offset on.
 * The hole is punched into the file: the pages of the hole go from every process
 * (they read zeroes there afterwards), the rest stays in the file with its data,
 * for all, wherever it is mapped.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>

#include "sharers.h"

#define HOLE		100
#define HOLE_NR		50
#define NR		256	/* pages that are looked at: hole and data */

static int file;
static char *base;	/* where page first() is */

static int first(int who)
{
	return who ? 1 + who % 8 : 0;
}

static long map_own(int who, long arg)
{
	(void)arg;
	if (who) {
		base = mmap(NULL, (HPAGE_NR - first(who)) * PAGE_SIZE,
			    PROT_READ | PROT_WRITE, MAP_SHARED, file,
			    first(who) * PAGE_SIZE);
		require_errno(base != MAP_FAILED, "mmap by sharer %d", who);
	}
	return 0;
}

/* Pages from 16 on that are as they should be. */
static long right_pages(int who, long holed)
{
	int i, n = 0;

	for (i = 16; i < NR; i++) {
		const char *page = base + (i - first(who)) * PAGE_SIZE;

		if (holed && i >= HOLE && i < HOLE + HOLE_NR)
			n += page_is_zero(page);
		else
			n += page_intact(page, i);
	}
	return n;
}

static void test_hole(void)
{
	struct pfns old;
	int all;

	file = shmem_file(HPAGE_SIZE);
	base = shmem_thp_map(file, 0, 1);
	require(is_thp(base), "the huge page is no folio of its size");
	old = pfns_of(base, HPAGE_NR);
	sharers_fork(subtest_arg());
	sharers_call(map_own, 0);
	all = (NR - 16) * sharers_nr();
	check_eq("pages right", sharers_call(right_pages, 0), all);
	check_eq("mapcount of a page", page_facts(base + HOLE * PAGE_SIZE).count,
		 sharers_nr());

	require_errno(!fallocate(file, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, HOLE * PAGE_SIZE,
				 HOLE_NR * PAGE_SIZE), "fallocate");
	check_eq("pages right, with the hole", sharers_call(right_pages, 1),
		 all);
	check(page_facts(base + HOLE * PAGE_SIZE).pfn != old.pfn[HOLE],
	      "the page of the hole is mapped again");
	check_eq("PFN of the page behind the hole",
		 page_facts(base + (HOLE + HOLE_NR) * PAGE_SIZE).pfn,
		 old.pfn[HOLE + HOLE_NR]);
	check_eq("its mapcount",
		 page_facts(base + (HOLE + HOLE_NR) * PAGE_SIZE).count,
		 sharers_nr());
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "hole", test_hole),
		SHARED_BY(2, "hole", test_hole),
		SHARED_BY(16, "hole", test_hole),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
