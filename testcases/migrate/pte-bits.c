// SPDX-License-Identifier: GPL-2.0
/*
 * What a PTE says of a page survives a migration.
 *
 * soft-dirty: after clear_refs, every second page is written; after the move
 * pagemap says soft-dirty of those and of no other.
 * uffd-wp: of the pages under write protection, and of no other, pagemap says
 * so after the move, and a write to one raises an event.
 * young: after page_idle was set on all pages, every second one is read; after
 * the move those are not idle, the others are.
 * read-only: a page of a PROT_READ mapping does not come back writable: a write
 * is a SIGSEGV, in the first process as in the 15 that share it.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "idle.h"
#include "move.h"
#include "sharers.h"

#define NR 16

static void move(char *addr)
{
	struct pfns old = pfns_of(addr, NR);

	check_eq("pages that arrived", move_shared_pages(addr, NR, 1), NR);
	check_eq("pages with their old PFN", pfns_kept(&old, addr), 0);
	pfns_of(addr, NR);
}

static void test_soft_dirty(void)
{
	char *addr;
	int i, ret, right = 0;

	require_node(1);
	addr = anon_map_on(0, NR);
	ret = write_text("/proc/self/clear_refs", "4");
	require(!ret, "clear_refs: %s", strerror(-ret));
	for (i = 0; i < NR; i += 2)
		page_fill(addr + i * PAGE_SIZE, i);
	check_eq("pages soft-dirty", count_ptes(addr, NR, is_soft_dirty), NR / 2);
	move(addr);
	for (i = 0; i < NR; i++)
		right += is_soft_dirty(pagemap_entry(addr + i * PAGE_SIZE)) ==
			 !(i % 2);
	check_eq("pages with the right soft-dirty bit", right, NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
}

static void test_uffd_wp(void)
{
	char *addr;
	int i, uffd, right = 0;

	require_node(1);
	addr = anon_map_on(0, NR);
	uffd = uffd_open_wp(addr, NR * PAGE_SIZE);
	for (i = 0; i < NR; i += 2)
		uffd_protect(uffd, addr + i * PAGE_SIZE, PAGE_SIZE, true);
	move(addr);
	for (i = 0; i < NR; i++)
		right += is_uffd_wp(pagemap_entry(addr + i * PAGE_SIZE)) ==
			 !(i % 2);
	check_eq("pages with the right uffd-wp bit", right, NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
}

static void test_young(void)
{
	char *addr;
	int i, right = 0;

	require_node(1);
	require_page_idle();
	addr = anon_map_on(0, NR);
	sharers_fork(2);
	idle_set(addr, NR);
	/* The other process runs in between: the TLB forgets the young bit. */
	for (i = 0; i < NR; i += 2)
		check(page_intact(addr + i * PAGE_SIZE, i), "page %d", i);
	move(addr);
	for (i = 0; i < NR; i++)
		right += page_is_idle(addr + i * PAGE_SIZE) == !!(i % 2);
	check_eq("pages that are idle if nobody read them", right, NR);
	sharers_end();
}

static long write_fails(int who, long addr)
{
	(void)who;
	return access_signal((void *)addr, true) == SIGSEGV;
}

static void test_read_only(void)
{
	char *addr;

	require_node(1);
	addr = anon_map_on(0, NR);
	require_errno(!mprotect(addr, NR * PAGE_SIZE, PROT_READ), "mprotect");
	sharers_fork(subtest_arg());
	move(addr);
	check_eq("sharers that get SIGSEGV for a write",
		 sharers_call(write_fails, (long)addr), sharers_nr());
	check_intact_in_all(addr, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "soft-dirty", .run = test_soft_dirty },
		{ .name = "uffd-wp", .run = test_uffd_wp },
		{ .name = "young", .run = test_young },
		SHARED_BY(1, "read-only", test_read_only),
		SHARED_BY(16, "read-only", test_read_only),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
