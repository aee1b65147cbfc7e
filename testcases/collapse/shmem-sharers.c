// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_COLLAPSE of a tmpfs file that 1, 2, 16 or 64 processes map.
 *
 * Small pages of the file are unmapped from everybody (try_to_unmap()) and
 * copied into a huge one.  Afterwards nobody maps an old page; all who read get
 * the data, from the pages of one folio, whose mapcounts fit; and what one
 * writes then all see.  A PTE that was left behind would read the same data from
 * an old page, but not what is written later.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "sharers.h"

#define NR 16

static long read_pages(int who, long addr)
{
	(void)who;
	return intact_pages((void *)addr, NR);
}

static long read_first(int who, long addr)
{
	(void)who;
	return page_intact((void *)addr, 77);
}

static char *map_file(void)
{
	char *head = shmem_map_aligned(shmem_file(HPAGE_SIZE), 0, 1);

	pages_fill(head, HPAGE_NR);
	require(!is_thp(head), "the file has a huge page already");
	return head;
}

static void test_collapse(void)
{
	char *head = map_file();
	struct pfns old;
	int i, ret, left = 0;

	sharers_fork(subtest_arg());
	sharers_call(read_pages, (long)head);
	old = pfns_of(head, HPAGE_NR);
	check_shared_by_all(head, NR);
	drain_lru_caches();

	ret = collapse(head, HPAGE_SIZE);
	require(!ret, "MADV_COLLAPSE: %s", strerror(-ret));
	for (i = 0; i < NR; i++)
		left += sharers_mapping(head + i * PAGE_SIZE, old.pfn[i]);
	check_eq("PTEs that map an old page", left, 0);
	check_eq("pages intact, of all sharers",
		 sharers_call(read_pages, (long)head), NR * sharers_nr());
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
	check(is_thp(head), "no huge page came of it");
	check_shared_by_all(head, NR);
	page_fill(head, 77);
	check_eq("sharers that see what sharer 0 writes",
		 sharers_call(read_first, (long)head), sharers_nr());
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "collapse", test_collapse),
		SHARED_BY(2, "collapse", test_collapse),
		SHARED_BY(16, "collapse", test_collapse),
		SHARED_BY(64, "collapse", test_collapse),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
