// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure in a hugetlb page that 1, 2 or 16 processes map, private
 * after a fork or shared by a file.
 *
 * The whole huge page goes from all of them: a SIGBUS for each, wherever it
 * touches it.  The huge page beside it is intact, for all.
 */
#include <signal.h>
#include <sys/mman.h>

#include "hugetlb.h"
#include "sharers.h"

static char *addr;

static long touch_bad(int who, long arg)
{
	(void)arg;
	return access_signal(addr + (who + 1) % HPAGE_NR * PAGE_SIZE,
			     who % 2) == SIGBUS;
}

static long touch_good(int who, long arg)
{
	(void)who;
	(void)arg;
	return page_intact(addr + HPAGE_SIZE, HPAGE_NR) &&
	       page_intact(addr + HPAGE_SIZE + 8 * PAGE_SIZE, HPAGE_NR + 8);
}

static long touch_first(int who, long arg)
{
	(void)who;
	(void)arg;
	return page_intact(addr, 0);
}

static void poison(void)
{
	uint64_t pfn = page_facts(addr).pfn;

	sharers_fork(subtest_arg());
	check_eq("sharers with the data", sharers_call(touch_first, 0),
		 sharers_nr());
	check_eq("mapcount", pfn_facts(pfn).count, sharers_nr());
	watch_pfn(pfn);
	poison_pfn(pfn);
	check_eq("sharers that still map the page", sharers_mapping(addr, pfn),
		 0);
	check_eq("sharers that get SIGBUS", sharers_call(touch_bad, 0),
		 sharers_nr());
	check_eq("sharers with the other page intact",
		 sharers_call(touch_good, 0), sharers_nr());
	sharers_end();
}

static void test_private(void)
{
	addr = hugetlb_map(2, MAP_PRIVATE);
	poison();
}

static void test_shared(void)
{
	addr = hugetlb_map(2, MAP_SHARED);
	poison();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "private-1", test_private, unpoison_watched, 1 },
		{ "private-2", test_private, unpoison_watched, 2 },
		{ "private-16", test_private, unpoison_watched, 16 },
		{ "shared-2", test_shared, unpoison_watched, 2 },
		{ "shared-16", test_shared, unpoison_watched, 16 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
