// SPDX-License-Identifier: GPL-2.0
/*
 * Coherent device memory: pages migrate to the device, where the CPU reads and
 * writes them through present PTEs, and back.  Data, RSS and protection are
 * kept at each step, and mapcount 1 once they are ordinary memory again.
 */
#include <string.h>

#include "rmaplab.h"

#define NR 16

static void test_round_trip(void)
{
	struct e0 e = e0_map_for(dmirror_open_coherent(), NR);
	int i, ret;

	e0_to_device(&e);
	check_eq("PTEs present", e0_count(&e, is_present), NR);
	check_eq("of memory with a struct page of the device",
		 e0_flagged(&e, PF_NOPAGE), NR);
	check_rss_anon();
	check_eq("pages intact", e0_intact(&e), NR);
	for (i = 0; i < NR; i++)
		page_fill(e0_page(&e, i), NR + i);
	check_eq("pages on the device after a CPU write", e0_on_device(&e), NR);
	for (i = 0; i < NR; i++)
		check(dmirror_page_intact(e.dev, e0_page(&e, i), NR + i, NULL),
		      "page %d: the device does not see the write", i);
	ret = dmirror_to_system(e.dev, e.base, 2 * NR);
	check(!ret, "MIGRATE_TO_SYS: %s", strerror(-ret));
	check_eq("pages on the device", e0_on_device(&e), 0);
	check_eq("sum of mapcounts", e0_mapcounts(&e), NR);
	check_rss_anon();
	for (i = 0; i < NR; i++)
		check(page_intact(e0_page(&e, i), NR + i), "page %d", i);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "round-trip", .run = test_round_trip },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
