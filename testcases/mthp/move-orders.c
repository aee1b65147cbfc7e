// SPDX-License-Identifier: GPL-2.0
/*
 * A folio of each order that the kernel offers below a PMD moves to another
 * node, as a whole, for two processes.
 *
 * Every page of it is there, in order, of one folio of the same order; mapped by
 * both processes, the mapcount of each page 2; with its data.  The process that
 * unmapped a page in the middle of it has not got that back.
 */
#include <sys/mman.h>

#include "move.h"
#include "mthp.h"
#include "sharers.h"

static long unmap_page(int who, long addr)
{
	(void)who;
	require_errno(!munmap((char *)addr, PAGE_SIZE), "munmap");
	return 0;
}

static void test_move(void)
{
	int order = subtest_arg(), nr = 1 << order, hole = nr / 2;
	struct pfns old;
	char *head;

	require_node(1);
	allocate_on(0);
	head = mthp_map(order);
	allocate_anywhere();
	sharers_fork(2);
	sharer_call(1, unmap_page, (long)head + hole * PAGE_SIZE);
	drain_lru_caches();
	old = pfns_of(head, nr);

	check_eq("status, the node", move_shared_page(head, 1), 1);
	check_eq("pages with their old PFN", pfns_kept(&old, head), 0);
	check(is_folio(head, order), "not one folio of order %d", order);
	pfns_of(head, nr);
	check_shared_by_all(head, hole);
	check_shared_by_all(head + (hole + 1) * PAGE_SIZE, nr - hole - 1);
	check_eq("mapcount of the hole's page",
		 page_facts(head + hole * PAGE_SIZE).count, 1);
	check_eq("pages intact", intact_pages(head, nr), nr);
	check_intact_in_all(head, hole);
	check_rss_anon();
	check_writes_are_private(head, 2);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		OF_ORDER(2, "move", test_move),
		OF_ORDER(3, "move", test_move),
		OF_ORDER(4, "move", test_move),
		OF_ORDER(5, "move", test_move),
		OF_ORDER(6, "move", test_move),
		OF_ORDER(7, "move", test_move),
		OF_ORDER(8, "move", test_move),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
