// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure of an exclusive page (hwpoison/corrupt-pfn), then the CPU
 * touches it.
 *
 * It gets SIGBUS: memory_failure() unmaps the page from whoever has it, an
 * exclusive entry is one of its mappings, and the next access finds a hwpoison
 * entry.  The unpatched kernel finds nobody who maps the page: the access
 * revokes the entry and reads the data from poisoned memory (the bug).
 *
 * The page's neighbours are as they were.
 */
#include <signal.h>
#include <string.h>

#include "rmaplab.h"

#define NR	3
#define BAD	1

static void test_touch(void)
{
	struct spaced e = spaced_map(NR);
	int i, ret;

	spaced_make_exclusive(&e);
	drain_lru_caches();
	ret = hwpoison_pfn(spaced_facts(&e, BAD).pfn);
	diag("corrupt-pfn: %s", ret ? strerror(-ret) : "0");
	spaced_print(&e);
	check_eq("signal of a read", access_signal(spaced_page(&e, BAD), false),
		 SIGBUS);
	check_eq("signal of a write", access_signal(spaced_page(&e, BAD), true),
		 SIGBUS);
	check(!dmirror_has_exclusive(e.dev, spaced_page(&e, BAD)),
	      "the device still has access to the poisoned page");
	for (i = 0; i < NR; i++)
		if (i != BAD)
			check(page_intact(spaced_page(&e, i), i), "page %d", i);
}

/* An ordinary page shows that injecting works in this guest. */
static void test_ordinary(void)
{
	struct spaced e = spaced_map(NR);
	int ret;

	drain_lru_caches();
	ret = hwpoison_pfn(spaced_facts(&e, BAD).pfn);
	require(!ret, "corrupt-pfn: %s", strerror(-ret));
	check_eq("signal of a read", access_signal(spaced_page(&e, BAD), false),
		 SIGBUS);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "ordinary", .run = test_ordinary,
		  .after = unpoison_watched },
		{ .name = "touch", .run = test_touch,
		  .after = unpoison_watched },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
