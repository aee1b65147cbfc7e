// SPDX-License-Identifier: GPL-2.0
/*
 * A device that mirrors ordinary memory hears of everything that changes a mapping.
 *
 * The device has read, or written, each page, and remembers where it is.  Whoever moves,
 * unmaps or write-protects the page has to tell it first (mmu_notifier): then the
 * device's next access is a fault that finds the page where it is now, with its data.  A
 * device that was not told reads, or writes to, memory of somebody else.
 *
 * Pages are spaced, since test_hmm forgets a neighbour as well: see spaced_map().
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "ksm.h"
#include "move.h"
#include "sharers.h"

#define NR 8

enum way { NONE, MOVE, SWAP, PROTECT, COW, ZAP, OFFLINE, SPLIT, COLLAPSE, MERGE,
	   REMAP };

static uint64_t mirror(struct spaced *e, bool write, int seed)
{
	char data[PAGE_SIZE];
	uint64_t faults = 0, one;
	int i, ret;

	for (i = 0; i < e->nr; i++) {
		one = 0;
		page_fill(data, seed + i);
		if (write) {
			ret = dmirror_write(e->dev, spaced_page(e, i), data);
			require(!ret, "DMIRROR_WRITE: %s", strerror(-ret));
			continue;
		}
		check(dmirror_page_intact(e->dev, spaced_page(e, i), seed + i,
					  &one), "page %d: other data", i);
		faults += one;
	}
	return faults;
}

static bool swapped(const void *base, int nr)
{
	int i, n = 0;

	for (i = 0; i < nr; i++)
		n += is_swapped(pagemap_entry((const char *)base +
					      (2 * i + 1) * PAGE_SIZE));
	return n == nr;
}

static void change(struct spaced *e, enum way way)
{
	char *page;
	int i, ret;

	for (i = 0; i < e->nr; i++) {
		page = spaced_page(e, i);
		switch (way) {
		case MOVE:
			check_eq("status, the node",
				 move_shared_page(page, 1), 1);
			break;
		case OFFLINE:
			ret = soft_offline_pfn(page_facts(page).pfn);
			check(!ret, "soft offline: %s", strerror(-ret));
			break;
		case PROTECT:
			require_errno(!mprotect(page, PAGE_SIZE, PROT_READ),
				      "mprotect");
			break;
		case COW:
			page_fill(page, 100 + i);
			break;
		case ZAP:
			require_errno(!madvise(page, PAGE_SIZE, MADV_DONTNEED),
				      "MADV_DONTNEED");
			page_fill(page, 100 + i);
			break;
		default:
			break;
		}
	}
	if (way == SWAP)
		check(reclaim_until(swapped, e->base, e->nr),
		      "pages were not reclaimed");
}

static void test_read(void)
{
	enum way way = subtest_arg();
	struct spaced e;
	int seed = 0;

	if (way == MOVE) {
		require_node(1);
		allocate_on(0);
	}
	if (way == SWAP) {
		require_memcg();
		require_swap();
	}
	e = spaced_map(NR);
	allocate_anywhere();
	if (way == COW)
		sharers_fork(2);
	drain_lru_caches();
	mirror(&e, false, 0);
	check_eq("faults of the device, mirrored", mirror(&e, false, 0), 0);
	change(&e, way);
	if (way == COW || way == ZAP)
		seed = 100;
	if (way == NONE)
		check_eq("faults of the device, unchanged",
			 mirror(&e, false, seed), 0);
	else if (way == PROTECT)
		/* It may read on by what it had. */
		mirror(&e, false, seed);
	else
		check_eq("faults of the device, changed",
			 mirror(&e, false, seed), NR);
	if (way == COW)
		sharers_end();
}

/* The device writes after the change: the CPU has to see that, and nobody else. */
static void test_write(void)
{
	enum way way = subtest_arg();
	struct spaced e;
	int i, n = 0;

	if (way == MOVE) {
		require_node(1);
		allocate_on(0);
	}
	if (way == SWAP) {
		require_memcg();
		require_swap();
	}
	e = spaced_map(NR);
	allocate_anywhere();
	drain_lru_caches();
	mirror(&e, true, 200);
	change(&e, way);
	mirror(&e, true, 300);
	for (i = 0; i < NR; i++)
		n += page_intact(spaced_page(&e, i), 300 + i);
	check_eq("pages with what the device wrote last", n, NR);
}

static long fork_intact(int who, long base)
{
	int i, n = 0;

	(void)who;
	for (i = 0; i < NR; i++)
		n += page_intact((char *)base + (2 * i + 1) * PAGE_SIZE,
				 200 + i);
	return n;
}

/* fork() makes what the device may write to read-only. */
static void test_fork(void)
{
	struct spaced e = spaced_map(NR);
	int i, n = 0;

	mirror(&e, true, 200);
	sharers_fork(2);
	mirror(&e, true, 300);
	for (i = 0; i < NR; i++)
		n += page_intact(spaced_page(&e, i), 300 + i);
	check_eq("pages with what the device wrote last", n, NR);
	check_eq("pages of the child with what they had at the fork",
		 sharer_call(1, fork_intact, (long)e.base), NR);
	sharers_end();
}

/* A page that a device writes to is not merged while it may. */
static void test_merge(void)
{
	int dev = dmirror_open(), i;
	char data[PAGE_SIZE], *addr;
	uint64_t faults;

	require_ksm();
	addr = ksm_map(2);
	ksm_fill(addr, 2);
	page_fill(data, 0);
	for (i = 0; i < 2; i++)
		require(!dmirror_write(dev, addr + i * PAGE_SIZE, data),
			"DMIRROR_WRITE");
	ksm_merge(addr, 2);
	page_fill(data, 7);
	require(!dmirror_write(dev, addr, data), "DMIRROR_WRITE");
	check(page_intact(addr, 7), "the page that the device wrote to");
	check(page_intact(addr + PAGE_SIZE, 0), "the other page changed");
	check(dmirror_page_intact(dev, addr + PAGE_SIZE, 0, &faults),
	      "the device reads other data of the other page");
}

static void test_thp(void)
{
	enum way way = subtest_arg();
	int dev = dmirror_open(), ret, i, n = 0;
	char data[PAGE_SIZE], *head, *page;
	uint64_t faults, all = 0;

	if (way == MOVE) {
		require_node(1);
		allocate_on(0);
	}
	head = thp_map();
	allocate_anywhere();
	if (way == MOVE && !free_huge_blocks(1))
		skip("inconclusive: no free order-9 page on node 1");
	drain_lru_caches();
	if (way == COLLAPSE) {
		ret = split_thps(head, HPAGE_SIZE, 0);
		require(!ret && !is_thp(head), "split_huge_pages: %d", ret);
	}
	for (i = 1; i < HPAGE_NR; i += 64) {
		page_fill(data, 1000 + i);
		ret = dmirror_write(dev, head + i * PAGE_SIZE, data);
		require(!ret, "DMIRROR_WRITE: %s", strerror(-ret));
	}
	switch (way) {
	case MOVE:
		check_eq("status, the node", move_shared_page(head, 1), 1);
		break;
	case SPLIT:
		ret = split_thps(head, HPAGE_SIZE, 0);
		check(!ret && !is_thp(head), "split_huge_pages: %d", ret);
		break;
	case COLLAPSE:
		ret = collapse(head, HPAGE_SIZE);
		check(!ret, "MADV_COLLAPSE: %s", strerror(-ret));
		break;
	default:
		page = hpage_hole(1);
		require_errno(mremap(head, HPAGE_SIZE, HPAGE_SIZE,
				     MREMAP_MAYMOVE | MREMAP_FIXED, page) ==
			      page, "mremap");
		head = page;
	}
	for (i = 1; i < HPAGE_NR; i += 64) {
		page = head + i * PAGE_SIZE;
		faults = 0;
		n += dmirror_page_intact(dev, page, 1000 + i, &faults);
		all += faults;
		page_fill(data, 2000 + i);
		ret = dmirror_write(dev, page, data);
		require(!ret, "DMIRROR_WRITE: %s", strerror(-ret));
		n += page_intact(page, 2000 + i);
	}
	/* What splits a THP leaves its pages where they are. */
	if (way != SPLIT)
		check_eq("faults of the device", all, HPAGE_NR / 64);
	check_eq("pages right for device and CPU", n, HPAGE_NR / 32);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "read-unchanged", .run = test_read, .arg = NONE },
		{ .name = "read-moved", .run = test_read, .arg = MOVE },
		{ .name = "read-offline", .run = test_read,
		  .after = unpoison_watched, .arg = OFFLINE },
		{ .name = "read-swapped", .run = test_read, .arg = SWAP },
		{ .name = "read-protected", .run = test_read, .arg = PROTECT },
		{ .name = "read-copied", .run = test_read, .arg = COW },
		{ .name = "read-zapped", .run = test_read, .arg = ZAP },
		{ .name = "write-moved", .run = test_write, .arg = MOVE },
		{ .name = "write-swapped", .run = test_write, .arg = SWAP },
		{ .name = "write-zapped", .run = test_write, .arg = ZAP },
		{ .name = "write-forked", .run = test_fork },
		{ .name = "write-merged", .run = test_merge },
		{ .name = "thp-moved", .run = test_thp, .arg = MOVE },
		{ .name = "thp-split", .run = test_thp, .arg = SPLIT },
		{ .name = "thp-collapsed", .run = test_thp, .arg = COLLAPSE },
		{ .name = "thp-remapped", .run = test_thp, .arg = REMAP },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
