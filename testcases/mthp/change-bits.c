// SPDX-License-Identifier: GPL-2.0
/*
 * What each PTE of a folio of 64 kB says of its page survives what is done to the
 * mapping: fork(), mremap(), mprotect() and munmap() take several PTEs at once, too.
 *
 * Some pages are soft-dirty or write-protected by userfaultfd, in runs of different
 * lengths, and the range that something is done to neither begins nor ends with a folio.
 * Outside of it nothing changes; inside, every page keeps its own bits, its data, and is
 * mapped as often as the process tables say.
 */
#include <signal.h>
#include <sys/mman.h>

#include "mthp.h"
#include "sharers.h"

#define ORDER	4
#define FOLIO	(1 << ORDER)
#define FOLIOS	4
#define NR	(FOLIOS * FOLIO)
#define FIRST	5		/* of the range, and how many pages it has */
#define SOME	(NR - 2 * FIRST - 1)

enum { ANON, SHMEM };

static char *map(int how)
{
	int file;

	if (how == SHMEM)
		return mthp_shmem_map(ORDER, FOLIOS, &file, true);
	return mthp_map_some(ORDER, FOLIOS);
}

static void write_page(char *page, int i)
{
	page_fill(page, i);
}

static char *soft_dirty_map(int how)
{
	char *addr = map(how);

	clear_refs("4");
	each_in(MASK_RUNS, addr, NR, write_page);
	check_mask("pages with the right soft-dirty bit", MASK_RUNS, addr, NR,
		   is_soft_dirty);
	return addr;
}

static int protector;

static void protect(char *page, int i)
{
	(void)i;
	uffd_protect(protector, page, PAGE_SIZE, true);
}

static char *protected_map(int how)
{
	char *addr = map(how);

	protector = uffd_open_wp(addr, NR * PAGE_SIZE);
	each_in(MASK_RUNS, addr, NR, protect);
	return addr;
}

static void change(char *addr, int protection)
{
	require_errno(!mprotect(addr + FIRST * PAGE_SIZE, SOME * PAGE_SIZE,
				protection), "mprotect");
}

static bool refuses(const char *addr, int i)
{
	return access_signal((char *)addr + i * PAGE_SIZE, true) == SIGSEGV;
}

static void test_mprotect(void)
{
	char *addr = soft_dirty_map(subtest_arg());
	int i, n = 0, all = 0;

	change(addr, PROT_READ);
	check_mask("the same, read-only", MASK_RUNS, addr, NR, is_soft_dirty);
	for (i = 0; i < NR; i++) {
		if (i >= FIRST && i < FIRST + SOME) {
			all++;
			n += refuses(addr, i);
		}
	}
	check_eq("pages that refuse a write", n, all);
	change(addr, PROT_READ | PROT_WRITE);
	check_mask("the same, writable", MASK_RUNS, addr, NR, is_soft_dirty);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	/* A page that is not soft-dirty has to become that by a write. */
	each_in(~0ULL, addr, NR, write_page);
	check_mask("pages soft-dirty, all written", ~0ULL, addr, NR,
		   is_soft_dirty);
	check_shared_by_all(addr, NR);
}

static void test_mprotect_uffd_wp(void)
{
	char *addr = protected_map(subtest_arg());

	change(addr, PROT_READ);
	change(addr, PROT_READ | PROT_WRITE);
	check_mask("pages with the right uffd-wp bit", MASK_RUNS, addr, NR,
		   is_uffd_wp);
	each_in(~MASK_RUNS, addr, NR, write_page);
	check_mask("the same, others written", MASK_RUNS, addr, NR, is_uffd_wp);
	uffd_protect(protector, addr + FIRST * PAGE_SIZE, SOME * PAGE_SIZE,
		     false);
	check_mask("the same, lifted for a part",
		   MASK_RUNS & ~(((1ULL << SOME) - 1) << FIRST), addr, NR,
		   is_uffd_wp);
	check_eq("pages intact", intact_pages(addr, NR), NR);
}

/* mremap() makes every PTE of a soft-dirty tracker's soft-dirty: that is its notice. */
static void test_mremap_uffd_wp(void)
{
	char *addr = protected_map(subtest_arg()), *to;
	int kept = 0, i;
	struct pfns old = pfns_of(addr, NR);

	/* Without UFFD_FEATURE_EVENT_REMAP what moves away is not protected. */
	to = move_over_pmd_edge(addr + FIRST * PAGE_SIZE, SOME, FOLIO);
	check_eq("PTEs left behind", count_ptes(addr + FIRST * PAGE_SIZE, SOME,
						is_present), 0);
	check_mask("pages protected that did not move",
		   MASK_RUNS & ((1ULL << FIRST) - 1), addr, FIRST, is_uffd_wp);
	check_eq("pages protected that moved", count_ptes(to, SOME, is_uffd_wp),
		 0);
	for (i = 0; i < SOME; i++) {
		kept += page_facts(to + i * PAGE_SIZE).pfn ==
			old.pfn[FIRST + i] &&
			page_intact(to + i * PAGE_SIZE, FIRST + i);
		page_fill(to + i * PAGE_SIZE, i);
	}
	check_eq("pages moved, with their PFN and data", kept, SOME);
	check_eq("pages written there", intact_pages(to, SOME), SOME);
	audit_mark("moved");
}

static void test_mremap(void)
{
	char *addr = map(subtest_arg()), *to;
	struct pfns old = pfns_of(addr, NR);
	int kept = 0, i;

	to = move_over_pmd_edge(addr + FIRST * PAGE_SIZE, SOME, FOLIO);
	for (i = 0; i < SOME; i++)
		kept += page_facts(to + i * PAGE_SIZE).pfn ==
			old.pfn[FIRST + i] &&
			page_intact(to + i * PAGE_SIZE, FIRST + i);
	check_eq("pages moved, with their PFN and data", kept, SOME);
	check_eq("pages intact that did not move", intact_pages(addr, FIRST),
		 FIRST);
	check_shared_by_all(to, SOME);
	audit_mark("moved");
}

static void unmap_page(char *page, int i)
{
	(void)i;
	require_errno(!munmap(page, PAGE_SIZE), "munmap");
}

static long wrote(int who, long addr)
{
	char *page = (char *)addr;
	int i;

	for (i = 0; i < NR; i++)
		page_fill(page + i * PAGE_SIZE, 1000 * (who + 1) + i);
	return 0;
}

static long old_intact(int who, long addr)
{
	(void)who;
	return intact_pages((char *)addr, NR);
}

static long private_intact(int who, long addr)
{
	char *page = (char *)addr;
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_intact(page + i * PAGE_SIZE, 1000 * (who + 1) + i);
	return n;
}

/* Some pages are read-only when the fork comes, some written since the last one. */
static void test_fork(void)
{
	char *addr = soft_dirty_map(ANON);

	sharers_fork(4);
	check_shared_by_all(addr, NR);
	check_intact_in_all(addr, NR);
	check_eq("soft-dirty PTEs of all",
		 sharers_count(addr, NR, is_soft_dirty),
		 4 * __builtin_popcountll(MASK_RUNS));
	sharer_call(0, wrote, (long)addr);
	check_eq("pages of the others that the parent's writes left alone",
		 sharers_call_others(old_intact, (long)addr), 3 * NR);
	sharers_call(wrote, (long)addr);
	check_eq("pages with what their sharer wrote",
		 sharers_call(private_intact, (long)addr), 4 * NR);
	audit_mark("written");
	sharers_end();
	check_rss_anon();
}

static void test_munmap(void)
{
	int how = subtest_arg();
	char *addr = map(how);
	long long rss;

	sharers_fork(2);
	if (how == ANON)
		check_rss_anon();
	each_in(MASK_RUNS, addr, NR, unmap_page);
	rss = status_kb(how == ANON ? "RssAnon" : "RssShmem");
	require_errno(!munmap(addr + FIRST * PAGE_SIZE, SOME * PAGE_SIZE),
		      "munmap");
	rss -= status_kb(how == ANON ? "RssAnon" : "RssShmem");
	if (rss_is_exact())
		check_eq("RSS given up, kB", rss,
			 __builtin_popcountll(~MASK_RUNS &
				(((1ULL << SOME) - 1) << FIRST)) *
			 PAGE_SIZE / 1024);
	check_eq("PTEs left", count_ptes(addr + FIRST * PAGE_SIZE, SOME,
					 is_present), 0);
	if (how == ANON)
		check_rss_anon();
	audit_mark("unmapped");
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "mprotect", .run = test_mprotect, .arg = ANON },
		{ .name = "mprotect-uffd-wp", .run = test_mprotect_uffd_wp,
		  .arg = ANON },
		{ .name = "mprotect-uffd-wp-shmem", .run = test_mprotect_uffd_wp,
		  .arg = SHMEM },
		{ .name = "mremap", .run = test_mremap, .arg = ANON },
		{ .name = "mremap-shmem", .run = test_mremap, .arg = SHMEM },
		{ .name = "mremap-uffd-wp", .run = test_mremap_uffd_wp,
		  .arg = ANON },
		{ .name = "mremap-uffd-wp-shmem", .run = test_mremap_uffd_wp,
		  .arg = SHMEM },
		{ .name = "fork", .run = test_fork },
		{ .name = "munmap", .run = test_munmap, .arg = ANON },
		{ .name = "munmap-shmem", .run = test_munmap, .arg = SHMEM },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
