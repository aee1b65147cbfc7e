// SPDX-License-Identifier: GPL-2.0
/*
 * Idle page tracking: a page is idle until one of its 1 to 64 sharers, any of
 * them, touches it.
 *
 * Marked idle, pages that nobody touches stay so (the walk clears the young bit
 * of every PTE: one that was left young would undo the mark at once); a page
 * that one process touched, the last one of all that map it, is not idle when
 * the bitmap is read.  For anonymous pages, pages of a tmpfs file, and a
 * PMD-mapped THP, of which the head stands for all pages.
 */
#include <sys/mman.h>

#include "idle.h"
#include "sharers.h"

#define NR 16

static char *addr;

static long touch(int who, long i)
{
	(void)who;
	return *(volatile char *)(addr + i * PAGE_SIZE);
}

static long touch_all(int who, long nr)
{
	int i;

	for (i = 0; i < nr; i++)
		touch(who, i);
	return 0;
}

static int idle_pages(int nr)
{
	int i, n = 0;

	for (i = 0; i < nr; i++)
		n += page_is_idle(addr + i * PAGE_SIZE);
	return n;
}

static void check_idle(int nr)
{
	int i, last = sharers_nr() - 1;

	sharers_call(touch_all, nr);
	idle_set(addr, nr);
	check_eq("idle pages, nobody touched them", idle_pages(nr), nr);
	for (i = 0; i < nr; i += 2)
		sharer_call(last, touch, i);
	check_eq("idle pages, one process touched half of them",
		 idle_pages(nr), nr / 2);
	idle_set(addr, nr);
	check_eq("idle pages, marked again", idle_pages(nr), nr);
	sharers_end();
}

static void test_anon(void)
{
	require_page_idle();
	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	check_idle(NR);
}

static void test_file(void)
{
	int fd = shmem_file(NR * PAGE_SIZE);

	require_page_idle();
	addr = shmem_map(fd, NR * PAGE_SIZE);
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	check_idle(NR);
}

static void test_thp(void)
{
	require_page_idle();
	addr = thp_map();
	sharers_fork(subtest_arg());
	sharers_call(touch_all, 1);
	idle_set(addr, 1);
	check_eq("the THP is idle", page_is_idle(addr), 1);
	sharer_call(sharers_nr() - 1, touch, HPAGE_NR - 1);
	check_eq("the THP is idle, its last page was touched",
		 page_is_idle(addr), 0);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(2, "anon", test_anon),
		SHARED_BY(16, "anon", test_anon),
		SHARED_BY(64, "anon", test_anon),
		SHARED_BY(2, "file", test_file),
		SHARED_BY(16, "file", test_file),
		SHARED_BY(64, "file", test_file),
		SHARED_BY(2, "thp", test_thp),
		SHARED_BY(16, "thp", test_thp),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
