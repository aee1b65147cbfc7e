// SPDX-License-Identifier: GPL-2.0
/*
 * Offline of a memory block of ZONE_MOVABLE that has exclusive pages.
 *
 * It succeeds: the pages are migrated out of the block like any others, which
 * revokes the device's access.  The unpatched kernel cannot migrate them, for
 * their mapcount does not explain their references, and tries for ever: so it is
 * interrupted after many failed migrations.
 *
 * A block with ordinary pages, which goes offline, shows that it can.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "rmaplab.h"

#define NR		16
#define MAX_FAILED	50	/* migrations; each try of the block makes some */
#define LIMIT_MS	60000

/* fork() would end the exclusive access: so a thread. */
struct offlining {
	pthread_t thread;
	unsigned long block;
	int ret;
	atomic_bool done;
};

static void *offline_block(void *arg)
{
	struct offlining *o = arg;

	o->ret = memory_block_set(o->block, "offline");
	o->done = true;
	return NULL;
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* 0 or -errno of the write; -EINTR if it was given up. */
static int offline(unsigned long block)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct offlining o = { .block = block };
	long long failed = vmstat("pgmigrate_fail");
	int waited = 0;

	require_errno(!sigaction(SIGALRM, &action, NULL), "sigaction");
	require(!pthread_create(&o.thread, NULL, offline_block, &o),
		"pthread_create");
	while (!o.done) {
		if (vmstat("pgmigrate_fail") - failed > MAX_FAILED)
			pthread_kill(o.thread, SIGALRM);
		require(wait_again(&waited, LIMIT_MS), "neither done nor failing");
	}
	require(!pthread_join(o.thread, NULL), "pthread_join");
	diag("failed migrations: %lld", vmstat("pgmigrate_fail") - failed);
	return o.ret;
}

static unsigned long movable_block(uint64_t pfn)
{
	unsigned long block = memory_block_of(pfn);

	if (!memory_block_is(block, "valid_zones", "Movable"))
		skip("inconclusive: block %lu is not in ZONE_MOVABLE", block);
	return block;
}

static void check_offline(struct spaced *e, bool exclusive)
{
	unsigned long block = movable_block(spaced_facts(e, 0).pfn);
	int i, ret, inside = 0;

	if (exclusive)
		spaced_make_exclusive(e);
	drain_lru_caches();
	ret = offline(block);
	check(!ret, "offline of block %lu: %s", block, strerror(-ret));
	check(memory_block_is(block, "state", "offline"), "it is not offline");
	for (i = 0; i < NR; i++)
		inside += memory_block_of(spaced_facts(e, i).pfn) == block;
	check_eq("pages still in the block", inside, 0);
	check_eq("PTEs exclusive", spaced_count(e, is_exclusive), 0);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(e), NR);
	check_eq("sum of mapcounts", spaced_mapcounts(e), NR);
	if (ret)
		return;
	ret = memory_block_set(block, "online_movable");
	check(!ret, "online of block %lu: %s", block, strerror(-ret));
}

static void test_ordinary(void)
{
	struct spaced e = spaced_map(NR);

	check_offline(&e, false);
}

static void test_exclusive(void)
{
	struct spaced e = spaced_map(NR);

	check_offline(&e, true);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "ordinary", .run = test_ordinary },
		{ .name = "exclusive", .run = test_exclusive },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
