// SPDX-License-Identifier: GPL-2.0
/*
 * Guard regions (MADV_GUARD_INSTALL, since 6.13) under whatever walks page tables.
 *
 * A guard is a marker in an empty PTE.  Here some pages of folios of 64 kB have one, in
 * runs of different lengths, so the folios are mapped in part.  Whatever is done to the
 * range: guards stay where they are (pagemap says so), an access is a SIGSEGV; every
 * other page has its data, and is mapped once.  In the end the guards are lifted: then
 * those pages are zero.
 *
 * reclaim, move, split, collapse: what reverse mapping finds are the other pages.
 * fork: the child has the guards as well.
 * mprotect, mremap, mlock, uffd-wp: the other pages change.
 * zap: MADV_DONTNEED takes the other pages.
 * shmem: guards in a mapping of tmpfs are of this mapping alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "mthp.h"
#include "sharers.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#define PM_GUARD	(1ULL << 58)	/* since 6.15 */

#define ORDER	4
#define FOLIOS	4
#define NR	(FOLIOS << ORDER)
#define MASK	MASK_RUNS
#define OTHERS	(NR - __builtin_popcountll(MASK))

static void guard(char *page, int i)
{
	(void)i;
	if (!madvise(page, PAGE_SIZE, MADV_GUARD_INSTALL))
		return;
	if (errno == EINVAL)
		skip("no MADV_GUARD_INSTALL");
	require_errno(false, "MADV_GUARD_INSTALL");
}

static void lift(char *page, int i)
{
	(void)i;
	require_errno(!madvise(page, PAGE_SIZE, MADV_GUARD_REMOVE),
		      "MADV_GUARD_REMOVE");
}

static char *guarded_map(void)
{
	char *addr;

	require_node(1);
	require_memcg();
	require_swap();
	allocate_on(0);
	addr = mthp_map_some(ORDER, FOLIOS);
	allocate_anywhere();
	drain_lru_caches();
	each_in(MASK, addr, NR, guard);
	return addr;
}

static bool is_guard(uint64_t pagemap)
{
	return pagemap & PM_GUARD;
}

static long count_guards(int who, long base)
{
	char *addr = (char *)base;
	int i, n = 0;

	for (i = 0; i < NR; i++)
		if (MASK >> i & 1)
			n += access_signal(addr + i * PAGE_SIZE, (who + i) % 2) ==
			     SIGSEGV;
	return n;
}

static long count_others(int who, long base)
{
	char *addr = (char *)base;
	int i, n = 0;

	(void)who;
	for (i = 0; i < NR; i++)
		if (!(MASK >> i & 1))
			n += page_intact(addr + i * PAGE_SIZE, i);
	return n;
}

static void check_guards(char *addr)
{
	if (kernel_at_least(6, 15))
		check_mask("pages that are guards", MASK, addr, NR, is_guard);
	check_eq("guards that refuse an access",
		 sharers_call(count_guards, (long)addr), (NR - OTHERS) * sharers_nr());
}

static void finish(char *addr)
{
	int i, n = 0;

	check_guards(addr);
	check_eq("other pages intact", sharers_call(count_others, (long)addr),
		 OTHERS * sharers_nr());
	audit_mark("guarded");
	each_in(MASK, addr, NR, lift);
	for (i = 0; i < NR; i++)
		if (MASK >> i & 1)
			n += page_is_zero(addr + i * PAGE_SIZE);
	check_eq("pages zero, guards lifted", n, NR - OTHERS);
	check_rss_anon();
}

static bool others_out(const void *addr, int nr)
{
	return count_ptes(addr, nr, is_swapped) == OTHERS;
}

static void test_reclaim(void)
{
	char *addr = guarded_map();

	check(reclaim_until(others_out, addr, NR), "pages were not reclaimed");
	check_guards(addr);
	finish(addr);
}

static void test_move(void)
{
	char *addr = guarded_map();
	int i, n = 0;

	for (i = 0; i < NR; i++)
		if (!(MASK >> i & 1))
			n += move_shared_page(addr + i * PAGE_SIZE, 1) == 1;
	check_eq("pages that arrived", n, OTHERS);
	finish(addr);
}

static void test_split(void)
{
	char *addr = guarded_map();
	int ret = split_thps(addr, NR * PAGE_SIZE, 0);

	check(!ret, "split_huge_pages: %s", strerror(-ret));
	finish(addr);
}

static void test_collapse(void)
{
	char *head;
	int i, n = 0, ret;

	head = thp_map();
	for (i = 0; i < NR; i++)
		if (MASK >> i & 1)
			guard(head + i * PAGE_SIZE, i);
	ret = collapse(head, HPAGE_SIZE);
	check(ret, "MADV_COLLAPSE over guards: 0");
	check(!is_pmd_mapped(head), "a PMD maps the guards");
	check_guards(head);
	for (i = NR; i < HPAGE_NR; i++)
		n += page_intact(head + i * PAGE_SIZE, i);
	check_eq("pages intact behind them", n, HPAGE_NR - NR);
	finish(head);
}

static void test_fork(void)
{
	char *addr = guarded_map();

	sharers_fork(4);
	finish(addr);
	sharers_end();
}

static void test_mprotect(void)
{
	char *addr = guarded_map();
	int i, n = 0;

	require_errno(!mprotect(addr, NR * PAGE_SIZE, PROT_READ), "mprotect");
	check_guards(addr);
	for (i = 0; i < NR; i++)
		n += access_signal(addr + i * PAGE_SIZE, true) == SIGSEGV;
	check_eq("pages that refuse a write", n, NR);
	require_errno(!mprotect(addr, NR * PAGE_SIZE, PROT_READ | PROT_WRITE),
		      "mprotect");
	finish(addr);
}

static void test_mremap(void)
{
	char *addr = guarded_map();

	finish(move_over_pmd_edge(addr, NR, 1 << ORDER));
}

static void test_mlock(void)
{
	char *addr = guarded_map();
	int i, n = 0;

	/* A guard cannot be faulted in. */
	check(mlock(addr, NR * PAGE_SIZE), "mlock() over guards: 0");
	for (i = 0; i < NR; i++)
		if (!(MASK >> i & 1))
			n += !mlock(addr + i * PAGE_SIZE, PAGE_SIZE);
	check_eq("pages locked", n, OTHERS);
	check_guards(addr);
	require_errno(!munlock(addr, NR * PAGE_SIZE), "munlock");
	finish(addr);
}

static void test_uffd_wp(void)
{
	char *addr = guarded_map();
	int uffd = uffd_open_wp(addr, NR * PAGE_SIZE);

	uffd_protect(uffd, addr, NR * PAGE_SIZE, true);
	check_mask("pages write-protected", ~MASK, addr, NR, is_uffd_wp);
	check_guards(addr);
	uffd_protect(uffd, addr, NR * PAGE_SIZE, false);
	finish(addr);
}

static void test_zap(void)
{
	char *addr = guarded_map();
	int i, n = 0;

	require_errno(!madvise(addr, NR * PAGE_SIZE, MADV_DONTNEED),
		      "MADV_DONTNEED");
	check_guards(addr);
	check_eq("PTEs present", count_ptes(addr, NR, is_present), 0);
	for (i = 0; i < NR; i++)
		if (!(MASK >> i & 1)) {
			n += page_is_zero(addr + i * PAGE_SIZE);
			page_fill(addr + i * PAGE_SIZE, i);
		}
	check_eq("other pages that are zero", n, OTHERS);
	finish(addr);
}

static bool none_present(const void *addr, int nr)
{
	return !count_ptes(addr, nr, is_present);
}

static void test_shmem(void)
{
	char *addr, *other;
	int file;

	require_memcg();
	require_swap();
	addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	other = shmem_map(file, NR * PAGE_SIZE);
	each_in(MASK, addr, NR, guard);
	check_eq("pages intact, mapped without guards", intact_pages(other, NR),
		 NR);
	check(reclaim_until(none_present, other, NR), "pages were not reclaimed");
	check_guards(addr);
	check_eq("pages intact, mapped without guards", intact_pages(other, NR),
		 NR);
	check_eq("other pages intact", count_others(0, (long)addr), OTHERS);
	check_guards(addr);
	each_in(MASK, addr, NR, lift);
	check_eq("pages intact, guards lifted", intact_pages(addr, NR), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		/* The others allow no huge page of a PMD's size. */
		{ .name = "collapse", .run = test_collapse },
		{ .name = "reclaim", .run = test_reclaim },
		{ .name = "move", .run = test_move },
		{ .name = "split", .run = test_split },
		{ .name = "fork", .run = test_fork },
		{ .name = "mprotect", .run = test_mprotect },
		{ .name = "mremap", .run = test_mremap },
		{ .name = "mlock", .run = test_mlock },
		{ .name = "uffd-wp", .run = test_uffd_wp },
		{ .name = "zap", .run = test_zap },
		{ .name = "shmem", .run = test_shmem },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
