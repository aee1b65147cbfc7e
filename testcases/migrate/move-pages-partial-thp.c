// SPDX-License-Identifier: GPL-2.0
/*
 * T9: 2 nodes, move_pages(page 0 of a partial ET).
 *
 * status = node, 512 present, data intact.  The unpatched kernel crashes: its
 * try_to_migrate_one() takes the PFN of an exclusive entry by pte_pfn(), which
 * is another page's: kernel BUG under DEBUG_VM_PGFLAGS, else corruption.
 *
 * Without a free order-9 page on the target node the migration would split the
 * THP, or fail, on either kernel: inconclusive.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/mempolicy.h>

#include "rmaplab.h"

#define SOURCE	0
#define TARGET	1

/* Free blocks of order 9 and above, from the lines of /proc/buddyinfo. */
static unsigned long free_huge_blocks(int node)
{
	FILE *f = fopen("/proc/buddyinfo", "re");
	unsigned long blocks, nr = 0;
	char line[256], *s;
	int order, n, pos;

	require_errno(f, "/proc/buddyinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %d, zone %*s%n", &n, &pos) != 1 ||
		    n != node)
			continue;
		s = line + pos;
		for (order = 0; sscanf(s, "%lu%n", &blocks, &pos) == 1; order++) {
			if (order >= 9)
				nr += blocks;
			s += pos;
		}
	}
	fclose(f);
	return nr;
}

static int move_page(void *page, int node, int *status)
{
	*status = -ENODATA;
	if (syscall(SYS_move_pages, 0, 1UL, &page, &node, status, MPOL_MF_MOVE))
		return -errno;
	return 0;
}

static char *et_map_on_source(int dev)
{
	unsigned long nodes = 1UL << SOURCE;
	char *head;

	require_errno(!syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64UL),
		      "set_mempolicy");
	head = et_map(dev);
	require_errno(!syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL),
		      "set_mempolicy");
	return head;
}

static int intact_pages(const char *head)
{
	int i, n = 0;

	for (i = 0; i < HPAGE_NR; i++)
		n += page_intact(head + i * PAGE_SIZE, i);
	return n;
}

static void test_move_pages(void)
{
	uint64_t pfn;
	int dev, ret, status;
	char *head;

	if (!file_exists("/sys/devices/system/node/node1"))
		skip("no second NUMA node");
	dev = dmirror_open();
	head = et_map_on_source(dev);
	drain_lru_caches();
	if (!free_huge_blocks(TARGET))
		skip("inconclusive: no free order-9 page on node %d", TARGET);
	pfn = page_facts(head).pfn;

	diag("move_pages(page 0 of a partial ET -> node %d)", TARGET);
	ret = move_page(head, TARGET, &status);
	check_eq("move_pages", ret, 0);
	check_eq("status, the node", status, TARGET);
	check(page_facts(head).pfn != pfn, "page 0 still has its PFN");
	if (page_facts(head).pfn != pfn)
		watch_pfn(page_facts(head).pfn);
	check_eq("PTEs present", count_ptes(head, HPAGE_NR, is_present),
		 HPAGE_NR);
	check(is_thp(head), "the THP is gone");
	check_rss_anon();
	check_eq("pages intact", intact_pages(head), HPAGE_NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "move-pages", .run = test_move_pages },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
