// SPDX-License-Identifier: GPL-2.0
/*
 * What a PMD says of a THP survives a migration of the whole.
 *
 * soft-dirty: after clear_refs one page is written; after the move all are
 * soft-dirty.  (One that was not written is too, on 6.12: remove_migration_pmd()
 * calls pmd_mkdirty(), and on x86 that sets both bits.)
 * uffd-wp: of a THP under write protection pagemap says so after the move, page
 * by page, and of one that is not it does not.
 * read-only: the THP of a PROT_READ mapping does not come back writable.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

static char *thp_on_node_0(void)
{
	char *head;

	require_node(1);
	allocate_on(0);
	head = thp_map();
	allocate_anywhere();
	drain_lru_caches();
	if (!free_huge_blocks(1))
		skip("inconclusive: no free order-9 page on node 1");
	return head;
}

static void move(char *head)
{
	struct pfns old = pfns_of(head, HPAGE_NR);

	check_eq("status, the node", move_shared_page(head, 1), 1);
	check_eq("pages with their old PFN", pfns_kept(&old, head), 0);
	check(is_thp(head), "the THP is gone");
	check_eq("AnonHugePages, kB", smaps_kb(head, "AnonHugePages"), 2048);
	pfns_of(head, HPAGE_NR);
}

static void test_soft_dirty(void)
{
	char *head = thp_on_node_0();
	int ret = write_text("/proc/self/clear_refs", "4");

	require(!ret, "clear_refs: %s", strerror(-ret));
	page_fill(head + 7 * PAGE_SIZE, 7);
	move(head);
	check_eq("pages soft-dirty", count_ptes(head, HPAGE_NR, is_soft_dirty),
		 HPAGE_NR);
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

static void check_uffd_wp(bool protect)
{
	char *head = thp_on_node_0();
	int uffd = uffd_open_wp(head, HPAGE_SIZE);

	uffd_protect(uffd, head, HPAGE_SIZE, protect);
	move(head);
	check_eq("pages write-protected", count_ptes(head, HPAGE_NR, is_uffd_wp),
		 protect ? HPAGE_NR : 0);
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

static void test_protected(void)
{
	check_uffd_wp(true);
}

static void test_not_protected(void)
{
	check_uffd_wp(false);
}

static void test_read_only(void)
{
	char *head = thp_on_node_0();

	require_errno(!mprotect(head, HPAGE_SIZE, PROT_READ), "mprotect");
	move(head);
	check_eq("signal for a write", access_signal(head + HPAGE_SIZE / 2, true),
		 SIGSEGV);
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "soft-dirty", .run = test_soft_dirty },
		{ .name = "uffd-wp-protected", .run = test_protected },
		{ .name = "uffd-wp-not-protected", .run = test_not_protected },
		{ .name = "read-only", .run = test_read_only },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
