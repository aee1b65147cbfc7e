// SPDX-License-Identifier: GPL-2.0
/*
 * A memory failure in one page of a folio of 64 kB or of 1 MB, anonymous or of tmpfs,
 * that 1 or 4 processes map by PTEs.
 *
 * That page is gone for everybody: a SIGBUS.  All others keep their data, of anonymous
 * memory (where the folio is split) their PFN, and their mapcount; RSS gives up one page.
 */
#include <signal.h>
#include <sys/mman.h>

#include "mthp.h"
#include "sharers.h"

#define BAD 11

enum { SHARED = 16, SHMEM = 32 };

static long touch_bad(int who, long bad)
{
	return access_signal((char *)bad, who % 2) == SIGBUS;
}

static void test_poison(void)
{
	int how = subtest_arg(), order = how % 16, nr = 1 << order, file;
	char *head, *bad;
	struct pfns old;
	long long rss;

	if (how & SHMEM)
		head = mthp_shmem_map(order, 1, &file, true);
	else
		head = mthp_map(order);
	bad = head + BAD * PAGE_SIZE;
	if (how & SHARED) {
		sharers_fork(4);
		check_intact_in_all(head, nr);
	}
	old = pfns_of(head, nr);
	drain_lru_caches();
	status_kb("RssAnon");
	rss = status_kb("RssAnon");
	poison_pfn(old.pfn[BAD]);
	if (!(how & SHMEM) && rss_is_exact())
		check_eq("RssAnon given up, kB", rss - status_kb("RssAnon"),
			 PAGE_SIZE / 1024);
	check_eq("sharers that still map the page",
		 sharers_mapping(bad, old.pfn[BAD]), 0);
	if (!(how & SHMEM)) {
		check_eq("pages with their PFN", pfns_kept(&old, head), nr - 1);
		check_shared_by_all(head, BAD);
		check_shared_by_all(bad + PAGE_SIZE, nr - BAD - 1);
	}
	check_eq("sharers that get SIGBUS", sharers_call(touch_bad, (long)bad),
		 sharers_nr());
	check_eq("pages intact before it", intact_pages(head, BAD), BAD);
	check_intact_in_all(head, BAD);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "order-4", test_poison, unpoison_watched, 4 },
		{ "order-4-shared", test_poison, unpoison_watched, 4 + SHARED },
		{ "order-8", test_poison, unpoison_watched, 8 },
		{ "order-8-shared", test_poison, unpoison_watched, 8 + SHARED },
		{ "order-4-shmem", test_poison, unpoison_watched, 4 + SHMEM },
		{ "order-4-shmem-shared", test_poison, unpoison_watched,
		  4 + SHMEM + SHARED },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
