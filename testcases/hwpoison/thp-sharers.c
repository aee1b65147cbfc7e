// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure in one page of a THP that 1, 2 or 16 processes share.
 *
 * The THP is split, and that one page goes from everybody: a SIGBUS for all.
 * The other 511 keep their PFN, each mapped by all, and their data.
 */
#include <signal.h>

#include "sharers.h"

#define BAD	100
#define NR	16

static long touch_bad(int who, long head)
{
	return access_signal((char *)head + BAD * PAGE_SIZE, who % 2) == SIGBUS;
}

static void test_poison(void)
{
	char *head = thp_map(), *bad = head + BAD * PAGE_SIZE;
	struct pfns old;
	long long rss;

	sharers_fork(subtest_arg());
	old = pfns_of(head, HPAGE_NR);
	drain_lru_caches();
	status_kb("RssAnon");
	rss = status_kb("RssAnon");
	poison_pfn(old.pfn[BAD]);
	if (rss_is_exact())
		check_eq("RssAnon given up, kB", rss - status_kb("RssAnon"),
			 4);
	check(!is_thp(head), "the THP was not split");
	check_eq("sharers that still map the page",
		 sharers_mapping(bad, old.pfn[BAD]), 0);
	check_eq("pages with their PFN", pfns_kept(&old, head), HPAGE_NR - 1);
	check_shared_by_all(head, BAD);
	check_shared_by_all(bad + PAGE_SIZE, HPAGE_NR - BAD - 1);
	check_eq("sharers that get SIGBUS", sharers_call(touch_bad, (long)head),
		 sharers_nr());
	check_intact_in_all(head, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "poison-1", test_poison, unpoison_watched, 1 },
		{ "poison-2", test_poison, unpoison_watched, 2 },
		{ "poison-16", test_poison, unpoison_watched, 16 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
