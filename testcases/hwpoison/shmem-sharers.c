// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure in a page of a tmpfs file that 1, 2, 16 or 64 processes map.
 *
 * Every one of them gets a SIGBUS for that page, however late it looks, and a
 * read(2) of it is EIO; nobody maps the page any more.  Pages beside it are
 * intact for all, in memory and by read(2).  A hole punched there takes the page
 * out of the file, and read(2) gives zeroes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sharers.h"

#define NR	8
#define BAD	5

static int file;
static char *addr;

static long touch_bad(int who, long sig)
{
	return access_signal(addr + BAD * PAGE_SIZE, who % 2) == sig;
}

static long touch_others(int who, long arg)
{
	int i, n = 0;

	(void)who;
	(void)arg;
	for (i = 0; i < NR; i++)
		n += i != BAD && page_intact(addr + i * PAGE_SIZE, i);
	return n;
}

static long touch_all(int who, long arg)
{
	(void)who;
	(void)arg;
	return intact_pages(addr, NR);
}

static void test_poison(void)
{
	char buf[PAGE_SIZE];
	struct pfns old;
	int ret;

	file = shmem_file(NR * PAGE_SIZE);
	addr = shmem_map(file, NR * PAGE_SIZE);
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	sharers_call(touch_all, 0);
	check_shared_by_all(addr, NR);
	old = pfns_of(addr, NR);
	drain_lru_caches();

	poison_pfn(old.pfn[BAD]);
	check_eq("sharers that still map the page",
		 sharers_mapping(addr + BAD * PAGE_SIZE, old.pfn[BAD]), 0);
	check_eq("sharers that get SIGBUS", sharers_call(touch_bad, SIGBUS),
		 sharers_nr());
	check_eq("other pages intact", sharers_call(touch_others, 0),
		 (NR - 1) * sharers_nr());
	ret = pread(file, buf, PAGE_SIZE, BAD * PAGE_SIZE);
	check(ret == -1 && errno == EIO, "read of the page: %d", ret);
	ret = pread(file, buf, PAGE_SIZE, (BAD + 1) * PAGE_SIZE);
	check(ret == (int)PAGE_SIZE && page_intact(buf, BAD + 1),
	      "read of the next page: %d", ret);

	require_errno(!fallocate(file, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, BAD * PAGE_SIZE,
				 PAGE_SIZE), "fallocate");
	ret = pread(file, buf, PAGE_SIZE, BAD * PAGE_SIZE);
	check(ret == (int)PAGE_SIZE && !buf[0] && !buf[PAGE_SIZE - 1],
	      "read of the hole: %d", ret);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "poison-1", test_poison, unpoison_watched, 1 },
		{ "poison-2", test_poison, unpoison_watched, 2 },
		{ "poison-16", test_poison, unpoison_watched, 16 },
		{ "poison-64", test_poison, unpoison_watched, 64 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
