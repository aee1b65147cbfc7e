// SPDX-License-Identifier: GPL-2.0
/*
 * An exclusive page that was marked idle by page_idle/bitmap stays idle.
 *
 * On both kernels: an exclusive entry has no accessed bit to find, so reading
 * the bitmap, which walks the reverse map, leaves the mark.  A present PTE that
 * was accessed takes it away, which shows that tracking works.
 */
#include "idle.h"

#define NR	8

static int idle_pages(const struct spaced *e)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_is_idle(spaced_page(e, i));
	return n;
}

static void test_exclusive(void)
{
	struct spaced e;
	int i;

	require_page_idle();
	e = spaced_map(NR);
	drain_lru_caches();
	spaced_make_exclusive(&e);
	for (i = 0; i < NR; i++)
		idle_set(spaced_page(&e, i), 1);
	check_eq("pages idle", idle_pages(&e), NR);
	check_eq("pages idle, read again", idle_pages(&e), NR);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("pages idle, accessed", idle_pages(&e), 0);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "exclusive", .run = test_exclusive },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
