// SPDX-License-Identifier: GPL-2.0
/*
 * Folios of 64 kB whose PTEs differ are reclaimed.
 *
 * try_to_unmap_one() takes several PTEs of a folio at once since 7.0, of tmpfs and
 * of lazyfree memory.  What it does for one it has to do for all of them, and for no
 * other: here PTEs differ in a bit, or a VMA or a page table ends within a folio.
 *
 * rss, shared: RssShmem gives up every page, and every process that maps them loses its
 * PTEs.
 * dirty-N: every page was read, only page N of each folio was written, which is known
 * to that PTE alone.  It keeps its data; dropped as clean, it would be zero.
 * uffd-wp: write protection of some pages is left as markers in their places, is there
 * when they are read back, and nowhere else.
 * vma-edge: half of each folio's pages are read-only.  They still are.
 * mlock-edge: half of each folio's pages are locked, in a VMA of their own.  They stay
 * mapped.
 * pmd-edge: folios that are mapped over the edge of a page table, too.
 * lazyfree: pages that were not written since MADV_FREE are gone: they are zero, and
 * RssAnon has none of them.
 * lazyfree-N: page N of every folio was: it keeps its data and its soft-dirty bit, in
 * memory or in swap.  Every other page is zero, or has its data without that bit.
 * lazyfree-tracked: pages that were written before clear_refs alone are not soft-dirty
 * when their folio stays.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "mthp.h"
#include "sharers.h"

#define ORDER	4
#define FOLIO	(1 << ORDER)
#define FOLIOS	8
#define NR	(FOLIOS * FOLIO)

static bool is_none(uint64_t pagemap)
{
	return !is_present(pagemap) && !(pagemap & PM_SWAP);
}

static bool none_present(const void *addr, int nr)
{
	return !sharers_count(addr, nr, is_present);
}

static void fill_page(char *page, int i)
{
	page_fill(page, i);
}

static void reclaim(const char *addr, int nr)
{
	check(reclaim_until(none_present, addr, nr),
	      "PTEs still present: %d", sharers_count(addr, nr, is_present));
}

static void start(void)
{
	require_memcg();
	require_swap();
}

static void test_rss(void)
{
	long long rss;
	char *addr;
	int file;

	start();
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	sharers_fork(2);
	/* What else is of tmpfs, such as a page that ktap.c shares, goes first. */
	reclaim(addr, NR);
	check_intact_in_all(addr, NR);
	check_shared_by_all(addr, NR);
	rss = status_kb("RssShmem");
	reclaim(addr, NR);
	/* Sharers talk by a page of tmpfs. */
	if (sharers_nr() == 1 && rss_is_exact())
		check_eq("RssShmem given up, kB", rss - status_kb("RssShmem"),
			 NR * PAGE_SIZE / 1024);
	check_intact_in_all(addr, NR);
	check_shared_by_all(addr, NR);
	sharers_end();
}

static void test_dirty(void)
{
	int i, file, kept = 0, zero = 0, n = subtest_arg();
	char *addr;

	start();
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, false);
	for (i = n; i < NR; i += FOLIO)
		page_fill(addr + i * PAGE_SIZE, i);
	reclaim(addr, NR);
	for (i = 0; i < NR; i++) {
		if (i % FOLIO == n)
			kept += page_intact(addr + i * PAGE_SIZE, i);
		else
			zero += page_is_zero(addr + i * PAGE_SIZE);
	}
	check_eq("pages written that are intact", kept, FOLIOS);
	check_eq("other pages that are zero", zero, NR - FOLIOS);
}

static int protector;

static void protect(char *page, int i)
{
	(void)i;
	uffd_protect(protector, page, PAGE_SIZE, true);
}

static void test_uffd_wp(void)
{
	uint64_t mask = subtest_arg() ? MASK_TAIL : MASK_RUNS;
	char *addr;
	int file;

	start();
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	protector = uffd_open_wp(addr, NR * PAGE_SIZE);
	each_in(mask, addr, NR, protect);
	check_mask("pages with the right uffd-wp bit", mask, addr, NR,
		   is_uffd_wp);
	reclaim(addr, NR);
	check_mask("the same of markers", mask, addr, NR, is_uffd_wp);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_mask("the same, read again", mask, addr, NR, is_uffd_wp);
}


static void test_vma_edge(void)
{
	size_t half = FOLIO / 2 * PAGE_SIZE;
	char *addr, *page;
	int i, file, refused = 0, written = 0;

	start();
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	for (i = 0; i < FOLIOS; i++)
		require_errno(!mprotect(addr + (2 * i + i % 2) * half, half,
					PROT_READ), "mprotect");
	reclaim(addr, NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	for (i = 0; i < NR; i++) {
		page = addr + i * PAGE_SIZE;
		if (i % FOLIO / (FOLIO / 2) == i / FOLIO % 2)
			refused += access_signal(page, true) == SIGSEGV;
		else
			written += !access_signal(page, true);
	}
	check_eq("read-only pages that refuse a write", refused, NR / 2);
	check_eq("other pages that take one", written, NR / 2);
}

static void test_pmd_edge(void)
{
	/* Off by half a folio: one lies on either side of the edge. */
	char *addr, *odd = over_pmd_edge(NR + FOLIO);
	int file;

	start();
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	require_errno(mmap(odd, NR * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, file, 0) == odd, "mmap");
	check_eq("pages intact over the edge", intact_pages(odd, NR), NR);
	check_eq("mapcount of the first page", page_facts(addr).count, 2);
	audit_mark("over the edge");
	reclaim(addr, NR);
	check_eq("PTEs over the edge", count_ptes(odd, NR, is_present), 0);
	check_eq("pages intact over the edge", intact_pages(odd, NR), NR);
}

/* The VMA ends within each folio, and the PTEs do not tell. */
static void test_mlock_edge(void)
{
	size_t half = FOLIO / 2 * PAGE_SIZE;
	int i, file, round, kept = 0;
	char *addr, *control;

	start();
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	control = shmem_map(shmem_file(FOLIO * PAGE_SIZE), FOLIO * PAGE_SIZE);
	pages_fill(control, FOLIO);
	for (i = 0; i < FOLIOS; i++)
		require_errno(!mlock(addr + (2 * i + 1) * half, half), "mlock");
	reclaim(control, FOLIO);
	for (round = 0; round < 8; round++)
		memcg_reclaim_anon(16UL << 20);
	for (i = 0; i < NR; i++)
		kept += i % FOLIO >= FOLIO / 2 &&
			is_present(pagemap_entry(addr + i * PAGE_SIZE));
	check_eq("locked pages present", kept, NR / 2);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	for (i = 0; i < FOLIOS; i++)
		require_errno(!munlock(addr + (2 * i + 1) * half, half),
			      "munlock");
	reclaim(addr, NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
}

static char *lazyfree(void)
{
	char *addr;

	start();
	addr = mthp_map_some(ORDER, FOLIOS);
	drain_lru_caches();
	require_errno(!madvise(addr, NR * PAGE_SIZE, MADV_FREE), "MADV_FREE");
	drain_lru_caches();
	return addr;
}

static void test_lazyfree(void)
{
	char *addr = lazyfree();
	int i, zero = 0;

	sharers_fork(2);
	reclaim(addr, NR);
	check_eq("PTEs with nothing", sharers_count(addr, NR, is_none), 2 * NR);
	check_rss_anon();
	for (i = 0; i < NR; i++)
		zero += page_is_zero(addr + i * PAGE_SIZE);
	check_eq("pages that are zero", zero, NR);
	sharers_end();
}

static bool clean_gone(const void *addr, int nr)
{
	/* The last folio was not written. */
	return count_ptes((const char *)addr + (nr - FOLIO) * PAGE_SIZE, FOLIO,
			  is_none) == FOLIO;
}

static void test_lazyfree_dirty(void)
{
	char *addr = lazyfree();
	int i, n = subtest_arg(), nr = NR - FOLIO, kept = 0, others = 0;
	uint64_t mask = 0, entry;
	char *page;

	for (i = 0; i < 64; i += FOLIO)
		mask |= 1ULL << (i + n);
	clear_refs("4");
	each_in(mask, addr, nr, fill_page);
	check_mask("pages with the right soft-dirty bit", mask, addr, nr,
		   is_soft_dirty);
	check(reclaim_until(clean_gone, addr, NR),
	      "a clean folio was not dropped");
	check_rss_anon();
	for (i = 0; i < nr; i++) {
		page = addr + i * PAGE_SIZE;
		entry = pagemap_entry(page);
		if (i % FOLIO == n)
			kept += is_soft_dirty(entry) && page_intact(page, i);
		else if (!is_none(entry))
			others += !is_soft_dirty(entry) && page_intact(page, i);
		else
			others += page_is_zero(page);
	}
	check_eq("pages written, soft-dirty and intact", kept, FOLIOS - 1);
	check_eq("other pages, as they were or zero", others,
		 nr - (FOLIOS - 1));
}

/* PTEs are dirty, and clean of soft-dirty: a batch has both kinds. */
static void test_lazyfree_tracked(void)
{
	char *addr = lazyfree();
	int i, nr = NR - FOLIO, kept = 0, written = 0;

	each_in(MASK_TAIL, addr, nr, fill_page);
	clear_refs("4");
	check(reclaim_until(clean_gone, addr, NR),
	      "a clean folio was not dropped");
	check_eq("pages soft-dirty, not written since",
		 count_ptes(addr, nr, is_soft_dirty), 0);
	for (i = 0; i < nr; i++)
		if (MASK_TAIL >> i % 64 & 1) {
			written++;
			kept += page_intact(addr + i * PAGE_SIZE, i);
		}
	check_eq("pages written before that are intact", kept, written);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "rss", .run = test_rss, .arg = 1 },
		{ .name = "shared", .run = test_rss, .arg = 2 },
		{ .name = "dirty-0", .run = test_dirty, .arg = 0 },
		{ .name = "dirty-5", .run = test_dirty, .arg = 5 },
		{ .name = "dirty-15", .run = test_dirty, .arg = 15 },
		{ .name = "uffd-wp-runs", .run = test_uffd_wp, .arg = 0 },
		{ .name = "uffd-wp-tails", .run = test_uffd_wp, .arg = 1 },
		{ .name = "vma-edge", .run = test_vma_edge },
		{ .name = "mlock-edge", .run = test_mlock_edge },
		{ .name = "pmd-edge", .run = test_pmd_edge },
		{ .name = "lazyfree", .run = test_lazyfree },
		{ .name = "lazyfree-0", .run = test_lazyfree_dirty, .arg = 0 },
		{ .name = "lazyfree-7", .run = test_lazyfree_dirty, .arg = 7 },
		{ .name = "lazyfree-15", .run = test_lazyfree_dirty, .arg = 15 },
		{ .name = "lazyfree-tracked", .run = test_lazyfree_tracked },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
