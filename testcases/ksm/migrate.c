// SPDX-License-Identifier: GPL-2.0
/*
 * A KSM page with 3, 6, 48 or 192 mappings in 1 to 64 processes moves to another
 * node.
 *
 * All of its PTEs show the new PFN, none the old one, the mapcount is their
 * number, and it is still a KSM page: a write to one mapping takes that one
 * alone out of it.  fork: processes that were forked after the merge have no
 * item in KSM's lists; rmap_walk_ksm() looks for them in a second pass.
 */
#include "ksm.h"
#include "move.h"
#include "sharers.h"

#define NR 3

static void check_moves(char *addr)
{
	uint64_t old = page_facts(addr).pfn, pfn;
	int all = NR * sharers_nr();

	drain_lru_caches();
	check_eq("mapcount", pfn_facts(old).count, all);
	check_eq("status, the node", move_shared_page(addr, 1), 1);
	pfn = page_facts(addr).pfn;
	watch_pfn(pfn);
	check(pfn != old, "the page has its old PFN");
	check_eq("PTEs that map the new page", ksm_mapping(addr, NR, pfn), all);
	check_eq("PTEs that map the old page", ksm_mapping(addr, NR, old), 0);
	check_eq("mapcount", pfn_facts(pfn).count, all);
	check_rss_anon();
	check_eq("pages intact", ksm_intact(addr, NR), all);
	page_fill(addr, 77);
	check_eq("mapcount after one write", pfn_facts(pfn).count, all - 1);
	check_eq("pages intact after it", ksm_intact(addr, NR), all - 1);
	sharers_end();
}

static void test_migrate(void)
{
	char *addr;

	require_node(1);
	require_ksm();
	addr = ksm_map(NR);
	allocate_on(0);
	sharers_fork(subtest_arg());
	ksm_fill(addr, NR);
	ksm_merge(addr, NR);
	check_moves(addr);
}

static void test_fork(void)
{
	char *addr;

	require_node(1);
	require_ksm();
	addr = ksm_map(NR);
	allocate_on(0);
	ksm_fill(addr, NR);
	ksm_merge(addr, NR);
	sharers_fork(subtest_arg());
	check_moves(addr);
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "migrate", test_migrate),
		SHARED_BY(2, "migrate", test_migrate),
		SHARED_BY(16, "migrate", test_migrate),
		SHARED_BY(64, "migrate", test_migrate),
		SHARED_BY(2, "fork", test_fork),
		SHARED_BY(64, "fork", test_fork),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
