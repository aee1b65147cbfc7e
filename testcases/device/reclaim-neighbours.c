// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim around pages in device memory: ordinary pages of the same VMA are
 * swapped out, by memory.reclaim and by MADV_PAGEOUT; those on the device stay
 * there, with their data, and RssAnon is present + device PTEs.
 */
#include <sys/mman.h>

#include "rmaplab.h"

#define NR		32
#define SIZE		(NR * 2 * PAGE_SIZE)
#define MAX_ROUNDS	20

/* The pages in front of e0's are ordinary ones. */
static char *neighbour(const struct spaced *e, int i)
{
	return e->base + i * 2 * PAGE_SIZE;
}

static int swapped(const struct spaced *e)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += is_swapped(pagemap_entry(neighbour(e, i)));
	return n;
}

static struct spaced map(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int i;

	require_memcg();
	require_swap();
	for (i = 0; i < NR; i++)
		page_fill(neighbour(&e, i), 500 + i);
	check_eq("pages on the device", spaced_on_device(&e), NR);
	drain_lru_caches();
	return e;
}

static void check_neighbours(const struct spaced *e)
{
	int i;

	if (swapped(e) != NR)
		skip("inconclusive: %d of %d ordinary pages are swapped out",
		     swapped(e), NR);
	check_eq("pages on the device", spaced_on_device(e), NR);
	check_eq("device PTEs", spaced_device_ptes(e, subtest_arg()), NR);
	check_rss_anon();
	for (i = 0; i < NR; i++)
		check(page_intact(neighbour(e, i), 500 + i), "neighbour %d", i);
	check_eq("pages intact", spaced_intact(e), NR);
	check_rss_anon();
}

static void test_reclaim(void)
{
	struct spaced e = map();
	int round;

	for (round = 0; round < MAX_ROUNDS && swapped(&e) < NR; round++)
		diag("memory.reclaim: %d", memcg_reclaim_anon(16UL << 20));
	check_neighbours(&e);
}

static void test_pageout(void)
{
	struct spaced e = map();

	require_errno(!madvise(e.base, SIZE, MADV_PAGEOUT), "MADV_PAGEOUT");
	check_neighbours(&e);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-reclaim", .run = test_reclaim,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-reclaim", .run = test_reclaim,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-pageout", .run = test_pageout,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-pageout", .run = test_pageout,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
