// SPDX-License-Identifier: GPL-2.0
/*
 * khugepaged finds 512 small pages and makes them a THP behind the process's
 * back, while it shares them with another.
 *
 * Nobody asks for it but the setting khugepaged-eager; so wait until the pages
 * are one folio.  Data, RSS and AnonHugePages are right afterwards; the other
 * process has the same data, in the old pages or in a THP of its own, and
 * no write is seen across.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "sharers.h"

#define NR		16
#define OWN		300	/* pages written after the fork */
#define MAX_WAITS	15000	/* of a millisecond */

static void test_khugepaged(void)
{
	char *area = anon_map(2 * HPAGE_SIZE, MADV_NOHUGEPAGE);
	char *head = ptr_align(area, HPAGE_SIZE);
	int waits = 0;

	pages_fill(head, HPAGE_NR);
	sharers_fork(subtest_arg());
	/* Of shared pages khugepaged takes 256 at most, max_ptes_shared. */
	pages_fill(head, OWN);
	drain_lru_caches();
	require(!is_thp(head), "a THP from the start");
	require_errno(!madvise(area, 2 * HPAGE_SIZE, MADV_HUGEPAGE),
		      "MADV_HUGEPAGE");
	while (!is_thp(head) && ++waits < MAX_WAITS)
		usleep(1000);
	require(is_thp(head), "khugepaged did not collapse the pages");
	diag("collapsed after %d looks", waits);
	pfns_of(head, HPAGE_NR);
	check_rss_anon();
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
	check_intact_in_all(head, NR);
	check_writes_are_private(head, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "own", .run = test_khugepaged, .arg = 1 },
		SHARED_BY(2, "shared", test_khugepaged),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
