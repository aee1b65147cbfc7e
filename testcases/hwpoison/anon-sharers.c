// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure in an anonymous page that 1, 2, 16 or 64 processes share.
 *
 * try_to_unmap_one() puts an entry in every PTE of it that says poisoned: no
 * process still maps the page (KPF_HWPOISON), each gets a SIGBUS for touching
 * it, read or written, and for no other page; the neighbours are intact.  A
 * process that unmaps the address and maps it anew has memory again.
 */
#include <signal.h>
#include <sys/mman.h>

#include "sharers.h"

#define NR	8
#define BAD	3

static char *addr;

static long touch_bad(int who, long arg)
{
	(void)arg;
	return access_signal(addr + BAD * PAGE_SIZE, who % 2) == SIGBUS;
}

static long touch_others(int who, long arg)
{
	int i, n = 0;

	(void)who;
	(void)arg;
	for (i = 0; i < NR; i++)
		n += i != BAD && page_intact(addr + i * PAGE_SIZE, i);
	return n;
}

static long map_anew(int who, long arg)
{
	char *bad = addr + BAD * PAGE_SIZE;
	void *p;

	(void)arg;
	require_errno(!munmap(bad, PAGE_SIZE), "munmap");
	p = mmap(bad, PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	require_errno(p == bad, "mmap");
	page_fill(bad, 1000 + who);
	return page_intact(bad, 1000 + who);
}

static bool is_gone(uint64_t pagemap)
{
	return !is_present(pagemap) && !is_swapped(pagemap) &&
	       (pagemap & PM_SWAP);
}

static void test_poison(void)
{
	struct pfns old;
	long long rss;

	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	check_shared_by_all(addr, NR);
	old = pfns_of(addr, NR);
	drain_lru_caches();

	status_kb("RssAnon");
	rss = status_kb("RssAnon");
	poison_pfn(old.pfn[BAD]);
	if (rss_is_exact())
		check_eq("RssAnon given up, kB", rss - status_kb("RssAnon"),
			 4);
	check_eq("sharers that still map the page",
		 sharers_mapping(addr + BAD * PAGE_SIZE, old.pfn[BAD]), 0);
	check_eq("sharers with an entry in its place",
		 sharers_count(addr + BAD * PAGE_SIZE, 1, is_gone),
		 sharers_nr());
	check_eq("sharers that get SIGBUS", sharers_call(touch_bad, 0),
		 sharers_nr());
	check_eq("other pages intact", sharers_call(touch_others, 0),
		 (NR - 1) * sharers_nr());
	check_eq("sharers that have memory there again",
		 sharers_call(map_anew, 0), sharers_nr());
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
