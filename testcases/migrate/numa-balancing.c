// SPDX-License-Identifier: GPL-2.0
/*
 * NUMA balancing takes pages to the node of the CPU that uses them.
 *
 * A process on CPU 1 (node 1) reads pages on node 0 again and again until they
 * are on node 1: by hint faults, whose PROT_NONE PTEs migration has to take out
 * and to put back usable.  numa_pages_migrated counts them; each has mapcount 1,
 * its data, and can be written.  Waits for that, for a bounded number of reads.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <string.h>
#include <time.h>

#include "move.h"
#include "sharers.h"

#define NR		64
#define MAX_SECONDS	20
#define SCHED		"/sys/kernel/debug/sched/numa_balancing/"

static void scan_soon(void)
{
	int ret = write_text("/proc/sys/kernel/numa_balancing", "1");

	if (ret)
		skip("kernel.numa_balancing: %s", strerror(-ret));
	write_text(SCHED "scan_delay_ms", "1");
	write_text(SCHED "scan_period_min_ms", "10");
	write_text(SCHED "scan_period_max_ms", "20");
}

static int pages_on_node_1(char *addr)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += node_of(addr + i * PAGE_SIZE) == 1;
	return n;
}

static void test_balancing(void)
{
	long long moved = vmstat("numa_pages_migrated");
	time_t end = time(NULL) + MAX_SECONDS;
	int i, n = 0, ones = 0;
	struct pfns old;
	cpu_set_t cpu1;
	char *addr;

	require_node(1);
	scan_soon();
	CPU_ZERO(&cpu1);
	CPU_SET(1, &cpu1);
	if (sched_setaffinity(0, sizeof(cpu1), &cpu1))
		skip("no CPU 1");
	addr = anon_map_on(0, NR);
	old = pfns_of(addr, NR);
	drain_lru_caches();
	while (n < NR && time(NULL) < end) {
		for (i = 0; i < 20; i++)
			require(intact_pages(addr, NR) == NR, "data is gone");
		n = pages_on_node_1(addr);
	}
	check_eq("pages on the node of their user", n, NR);
	moved = vmstat("numa_pages_migrated") - moved;
	check(moved >= NR, "numa_pages_migrated rose by %lld", moved);
	check_eq("pages with their old PFN", pfns_kept(&old, addr), 0);
	pfns_of(addr, NR);
	for (i = 0; i < NR; i++)
		ones += page_facts(addr + i * PAGE_SIZE).count == 1;
	check_eq("pages of mapcount 1", ones, NR);
	pages_fill(addr, NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "balancing", .run = test_balancing },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
