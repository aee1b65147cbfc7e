// SPDX-License-Identifier: GPL-2.0
/*
 * Pages are found where mremap() put them.
 *
 * Of 2, 16 or 64 processes that share anonymous pages, every second moved them
 * to another address, every fourth of those without unmapping the old place
 * (MREMAP_DONTUNMAP).  Soft offline of every page then gives each of them
 * another PFN, the same for all, at the new address as at the old, with a
 * mapcount of the number of processes; all have the data, and keep it to
 * themselves when they write.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "sharers.h"

#define NR 8

static char *mine, *where[MAX_SHARERS];

static long move_mapping(int who, long address)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	size_t size = NR * PAGE_SIZE;
	char *to;

	mine = (char *)address;
	if (who % 2) {
		to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
		require_errno(to != MAP_FAILED, "mmap");
		if (who % 4 == 3)
			flags |= MREMAP_DONTUNMAP;
		mine = mremap(mine, size, size, flags, to);
		require_errno(mine == to, "mremap by sharer %d", who);
	}
	return (long)mine;
}

static int mapping(int i, uint64_t pfn)
{
	uint64_t entry;
	int who, n = 0;

	for (who = 0; who < sharers_nr(); who++) {
		entry = pagemap_entry_of(sharer_pid(who),
					 where[who] + i * PAGE_SIZE);
		n += is_present(entry) && PM_PFN(entry) == pfn;
	}
	return n;
}

static long intact(int who, long arg)
{
	(void)who;
	(void)arg;
	return intact_pages(mine, NR);
}

static long write_own(int who, long arg)
{
	(void)arg;
	page_fill(mine, 1000 + who);
	return 0;
}

static long own_intact(int who, long arg)
{
	(void)arg;
	return page_intact(mine, 1000 + who);
}

static void test_mremap(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	int who, i, ret, found = 0, counted = 0;
	struct pfns old;

	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	for (who = 0; who < sharers_nr(); who++)
		where[who] = (char *)sharer_call(who, move_mapping, (long)addr);
	old = pfns_of(addr, NR);
	drain_lru_caches();

	for (i = 0; i < NR; i++) {
		ret = soft_offline_pfn(old.pfn[i]);
		check(!ret, "soft offline of page %d: %s", i, strerror(-ret));
	}
	check_eq("pages with their old PFN", pfns_kept(&old, addr), 0);
	for (i = 0; i < NR; i++) {
		struct page_facts p = page_facts(addr + i * PAGE_SIZE);

		watch_pfn(p.pfn);
		found += mapping(i, p.pfn);
		counted += (int)p.count == sharers_nr();
	}
	check_eq("PTEs that map the new pages", found, NR * sharers_nr());
	check_eq("pages with a mapcount of as many", counted, NR);
	check_eq("pages intact", sharers_call(intact, 0), NR * sharers_nr());
	sharers_call(write_own, 0);
	check_eq("sharers with their own data", sharers_call(own_intact, 0),
		 sharers_nr());
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "mremap-2", test_mremap, unpoison_watched, 2 },
		{ "mremap-16", test_mremap, unpoison_watched, 16 },
		{ "mremap-64", test_mremap, unpoison_watched, 64 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
