// SPDX-License-Identifier: GPL-2.0
/*
 * mremap() of a huge page of tmpfs that a PMD maps, with pages behind it that
 * are swapped out, in one of 1, 2 or 16 processes that map the file.
 *
 * To an address that is aligned for a PMD the page table entry moves as it is:
 * a PMD maps the same pages there.  To another address the PMD is split, which
 * for a file means that it goes: PTEs map the same pages there when they are
 * read.  In either case nothing is mapped at the old address; the other
 * processes map the huge page as before; the mapcount of its pages is the number
 * of processes; and what one writes all see.
 *
 * The pages that are swapped out have no entry to be moved.  They stay in swap,
 * and have their data when they are read at the new address.
 *
 * The file is truncated in the end: the reverse map of the file has to find the
 * mapping at its new address, or it would stay.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sharers.h"

#define NR	16		/* pages behind the huge one */
#define SIZE	(2 * HPAGE_SIZE)
#define SEED	77

static int file;

/* A huge page and NR swapped out ones behind it, in one mapping. */
static char *map_file(void)
{
	char *base, *behind;
	int swapped;

	require_swap();
	file = shmem_file(SIZE);
	base = shmem_map_aligned(file, 0, 2);
	behind = base + HPAGE_SIZE;
	shmem_allow_thp(false);
	pages_fill(behind, NR);
	require(!is_thp(behind), "the pages behind are a huge page");
	pageout(behind, NR);
	swapped = count_swapped_file(file, HPAGE_NR, behind, NR);
	if (swapped != NR)
		skip("inconclusive: %d of %d pages are swapped out", swapped, NR);
	shmem_thp_populate(base, 1);
	return base;
}

/* In a sharer that has read the huge page. */
static long maps_by_pmd(int who, long addr)
{
	(void)who;
	(void)*(volatile char *)addr;
	return is_pmd_mapped((void *)addr);
}

static long sees_write(int who, long addr)
{
	(void)who;
	return page_intact((void *)addr, SEED);
}

static long has_entries(int who, long addr)
{
	(void)who;
	return count_ptes((void *)addr, HPAGE_NR, is_present);
}

static void check_behind(const char *behind)
{
	long long before = vmstat("pswpin");

	check_eq("pages behind present", count_ptes(behind, NR, is_present), 0);
	check_eq("pages behind in swap",
		 count_swapped_file(file, HPAGE_NR, behind, NR), NR);
	check_eq("pages behind intact", intact_pages(behind, NR), NR);
	check(vmstat("pswpin") - before >= NR, "%lld pages came from swap, not %d",
	      vmstat("pswpin") - before, NR);
}

static void check_truncation(char *base, char *to)
{
	require_errno(!ftruncate(file, 0), "ftruncate");
	check_eq("PTEs after truncation", has_entries(0, (long)to), 0);
	check_eq("PTEs after truncation, of the others",
		 sharers_call_others(has_entries, (long)base), 0);
	check_eq("signal of a read", access_signal(to, false), SIGBUS);
}

static void move(bool aligned)
{
	char *base = map_file(), *to = hpage_hole(3);
	struct pfns old = pfns_of(base, HPAGE_NR);
	int others;

	sharers_fork(subtest_arg());
	others = sharers_nr() - 1;
	check_eq("sharers that map it by a PMD",
		 sharers_call(maps_by_pmd, (long)base), others + 1);
	check_eq("mapcount before", page_facts(base).count, others + 1);
	if (!aligned)
		to += NR * PAGE_SIZE;
	require_errno(mremap(base, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     to) == to, "mremap");

	check_eq("PTEs at the old address",
		 count_ptes(base, HPAGE_NR + NR, is_present), 0);
	if (!aligned)
		check_eq("PTEs moved", count_ptes(to, HPAGE_NR, is_present), 0);
	check_eq("pages intact", intact_pages(to, HPAGE_NR), HPAGE_NR);
	check_eq("mapped by a PMD", is_pmd_mapped(to), aligned);
	check_eq("pages with their PFN", pfns_kept(&old, to), HPAGE_NR);
	check(is_thp(to), "it is no huge page any more");
	check_eq("mapcount of the first page", page_facts(to).count, others + 1);
	check_eq("mapcount of the last page",
		 page_facts(to + HPAGE_SIZE - PAGE_SIZE).count, others + 1);
	check_eq("other sharers that map it by a PMD",
		 sharers_call_others(maps_by_pmd, (long)base), others);
	page_fill(to, SEED);
	check_eq("other sharers that see a write",
		 sharers_call_others(sees_write, (long)base), others);
	check_behind(to + HPAGE_SIZE);
	audit_mark("moved");
	check_truncation(base, to);
	sharers_end();
}

static void test_aligned(void)
{
	move(true);
}

static void test_unaligned(void)
{
	move(false);
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "aligned", test_aligned),
		SHARED_BY(2, "aligned", test_aligned),
		SHARED_BY(16, "aligned", test_aligned),
		SHARED_BY(1, "unaligned", test_unaligned),
		SHARED_BY(2, "unaligned", test_unaligned),
		SHARED_BY(16, "unaligned", test_unaligned),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
