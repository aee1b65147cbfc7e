// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction moves pages that 1, 2 or 16 processes share.
 *
 * Every second page of 8 MB is given back, so that there is something to
 * compact; /proc/sys/vm/compact_memory.  Some of the others have another PFN
 * then; every one of them is mapped by all, its mapcount their number, and none
 * has lost its data.
 */
#include <string.h>
#include <sys/mman.h>

#include "sharers.h"

#define NR	2048
#define ROOM	(96UL << 20)
#define CLOSELY	256	/* of the 512 pages at the start, those still there */

static char *addr;
static uint64_t before[NR], after[NR];

static void punch_holes(void)
{
	int i;

	for (i = 1; i < NR; i += 2)
		require_errno(!madvise(addr + i * PAGE_SIZE, PAGE_SIZE,
				       MADV_DONTNEED), "MADV_DONTNEED");
}

/* One word tells pages apart; to look at every one is for the first few. */
static long right_pages(int who, long arg)
{
	int i, n = 0;

	(void)who;
	(void)arg;
	for (i = 0; i < NR; i += 2)
		n += *(volatile uint64_t *)(addr + i * PAGE_SIZE) ==
		     (uint64_t)i + 1;
	return n;
}

static void test_compaction(void)
{
	long long moves = vmstat("pgmigrate_success");
	int i, ret, moved = 0, counted = 0;
	char *room;

	/* Given back again, room to move to, at the end that memory comes from. */
	room = anon_map(ROOM, MADV_NOHUGEPAGE);
	memset(room, 1, ROOM);
	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	for (i = 0; i < NR; i++)
		*(volatile uint64_t *)(addr + i * PAGE_SIZE) = i + 1;
	require_errno(!munmap(room, ROOM), "munmap");
	punch_holes();
	sharers_fork(subtest_arg());
	drain_lru_caches();
	pagemap_entries_of(sharer_pid(0), addr, NR, before);
	ret = write_text("/proc/sys/vm/compact_memory", "1");
	require(!ret, "compact_memory: %s", strerror(-ret));
	pagemap_entries_of(sharer_pid(0), addr, NR, after);
	for (i = 0; i < NR; i += 2)
		moved += PM_PFN(before[i] ^ after[i]) != 0;
	diag("pages with another PFN: %d; pgmigrate_success: %lld", moved,
	     vmstat("pgmigrate_success") - moves);
	if (!moved)
		skip("inconclusive: compaction moved none of the pages");

	for (i = 0; i < 2 * CLOSELY; i += 2) {
		uint64_t pfn = PM_PFN(after[i]);

		counted += (int)pfn_facts(pfn).count == sharers_nr();
	}
	check_eq("pages with the mapcount of all", counted, CLOSELY);
	check_eq("PTEs present of the first pages",
		 sharers_count(addr, 512, is_present), CLOSELY * sharers_nr());
	check_eq("pages that agree between sharers",
		 sharers_agreeing(addr, 512), 512);
	check_eq("pages with their data", sharers_call(right_pages, 0),
		 NR / 2 * sharers_nr());
	check_rss_anon();
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "compaction", test_compaction),
		SHARED_BY(2, "compaction", test_compaction),
		SHARED_BY(16, "compaction", test_compaction),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
