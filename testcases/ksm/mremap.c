// SPDX-License-Identifier: GPL-2.0
/*
 * KSM pages of memory that mremap() moved are found by their reverse mapping.
 *
 * Since 7.3 rmap_walk_ksm() looks only at VMAs that have the index which the page had
 * when it was merged.  Here the address of a page and its index are no longer those of
 * each other: the memory was moved before it was merged, after it, or both, and by a
 * process that shares it.  The page then moves to another node: every PTE that maps it
 * has to show the new one, and none the old one.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "ksm.h"
#include "move.h"
#include "sharers.h"

#define NR 4

enum { BEFORE = 1, AFTER = 2, FORK = 4, PART = 8 };

static char *remap(char *addr)
{
	char *to = mmap(NULL, 64 * PAGE_SIZE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require_errno(to != MAP_FAILED, "mmap");
	to += 16 * PAGE_SIZE;
	require_errno(mremap(addr, NR * PAGE_SIZE, NR * PAGE_SIZE,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
	return to;
}

static void test_mremap(void)
{
	int how = subtest_arg(), all = NR;
	uint64_t old, pfn;
	char *addr;

	require_node(1);
	require_ksm();
	addr = ksm_map(NR);
	allocate_on(0);
	/* It gets its anon_vma, and with that its index, where it is. */
	pages_fill(addr, NR);
	if (how & BEFORE)
		addr = remap(addr);
	if (how & FORK)
		sharers_fork(2);
	ksm_fill(addr, NR);
	ksm_merge(addr, NR);
	if (how & AFTER) {
		/* What is KSM's is taken apart, and may be merged again. */
		addr = remap(addr);
		ksm_merge(addr, NR);
	}
	if (how & PART)
		require_errno(!mprotect(addr + PAGE_SIZE, PAGE_SIZE, PROT_READ),
			      "mprotect");
	allocate_anywhere();
	all *= sharers_nr();
	old = page_facts(addr).pfn;
	drain_lru_caches();
	check_eq("mapcount", pfn_facts(old).count, all);
	check_eq("status, the node", move_shared_page(addr, 1), 1);
	pfn = page_facts(addr).pfn;
	watch_pfn(pfn);
	check(pfn != old, "the page has its old PFN");
	check_eq("PTEs that map the new page", ksm_mapping(addr, NR, pfn), all);
	check_eq("PTEs that map the old page", ksm_mapping(addr, NR, old), 0);
	check_eq("mapcount", pfn_facts(pfn).count, all);
	check_eq("pages intact", ksm_intact(addr, NR), all);
	page_fill(addr, 77);
	check_eq("pages intact after a write", ksm_intact(addr, NR), all - 1);
	check_rss_anon();
	if (how & FORK)
		sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "before", .run = test_mremap, .arg = BEFORE },
		{ .name = "after", .run = test_mremap, .arg = AFTER },
		{ .name = "both", .run = test_mremap, .arg = BEFORE | AFTER },
		{ .name = "before-fork", .run = test_mremap,
		  .arg = BEFORE | FORK },
		{ .name = "before-part", .run = test_mremap,
		  .arg = BEFORE | PART },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
