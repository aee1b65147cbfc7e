// SPDX-License-Identifier: GPL-2.0
/*
 * The soft-dirty, uffd-wp and read-only bits of a device-exclusive entry are
 * kept when a fault or a walker of the reverse map replaces the entry.
 *
 * Soft-dirty and not soft-dirty: every second page was written since
 * clear_refs, all are exclusive.  uffd-wp: every second entry is
 * write-protected.  When the pages were soft-offlined (the PTEs are present
 * then) or swapped out, and when they were read, pagemap says so of those and
 * of no other.  Read-only: after mprotect(R) and soft offline a write is a
 * SIGSEGV.
 *
 * The unpatched kernel neither moves such a page nor swaps it out, and says of
 * each page that was read that it is soft-dirty.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "move.h"

#define NR	8
#define SIZE	(NR * 2 * PAGE_SIZE)

static int right_bits(const struct spaced *e, bool (*is)(uint64_t pagemap))
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += is(pagemap_entry(spaced_page(e, i))) == i % 2;
	return n;
}

static void clear_soft_dirty(void)
{
	int ret = write_text("/proc/self/clear_refs", "4");

	require(!ret, "clear_refs: %s", strerror(-ret));
}

static void check_ready(const struct spaced *e, bool (*is)(uint64_t pagemap))
{
	require(spaced_count(e, is_exclusive) == NR, "PTEs exclusive");
	require(right_bits(e, is) == NR, "the bits of the exclusive entries");
}

/* Every second page is soft-dirty, all are exclusive. */
static struct spaced soft_dirty(void)
{
	struct spaced e = spaced_map(NR);
	int i, ret;

	spaced_make_exclusive(&e);
	clear_soft_dirty();
	for (i = 1; i < NR; i += 2) {
		page_fill(spaced_page(&e, i), i);
		ret = dmirror_exclusive(e.dev, spaced_page(&e, i), 1);
		require(!ret, "EXCLUSIVE: %s", strerror(-ret));
	}
	check_ready(&e, is_soft_dirty);
	return e;
}

static struct spaced uffd_wp(void)
{
	struct spaced e = spaced_map(NR);
	int i, uffd;

	spaced_make_exclusive(&e);
	uffd = uffd_open_wp(e.base, SIZE);
	for (i = 1; i < NR; i += 2)
		uffd_protect(uffd, spaced_page(&e, i), PAGE_SIZE, true);
	check_ready(&e, is_uffd_wp);
	return e;
}

static void move(const struct spaced *e)
{
	int i, ret, moved = 0;

	for (i = 0; i < NR; i++) {
		uint64_t old = spaced_facts(e, i).pfn, now;

		ret = soft_offline_pfn(old);
		now = spaced_facts(e, i).pfn;
		if (ret)
			diag("soft offline of page %d: %s", i, strerror(-ret));
		if (!ret && now && now != old)
			moved++;
		if (now)
			watch_pfn(now);
	}
	check_eq("pages that moved", moved, NR);
}

static bool all_swapped(const void *e, int nr)
{
	return spaced_count(e, is_swapped) == nr;
}

static void swap_out(const struct spaced *e)
{
	require_memcg();
	require_swap();
	check(reclaim_until(all_swapped, e, NR), "pages were not swapped out");
}

static void leave(const struct spaced *e)
{
	check_eq("PTEs exclusive", spaced_count(e, is_exclusive), NR);
}

static void check_bits(struct spaced e, void (*take)(const struct spaced *e),
		       bool (*is)(uint64_t pagemap))
{
	take(&e);
	spaced_print(&e);
	check_eq("pages with the right bit", right_bits(&e, is), NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("pages with the right bit, read", right_bits(&e, is), NR);
}

static void test_read_soft_dirty(void)
{
	check_bits(soft_dirty(), leave, is_soft_dirty);
}

static void test_moved_soft_dirty(void)
{
	check_bits(soft_dirty(), move, is_soft_dirty);
}

static void test_moved_uffd_wp(void)
{
	check_bits(uffd_wp(), move, is_uffd_wp);
}

static void test_moved_read_only(void)
{
	struct spaced e = spaced_map(NR);
	int i, segv = 0;

	spaced_make_exclusive(&e);
	require_errno(!mprotect(e.base, SIZE, PROT_READ), "mprotect");
	move(&e);
	for (i = 0; i < NR; i++)
		segv += access_signal(spaced_page(&e, i), true) == SIGSEGV;
	check_eq("writes that got SIGSEGV", segv, NR);
	check_eq("pages intact", spaced_intact(&e), NR);
}

static void test_swapped_soft_dirty(void)
{
	check_bits(soft_dirty(), swap_out, is_soft_dirty);
}

static void test_swapped_uffd_wp(void)
{
	check_bits(uffd_wp(), swap_out, is_uffd_wp);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "read-soft-dirty", .run = test_read_soft_dirty },
		{ .name = "moved-soft-dirty", .run = test_moved_soft_dirty,
		  .after = unpoison_watched },
		{ .name = "moved-uffd-wp", .run = test_moved_uffd_wp,
		  .after = unpoison_watched },
		{ .name = "moved-read-only", .run = test_moved_read_only,
		  .after = unpoison_watched },
		{ .name = "swapped-soft-dirty", .run = test_swapped_soft_dirty },
		{ .name = "swapped-uffd-wp", .run = test_swapped_uffd_wp },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
