// SPDX-License-Identifier: GPL-2.0
/*
 * A THP of which somebody holds a page is not split, and is as it was.
 *
 * The split has taken every mapping out when it finds one reference too many: it
 * has to put them back.  So thp_split_page does not rise, the THP is still one
 * folio, mapped by 1, 2 or 16 processes with all its pages, and the data is
 * intact, for who holds it too.  Let go of, it splits.
 *
 * Held by a pin of this process alone (a fork would copy what is pinned), or by
 * a pipe's reference to a page that is shared.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "move.h"
#include "sharers.h"

#define HELD 5

static char copy[MAX_PAGE_SIZE];

static void check_not_split(char *head)
{
	long long split = vmstat("thp_split_page");
	struct pfns old = pfns_of(head, HPAGE_NR);

	drain_lru_caches();
	split_thps(head, HPAGE_SIZE, 0);
	check_eq("thp_split_page", vmstat("thp_split_page") - split, 0);
	check(is_thp(head), "the THP is gone");
	check_eq("pages with their PFN", pfns_kept(&old, head), HPAGE_NR);
	check_eq("sharers that map the last page",
		 sharers_mapping(head + (HPAGE_NR - 1) * PAGE_SIZE,
				 old.pfn[HPAGE_NR - 1]), sharers_nr());
	check_rss_anon();
	check_intact_in_all(head, 2 * HELD);
}

static void check_split(char *head)
{
	long long split = vmstat("thp_split_page");

	drain_lru_caches();
	split_thps(head, HPAGE_SIZE, 0);
	check_eq("thp_split_page, let go of",
		 vmstat("thp_split_page") - split, 1);
	check_intact_in_all(head, 2 * HELD);
	sharers_end();
}

static void test_pinned(void)
{
	int gup = gup_open(), ret;
	char *head = thp_map();

	ret = gup_pin(gup, head + HELD * PAGE_SIZE, PAGE_SIZE, GUP_PIN_WRITE);
	if (ret == -EINVAL || ret == -ENOTTY)
		skip("gup_test of this kernel holds no pins");
	require(!ret, "pin: %s", strerror(-ret));
	check_not_split(head);
	ret = gup_read(gup, copy);
	check(!ret && page_intact(copy, HELD), "the pin has other data: %s",
	      strerror(-ret));
	gup_unpin(gup);
	check_split(head);
}

static void test_referenced(void)
{
	char *head = thp_map();
	int pipe;

	sharers_fork(subtest_arg());
	pipe = hold_references(head + HELD * PAGE_SIZE, 1);
	check_not_split(head);
	require_errno(read(pipe, copy, PAGE_SIZE) ==
		      (ssize_t)PAGE_SIZE,
		      "read from the pipe");
	check(page_intact(copy, HELD), "the pipe has other data");
	drop_references(pipe);
	check_split(head);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "pinned", .run = test_pinned },
		SHARED_BY(1, "referenced", test_referenced),
		SHARED_BY(2, "referenced", test_referenced),
		SHARED_BY(16, "referenced", test_referenced),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
