// SPDX-License-Identifier: GPL-2.0
/*
 * What each PTE of a folio of 64 kB says of its page survives a migration.
 *
 * The PTEs of a folio differ: soft-dirty, uffd-wp, or read-only for some pages; the
 * folio moves to another node as one.  Every page has its own bits afterwards, its
 * data, and is mapped as often as before.
 *
 * soft-dirty, uffd-wp: of anonymous memory and of tmpfs; uffd-wp also over the edge of a
 * page table.
 * dirty-N: of tmpfs, only page N was written, which only its PTE knows.  It is not lost
 * when the folio is reclaimed after the move.
 * young-N: only page N was read.  The folio is not idle after the move; others are.
 * vma-edge: half of the folio is in a read-only VMA.  It refuses writes afterwards, and
 * the other half takes them without a fault.
 * hole: some pages are not mapped any more.  They do not come back.
 * exclusive: after a fork, and the end of the child, a page that was written is this
 * process's alone: another write after the move keeps it in place.
 */
#include <signal.h>
#include <sys/mman.h>

#include "idle.h"
#include "move.h"
#include "mthp.h"
#include "sharers.h"

#define ORDER	4
#define FOLIO	(1 << ORDER)
#define FOLIOS	4
#define NR	(FOLIOS * FOLIO)

enum { ANON, SHMEM, EDGE };

static char *map(int how)
{
	char *addr;
	int file;

	require_node(1);
	allocate_on(0);
	if (how == SHMEM)
		addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	else
		addr = mthp_map_some(ORDER, FOLIOS);
	allocate_anywhere();
	if (how == EDGE)
		addr = move_over_pmd_edge(addr, NR, FOLIO);
	drain_lru_caches();
	return addr;
}

/* By a page that is mapped, which of each folio is PAGE. */
static void move(char *addr, int page)
{
	struct pfns old = { .nr = 0 };
	int i, moved = 0;
	char *at;

	for (i = 0; i < FOLIOS; i++) {
		at = addr + (i * FOLIO + page) * PAGE_SIZE;
		old.pfn[i] = page_facts(at).pfn;
		check_eq("status, the node", move_shared_page(at, 1), 1);
		moved += page_facts(at).pfn != old.pfn[i];
		watch_pfn(page_facts(at).pfn);
	}
	check_eq("folios with another PFN", moved, FOLIOS);
}

static void write_page(char *page, int i)
{
	page_fill(page, i);
}

static void test_soft_dirty(void)
{
	char *addr = map(subtest_arg());

	clear_refs("4");
	each_in(MASK_RUNS, addr, NR, write_page);
	check_mask("pages with the right soft-dirty bit", MASK_RUNS, addr, NR,
		   is_soft_dirty);
	move(addr, 0);
	check_mask("the same, moved", MASK_RUNS, addr, NR, is_soft_dirty);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_shared_by_all(addr, NR);
}

static int protector;

static void protect(char *page, int i)
{
	(void)i;
	uffd_protect(protector, page, PAGE_SIZE, true);
}

static void test_uffd_wp(void)
{
	char *addr = map(subtest_arg());

	protector = uffd_open_wp(addr, NR * PAGE_SIZE);
	each_in(MASK_RUNS, addr, NR, protect);
	check_mask("pages with the right uffd-wp bit", MASK_RUNS, addr, NR,
		   is_uffd_wp);
	move(addr, 0);
	check_mask("the same, moved", MASK_RUNS, addr, NR, is_uffd_wp);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_shared_by_all(addr, NR);
}

static bool none_present(const void *addr, int nr)
{
	return !count_ptes(addr, nr, is_present);
}

static void test_dirty(void)
{
	int i, file, kept = 0, zero = 0, n = subtest_arg();
	char *addr;

	require_node(1);
	require_memcg();
	require_swap();
	allocate_on(0);
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, false);
	allocate_anywhere();
	for (i = n; i < NR; i += FOLIO)
		page_fill(addr + i * PAGE_SIZE, i);
	drain_lru_caches();
	move(addr, 0);
	check(reclaim_until(none_present, addr, NR),
	      "pages were not reclaimed");
	for (i = 0; i < NR; i++) {
		if (i % FOLIO == n)
			kept += page_intact(addr + i * PAGE_SIZE, i);
		else
			zero += page_is_zero(addr + i * PAGE_SIZE);
	}
	check_eq("pages written that are intact", kept, FOLIOS);
	check_eq("other pages that are zero", zero, NR - FOLIOS);
}

static void test_young(void)
{
	int i, right = 0, n = subtest_arg();
	char *addr;
	volatile char c;

	require_page_idle();
	addr = map(ANON);
	for (i = 0; i < FOLIOS; i++)
		idle_set(addr + i * FOLIO * PAGE_SIZE, 1);
	forget_tlb();
	for (i = 0; i < FOLIOS; i += 2)
		c = addr[(i * FOLIO + n) * PAGE_SIZE];
	(void)c;
	move(addr, 0);
	for (i = 0; i < FOLIOS; i++)
		right += page_is_idle(addr + i * FOLIO * PAGE_SIZE) == !!(i % 2);
	check_eq("folios that are idle if nobody read them", right, FOLIOS);
}

static void test_vma_edge(void)
{
	char *addr = map(subtest_arg()), *page;
	size_t half = FOLIO / 2 * PAGE_SIZE;
	int i, refused = 0;
	long faults;

	for (i = 0; i < FOLIOS; i++)
		require_errno(!mprotect(addr + (2 * i + i % 2) * half, half,
					PROT_READ), "mprotect");
	move(addr, 0);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_shared_by_all(addr, NR);
	faults = minor_faults();
	for (i = 0; i < NR; i++) {
		page = addr + i * PAGE_SIZE;
		if (i % FOLIO / (FOLIO / 2) != i / FOLIO % 2)
			page_fill(page, i);
	}
	check_eq("faults for writes", minor_faults() - faults, 0);
	for (i = 0; i < NR; i++) {
		page = addr + i * PAGE_SIZE;
		if (i % FOLIO / (FOLIO / 2) == i / FOLIO % 2)
			refused += access_signal(page, true) == SIGSEGV;
	}
	check_eq("read-only pages that refuse a write", refused, NR / 2);
}

static void unmap_page(char *page, int i)
{
	(void)i;
	require_errno(!madvise(page, PAGE_SIZE, MADV_DONTNEED), "MADV_DONTNEED");
}

static void test_hole(void)
{
	char *addr = map(subtest_arg());
	int i, n = 0;

	each_in(~MASK_TAIL, addr, NR, unmap_page);
	check_mask("pages mapped", MASK_TAIL, addr, NR, is_present);
	for (i = 0; i < NR; i++) {
		if (!(MASK_TAIL >> i & 1))
			continue;
		n += move_shared_page(addr + i * PAGE_SIZE, 1) == 1;
		/* For the other pages of the folio that is a move to where they are. */
	}
	check_eq("pages that arrived", n, __builtin_popcountll(MASK_TAIL));
	check_mask("pages mapped after the move", MASK_TAIL, addr, NR,
		   is_present);
	for (i = 0; i < NR; i++)
		if (MASK_TAIL >> i & 1)
			check(page_intact(addr + i * PAGE_SIZE, i), "page %d", i);
}

static void test_exclusive(void)
{
	char *addr = map(ANON);
	struct pfns moved;

	sharers_fork(2);
	sharer_end(1);
	/* Where a write copies the page, that is small, and of this node. */
	allocate_on(0);
	each_in(MASK_RUNS, addr, NR, write_page);
	allocate_anywhere();
	drain_lru_caches();
	check_eq("pages that arrived", move_shared_pages(addr, NR, 1), NR);
	moved = pfns_of(addr, NR);
	each_in(MASK_RUNS, addr, NR, write_page);
	check_eq("pages with their PFN after a write", pfns_kept(&moved, addr),
		 NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "soft-dirty", .run = test_soft_dirty, .arg = ANON },
		{ .name = "soft-dirty-shmem", .run = test_soft_dirty,
		  .arg = SHMEM },
		{ .name = "uffd-wp", .run = test_uffd_wp, .arg = ANON },
		{ .name = "uffd-wp-shmem", .run = test_uffd_wp, .arg = SHMEM },
		{ .name = "uffd-wp-pmd-edge", .run = test_uffd_wp, .arg = EDGE },
		{ .name = "dirty-0", .run = test_dirty, .arg = 0 },
		{ .name = "dirty-9", .run = test_dirty, .arg = 9 },
		{ .name = "young-0", .run = test_young, .arg = 0 },
		{ .name = "young-9", .run = test_young, .arg = 9 },
		{ .name = "vma-edge", .run = test_vma_edge, .arg = ANON },
		{ .name = "vma-edge-shmem", .run = test_vma_edge, .arg = SHMEM },
		{ .name = "hole", .run = test_hole, .arg = ANON },
		{ .name = "hole-shmem", .run = test_hole, .arg = SHMEM },
		{ .name = "hole-pmd-edge", .run = test_hole, .arg = EDGE },
		{ .name = "exclusive", .run = test_exclusive },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
