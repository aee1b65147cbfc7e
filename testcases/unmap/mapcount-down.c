// SPDX-License-Identifier: GPL-2.0
/*
 * Every way to unmap takes exactly one off the mapcount.
 *
 * 16 processes share pages: anonymous, of a tmpfs file, of a PMD-mapped THP.
 * They give them up one after the other, in turn by munmap, MADV_DONTNEED,
 * mremap to a shorter size, mapping something else over them, and exit.  After
 * each the mapcount of every page is one lower and the PTEs that map it are as
 * many.  The last one has them intact; when it unmaps them too, the mapcount is
 * 0.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "sharers.h"

#define NR	16
#define SHARERS	16

enum way { MUNMAP, DONTNEED, SHRINK, OVERMAP, EXIT, NR_WAYS };

static size_t size;

static long give_up(int who, long address)
{
	char *addr = (char *)address;
	void *p = addr;

	switch (who % NR_WAYS) {
	case DONTNEED:
		require_errno(!madvise(addr, size, MADV_DONTNEED),
			      "MADV_DONTNEED");
		break;
	case SHRINK:
		p = mremap(addr, size, PAGE_SIZE, 0);
		require_errno(p == addr && !munmap(addr, PAGE_SIZE), "mremap");
		break;
	case OVERMAP:
		p = mmap(addr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_FIXED, -1, 0);
		require_errno(p == addr, "mmap over it");
		break;
	default:
		require_errno(!munmap(addr, size), "munmap");
	}
	return 0;
}

static bool all_have(const char *addr, const struct pfns *pfns, int count)
{
	int i, n = 0;

	for (i = 0; i < pfns->nr; i++)
		n += (int)pfn_facts(pfns->pfn[i]).count == count &&
		     sharers_mapping(addr + i * PAGE_SIZE, pfns->pfn[i]) ==
		     count;
	if (n != pfns->nr)
		diag("only %d of %d pages have mapcount and mappers %d", n,
		     pfns->nr, count);
	return n == pfns->nr;
}

static void count_down(char *addr)
{
	struct pfns pfns = pfns_of(addr, NR);
	int who, right = 0, left = SHARERS, last = 0;

	require(all_have(addr, &pfns, SHARERS), "not shared by all");
	for (who = 1; who < SHARERS; who++) {
		if (who % NR_WAYS == EXIT)
			sharer_end(who);
		else
			sharer_call(who, give_up, (long)addr);
		right += all_have(addr, &pfns, --left);
	}
	check_eq("times that the mapcounts fell by one", right, SHARERS - 1);
	check_eq("pages intact, of the last process", intact_pages(addr, NR),
		 NR);
	check_rss_anon();
	require_errno(!munmap(addr, size), "munmap");
	for (who = 0; who < NR; who++)
		last += pfn_facts(pfns.pfn[who]).count;
	check_eq("mapcounts when all have unmapped them", last, 0);
	sharers_end();
}

static void test_anon(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);

	size = NR * PAGE_SIZE;
	pages_fill(addr, NR);
	sharers_fork(SHARERS);
	count_down(addr);
}

static long read_pages(int who, long addr)
{
	(void)who;
	return intact_pages((void *)addr, NR);
}

static void test_file(void)
{
	char *addr;

	size = NR * PAGE_SIZE;
	addr = shmem_map(shmem_file(size), size);
	pages_fill(addr, NR);
	sharers_fork(SHARERS);
	sharers_call(read_pages, (long)addr);
	count_down(addr);
}

static void test_thp(void)
{
	char *addr = thp_map();

	size = HPAGE_SIZE;
	sharers_fork(SHARERS);
	count_down(addr);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "anon", .run = test_anon },
		{ .name = "file", .run = test_file },
		{ .name = "thp", .run = test_thp },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
