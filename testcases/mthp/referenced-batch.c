// SPDX-License-Identifier: GPL-2.0
/*
 * Folios of 64 kB of which one page each was used are not reclaimed before those of
 * which none was.
 *
 * folio_referenced_one() takes several PTEs of a folio at once since 7.0, and a
 * reference may be in any of them.  Half of the folios get page N read after all PTEs
 * were made old; they are the older half, so that reclaim meets them first.  It is asked
 * for the size of the other half, or less, and takes that: of the folios in use nearly
 * all are there afterwards.  By the classic lists, and by MGLRU (anonymous memory only:
 * on 6.12 it took pages of tmpfs that were in use, too); of anonymous memory and of
 * tmpfs; across the edge of a page table; and by idle page tracking, which looks at every
 * PTE of a folio as well.
 */
#include "idle.h"
#include "move.h"
#include "mthp.h"
#include "sharers.h"

#define ORDER	4
#define FOLIO	(1 << ORDER)
#define FOLIOS	64		/* half of them in use */
#define NR	(FOLIOS * FOLIO)
#define BYTES	(NR * PAGE_SIZE)

enum { SHMEM = 32, GENERATIONS = 64, EDGE = 128 };

static int folios_present(const char *addr, int nr)
{
	int i, n = 0;

	for (i = 0; i < nr; i++)
		n += is_present(pagemap_entry(addr + i * FOLIO * PAGE_SIZE));
	return n;
}

static void use(const char *addr, int page)
{
	volatile char c;
	int i;

	for (i = 0; i < FOLIOS / 2; i++)
		c = addr[(i * FOLIO + page) * PAGE_SIZE];
	(void)c;
}

static void test_reclaim(void)
{
	int how = subtest_arg(), page = how % 32, file, used, unused, round;
	char *addr;

	require_memcg();
	require_swap();
	choose_lru(how & GENERATIONS);
	if (how & SHMEM)
		addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	else
		addr = mthp_map_some(ORDER, FOLIOS);
	if (how & EDGE)
		addr = move_over_pmd_edge(addr, NR, FOLIO);
	drain_lru_caches();
	clear_refs("1");
	use(addr, page);
	/* A little at a time, until most of what is not in use is out. */
	for (round = 0; round < 64; round++) {
		memcg_reclaim_anon(BYTES / 32);
		unused = folios_present(addr + BYTES / 2, FOLIOS / 2);
		used = folios_present(addr, FOLIOS / 2);
		if (unused + used <= FOLIOS * 5 / 8)
			break;
		use(addr, page);
		forget_tlb();
	}
	diag("%d rounds; of %d folios in use and %d others present: %d, %d",
	     round + 1, FOLIOS / 2, FOLIOS / 2, used, unused);
	require(unused + used <= FOLIOS * 5 / 8, "reclaim did not get on");
	check(used >= FOLIOS / 2 - 2, "folios in use that were reclaimed: %d",
	      FOLIOS / 2 - used);
}

static void test_idle(void)
{
	int how = subtest_arg(), page = how % 32, i, file, right = 0;
	char *addr;

	require_page_idle();
	if (how & SHMEM)
		addr = mthp_shmem_map(ORDER, FOLIOS, &file, true);
	else
		addr = mthp_map_some(ORDER, FOLIOS);
	if (how & EDGE)
		addr = move_over_pmd_edge(addr, NR, FOLIO);
	drain_lru_caches();
	for (i = 0; i < FOLIOS; i++)
		idle_set(addr + i * FOLIO * PAGE_SIZE, 1);
	forget_tlb();
	use(addr, page);
	for (i = 0; i < FOLIOS; i++)
		right += page_is_idle(addr + i * FOLIO * PAGE_SIZE) ==
			 (i >= FOLIOS / 2);
	check_eq("folios that are idle if nobody read them", right, FOLIOS);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "page-0", .run = test_reclaim, .arg = 0 },
		{ .name = "page-5", .run = test_reclaim, .arg = 5 },
		{ .name = "page-15", .run = test_reclaim, .arg = 15 },
		{ .name = "page-11-edge", .run = test_reclaim, .arg = EDGE + 11 },
		{ .name = "page-5-shmem", .run = test_reclaim, .arg = SHMEM + 5 },
		{ .name = "page-15-shmem", .run = test_reclaim,
		  .arg = SHMEM + 15 },
		{ .name = "page-0-generations", .run = test_reclaim,
		  .arg = GENERATIONS },
		{ .name = "page-5-generations", .run = test_reclaim,
		  .arg = GENERATIONS + 5 },
		{ .name = "page-15-generations", .run = test_reclaim,
		  .arg = GENERATIONS + 15 },
		{ .name = "page-0-idle", .run = test_idle, .arg = 0 },
		{ .name = "page-7-idle", .run = test_idle, .arg = 7 },
		{ .name = "page-15-idle", .run = test_idle, .arg = 15 },
		{ .name = "page-11-edge-idle", .run = test_idle, .arg = EDGE + 11 },
		{ .name = "page-7-shmem-idle", .run = test_idle, .arg = SHMEM + 7 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
