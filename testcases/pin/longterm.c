// SPDX-License-Identifier: GPL-2.0
/*
 * Pages with a long-term pin stay where they are, and stay this process's.
 *
 * move: move_pages() does not move a pinned page; PFN, mapping and data are as
 * before, and the pin sees what is written later.
 * reclaim: ordinary pages are swapped out, the pinned ones are not.
 * fork: a child gets copies of what is pinned; a write of the parent goes to the
 * pinned page still, and the child does not see it.  Unpinned, the pages can be
 * moved and reclaimed like any other.
 * The mapcount has no part in it: it is 1 all the time.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 8

static char *addr;
static char copy[NR * MAX_PAGE_SIZE];

static int pin(void)
{
	int gup = gup_open(), ret;

	ret = gup_pin(gup, addr, NR * PAGE_SIZE, GUP_PIN_WRITE);
	if (ret == -EINVAL || ret == -ENOTTY)
		skip("gup_test of this kernel holds no pins");
	require(!ret, "pin: %s", strerror(-ret));
	return gup;
}

static int seen_through_pin(int gup)
{
	int ret = gup_read(gup, copy);

	require(!ret, "read through the pin: %s", strerror(-ret));
	return intact_pages(copy, NR);
}

static int mapcounts(void)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_facts(addr + i * PAGE_SIZE).count;
	return n;
}

static void test_move(void)
{
	struct pfns old;
	int gup, i, refused = 0;

	require_node(1);
	addr = anon_map_on(0, NR);
	gup = pin();
	old = pfns_of(addr, NR);
	/* A page that fails to move is counted, but has no status of its own. */
	for (i = 0; i < NR; i++)
		refused += move_shared_page(addr + i * PAGE_SIZE, 1) < 0;
	check_eq("pages that did not move", refused, NR);
	check_eq("pages with their PFN", pfns_kept(&old, addr), NR);
	check_eq("mapcounts", mapcounts(), NR);
	memset(addr, 0, NR * PAGE_SIZE);
	pages_fill(addr, NR);
	check_eq("pages intact, through the pin", seen_through_pin(gup), NR);
	gup_unpin(gup);
	check_eq("pages that moved, unpinned", move_shared_pages(addr, NR, 1),
		 NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	pfns_of(addr, NR);
}

static void test_reclaim(void)
{
	char *control;
	struct pfns old;
	int gup;

	require_memcg();
	require_swap();
	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	gup = pin();
	old = pfns_of(addr, NR);
	control = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(control, NR);
	sharers_fork(1);
	check(reclaim_shared(control, NR), "ordinary pages were not reclaimed");
	check_eq("pinned pages with their PFN", pfns_kept(&old, addr), NR);
	check_eq("mapcounts", mapcounts(), NR);
	check_eq("pages intact, through the pin", seen_through_pin(gup), NR);
	gup_unpin(gup);
	check(reclaim_shared(addr, NR), "unpinned pages were not reclaimed");
	check_eq("pages intact", intact_pages(addr, NR), NR);
}

static long intact(int who, long arg)
{
	(void)who;
	(void)arg;
	return intact_pages(addr, NR);
}

static void test_fork(void)
{
	struct pfns old;
	int i, gup, shared = 0;

	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	gup = pin();
	old = pfns_of(addr, NR);
	sharers_fork(2);
	for (i = 0; i < NR; i++)
		shared += sharers_mapping(addr + i * PAGE_SIZE, old.pfn[i]) > 1;
	check_eq("pinned pages that the child maps", shared, 0);
	for (i = 0; i < NR; i++)
		page_fill(addr + i * PAGE_SIZE, 50 + i);
	check_eq("pages written in place", pfns_kept(&old, addr), NR);
	check_eq("pages intact, of the child", sharer_call(1, intact, 0), NR);
	pages_fill(addr, NR);
	check_eq("pages intact, through the pin", seen_through_pin(gup), NR);
	gup_unpin(gup);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "move", .run = test_move },
		{ .name = "reclaim", .run = test_reclaim },
		{ .name = "fork", .run = test_fork },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
