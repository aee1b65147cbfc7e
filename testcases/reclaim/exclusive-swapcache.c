// SPDX-License-Identifier: GPL-2.0
/*
 * A page that only this process has is still only its own after swapout.
 *
 * Pages that a pipe holds (vmsplice) are unmapped by reclaim, which writes "is
 * exclusive" into the swap entry (PageAnonExclusive), but cannot be freed: they
 * stay in the swap cache.  A read maps them again.  A write then goes to the
 * same page: it is the PFN that it was, and the pipe's reader gets what was
 * written.  Without the mark the kernel would have to take the reference for
 * another process's and copy.
 *
 * forked: shared with another process by a fork before they were swapped out,
 * the pages are not exclusive: the write is copied, and neither the pipe nor
 * the other process sees it.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static void write_after_swapout(char *addr, bool copied)
{
	struct pfns old = pfns_of(addr, NR);
	int i, pipe, seen = 0;
	char got[PAGE_SIZE];

	pipe = hold_references(addr, NR);
	check(reclaim_shared(addr, NR), "pages were not unmapped: %d",
	      sharers_count(addr, NR, is_swapped));
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_eq("pages with their old PFN, read", pfns_kept(&old, addr), NR);
	for (i = 0; i < NR; i++)
		page_fill(addr + i * PAGE_SIZE, 100 + i);
	check_eq("pages with their old PFN, written", pfns_kept(&old, addr),
		 copied ? 0 : NR);
	pfns_of(addr, NR);
	for (i = 0; i < NR; i++) {
		require_errno(read(pipe, got, PAGE_SIZE) ==
			      (ssize_t)PAGE_SIZE,
			      "read from the pipe");
		seen += page_intact(got, copied ? i : 100 + i);
	}
	check_eq(copied ? "old pages in the pipe" : "new pages in the pipe",
		 seen, NR);
	drop_references(pipe);
}

static char *map(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);

	pages_fill(addr, NR);
	return addr;
}

static void test_exclusive(void)
{
	char *addr = map();

	sharers_fork(1);
	write_after_swapout(addr, false);
}

static long intact(int who, long addr)
{
	(void)who;
	return intact_pages((void *)addr, NR);
}

static void test_forked(void)
{
	char *addr = map();

	sharers_fork(2);
	write_after_swapout(addr, true);
	check_eq("pages intact, of the other process",
		 sharer_call(1, intact, (long)addr), NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "exclusive", .run = test_exclusive },
		{ .name = "forked", .run = test_forked },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
