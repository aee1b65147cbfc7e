// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure in a KSM page with mappings at 3 addresses in 1 to 64
 * processes.
 *
 * All of the addresses get a SIGBUS, and nobody maps the page any more: the walk
 * went over all of KSM's items.
 */
#include <signal.h>

#include "ksm.h"
#include "sharers.h"

#define NR 3

static long touch(int who, long addr)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += access_signal((char *)addr + i * PAGE_SIZE, who % 2) ==
		     SIGBUS;
	return n;
}

static void test_poison(void)
{
	char *addr = ksm_map(NR);
	uint64_t pfn;
	long long rss;

	require_ksm();
	sharers_fork(subtest_arg());
	ksm_fill(addr, NR);
	ksm_merge(addr, NR);
	pfn = page_facts(addr).pfn;
	drain_lru_caches();
	status_kb("RssAnon");
	rss = status_kb("RssAnon");
	poison_pfn(pfn);
	if (rss_is_exact())
		check_eq("RssAnon given up, kB", rss - status_kb("RssAnon"),
			 NR * 4);
	check_eq("PTEs that still map the page", ksm_mapping(addr, NR, pfn), 0);
	check_eq("addresses with a SIGBUS", sharers_call(touch, (long)addr),
		 NR * sharers_nr());
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "poison-1", test_poison, unpoison_watched, 1 },
		{ "poison-2", test_poison, unpoison_watched, 2 },
		{ "poison-16", test_poison, unpoison_watched, 16 },
		{ "poison-64", test_poison, unpoison_watched, 64 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
