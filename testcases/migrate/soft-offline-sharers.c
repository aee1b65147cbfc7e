// SPDX-License-Identifier: GPL-2.0
/*
 * Soft offline of a page that 1, 2, 16 or 64 processes share, as anonymous
 * memory and as a page of a tmpfs file.
 *
 * The data moves to another page, for all; the old page is taken out of use
 * (KPF_HWPOISON), mapped by nobody; nobody gets a signal or another page's
 * data.  Anonymous memory stays private, the file's stays shared.
 */
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 4

static void offline_all(char *addr)
{
	struct pfns old = pfns_of(addr, NR);
	int i, ret, poisoned = 0, left = 0;

	drain_lru_caches();
	for (i = 0; i < NR; i++) {
		ret = soft_offline_pfn(old.pfn[i]);
		check(!ret, "soft offline of page %d: %s", i, strerror(-ret));
	}
	for (i = 0; i < NR; i++) {
		poisoned += !!(pfn_facts(old.pfn[i]).flags & KPF_HWPOISON);
		left += sharers_mapping(addr + i * PAGE_SIZE, old.pfn[i]);
	}
	check_eq("old pages that are taken out of use", poisoned, NR);
	check_eq("PTEs that still map an old page", left, 0);
	check_shared_by_all(addr, NR);
	pfns_of(addr, NR);
	check_intact_in_all(addr, NR);
}

static void test_anon(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);

	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	offline_all(addr);
	check_rss_anon();
	check_writes_are_private(addr, NR);
	sharers_end();
}

static long read_all(int who, long addr)
{
	(void)who;
	return intact_pages((void *)addr, NR);
}

static void test_shmem(void)
{
	int fd = shmem_file(NR * PAGE_SIZE);
	char *addr;

	addr = shmem_map(fd, NR * PAGE_SIZE);
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	sharers_call(read_all, (long)addr);
	offline_all(addr);
	/* What the last one writes, the first one reads. */
	page_fill(addr, 77);
	pages_fill(addr, NR);
	check_intact_in_all(addr, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "anon-1", test_anon, unpoison_watched, 1 },
		{ "anon-2", test_anon, unpoison_watched, 2 },
		{ "anon-16", test_anon, unpoison_watched, 16 },
		{ "anon-64", test_anon, unpoison_watched, 64 },
		{ "shmem-1", test_shmem, unpoison_watched, 1 },
		{ "shmem-2", test_shmem, unpoison_watched, 2 },
		{ "shmem-16", test_shmem, unpoison_watched, 16 },
		{ "shmem-64", test_shmem, unpoison_watched, 64 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
