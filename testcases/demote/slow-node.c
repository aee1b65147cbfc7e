// SPDX-License-Identifier: GPL-2.0
/*
 * Demotion: with demotion_enabled, reclaim moves anonymous pages of the fast
 * node to the slower one.  Exclusive pages go there like any others, which
 * revokes the device's access; the unpatched kernel leaves them where they are,
 * for it takes them for unmapped and in use by somebody else.
 *
 * Before 6.7 the latency of a node made no difference: all of its memory is one
 * tier, and nothing is demoted.
 *
 * The guest has no swap: reclaim would go on and swap the slow node's out.
 */
#include <glob.h>
#include <string.h>

#include "rmaplab.h"

#define NR		64
#define MAX_ROUNDS	5
#define DEMOTION	"/sys/kernel/mm/numa/demotion_enabled"
#define TIERS		"/sys/devices/virtual/memory_tiering/memory_tier*"
#define FAST		0
#define SLOW		1

static int on_node(const struct spaced *e, int node)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += is_present(pagemap_entry(spaced_page(e, i))) &&
		     node_of(spaced_page(e, i)) == node;
	return n;
}

static void require_two_tiers(void)
{
	glob_t tiers;

	if (glob(TIERS, 0, NULL, &tiers) || tiers.gl_pathc < 2)
		skip("this kernel sees no memory tier that is slower: " TIERS);
	globfree(&tiers);
}

static struct spaced map_fast(void)
{
	struct spaced e;
	int ret;

	require_memcg();
	require_node(SLOW);
	require_two_tiers();
	ret = write_text(DEMOTION, "1");
	require(!ret, DEMOTION ": %s", strerror(-ret));
	allocate_on(FAST);
	e = spaced_map(NR);
	allocate_anywhere();
	require(on_node(&e, FAST) == NR, "%d of %d pages are on the fast node",
		on_node(&e, FAST), NR);
	return e;
}

static void demote(const struct spaced *e)
{
	int round, ret;

	for (round = 0; round < MAX_ROUNDS; round++) {
		ret = memcg_reclaim_anon(16UL << 20);
		diag("memory.reclaim: %d, on the slow node: %d", ret,
		     on_node(e, SLOW));
		if (on_node(e, SLOW) == NR)
			break;
	}
}

static void test_ordinary(void)
{
	struct spaced e = map_fast();

	demote(&e);
	check_eq("pages on the slow node", on_node(&e, SLOW), NR);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(&e), NR);
}

static void test_exclusive(void)
{
	struct spaced e = map_fast();

	spaced_make_exclusive(&e);
	demote(&e);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), 0);
	check_eq("pages on the slow node", on_node(&e, SLOW), NR);
	check_eq("pages mirrored", spaced_mirrored(&e), 0);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("sum of mapcounts", spaced_mapcounts(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "ordinary", .run = test_ordinary },
		{ .name = "exclusive", .run = test_exclusive },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
