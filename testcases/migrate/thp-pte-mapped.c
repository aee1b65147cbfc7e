// SPDX-License-Identifier: GPL-2.0
/*
 * move_pages() of a THP that some processes map by PTEs, some by a PMD, and
 * some in part only.
 *
 * Of the sharers, every third took page 7 out of its mapping (munmap), every
 * third made one page read-only (so its PMD was split), the rest kept the PMD.
 * The walk meets all three forms of one folio: afterwards the folio is on the
 * other node, whole, each process maps what it mapped, page by page with the
 * mapcount that counting PTEs gives, and finds its data.  The page that was
 * unmapped stays unmapped; the one that was read-only still is.
 */
#include <signal.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define HOLE	7
#define LOCKED	9
#define NR	16

static long change_mapping(int who, long head)
{
	char *addr = (char *)head;
	int err = 0;

	if (who % 3 == 1)
		err = munmap(addr + HOLE * PAGE_SIZE, PAGE_SIZE);
	else if (who % 3 == 2)
		err = mprotect(addr + LOCKED * PAGE_SIZE, PAGE_SIZE, PROT_READ);
	require_errno(!err, "sharer %d changes its mapping", who);
	return 0;
}

static long check_mapping(int who, long head)
{
	char *addr = (char *)head;
	int i, n = 0;

	for (i = 0; i < NR; i++)
		if (i != HOLE || who % 3 != 1)
			n += page_intact(addr + i * PAGE_SIZE, i);
	if (who % 3 == 2)
		check_eq("signal for a write to the read-only page",
			 access_signal(addr + LOCKED * PAGE_SIZE, true),
			 SIGSEGV);
	return n;
}

static void check_counts(const char *head)
{
	uint64_t pfn = page_facts(head).pfn;
	int i, right = 0;

	for (i = 0; i < NR; i++)
		right += (int)pfn_facts(pfn + i).count ==
			 sharers_mapping(head + i * PAGE_SIZE, pfn + i);
	check_eq("pages whose mapcount is what is counted", right, NR);
	check_eq("sharers without the page of the hole",
		 sharers_nr() - sharers_mapping(head + HOLE * PAGE_SIZE,
						pfn + HOLE),
		 (sharers_nr() + 1) / 3);
}

static void test_move(void)
{
	long expected;
	uint64_t pfn;
	char *head;

	require_node(1);
	allocate_on(0);
	head = thp_map();
	allocate_anywhere();
	drain_lru_caches();
	if (!free_huge_blocks(1))
		skip("inconclusive: no free order-9 page on node 1");
	sharers_fork(subtest_arg());
	sharers_call(change_mapping, (long)head);
	check_counts(head);
	pfn = page_facts(head).pfn;

	check_eq("status, the node", move_shared_page(head, 1), 1);
	check(page_facts(head).pfn != pfn, "the THP has its old PFN");
	check(is_thp(head), "the THP is gone");
	pfns_of(head, HPAGE_NR);
	check_counts(head);
	expected = NR * sharers_nr() - (sharers_nr() + 1) / 3;
	check_eq("pages intact, of all sharers",
		 sharers_call(check_mapping, (long)head), expected);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(2, "move", test_move),
		SHARED_BY(3, "move", test_move),
		SHARED_BY(16, "move", test_move),
		SHARED_BY(64, "move", test_move),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
