// SPDX-License-Identifier: GPL-2.0
/*
 * How often making pages exclusive fails with EBUSY while others lock them.
 *
 * Never: the kernel waits for a holder of the folio lock.  The lockers are two
 * mirrors of one process that take the same pages from each other.  The
 * unpatched kernel holds the locks of a whole batch while the driver maps it,
 * tries each lock once, and reports -EBUSY.
 *
 * -ENOENT is no failure: test_hmm reads its mirror after it dropped the lock,
 * and the other one may have the page by then.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "rmaplab.h"

#define NR	16
#define ROUNDS	60

struct taker {
	pthread_t thread;
	struct spaced *e;
	int dev, got, busy, absent, other;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	int i, ret;

	for (i = 0; i < ROUNDS; i++) {
		ret = dmirror_exclusive(t->dev, t->e->base, 2 * NR);
		t->got += !ret;
		t->busy += ret == -EBUSY;
		t->absent += ret == -ENOENT;
		if (ret && ret != -EBUSY && ret != -ENOENT)
			t->other = ret;
	}
	return NULL;
}

static void test_contended(void)
{
	struct spaced e = spaced_map(NR);
	struct taker t[2] = {
		{ .e = &e, .dev = e.dev },
		{ .e = &e, .dev = dmirror_open() },
	};
	int i, busy = 0;

	for (i = 0; i < 2; i++)
		require(!pthread_create(&t[i].thread, NULL, take, &t[i]),
			"pthread_create");
	for (i = 0; i < 2; i++) {
		require(!pthread_join(t[i].thread, NULL), "pthread_join");
		diag("of %d: exclusive %d, EBUSY %d, ENOENT %d", ROUNDS,
		     t[i].got, t[i].busy, t[i].absent);
		check(!t[i].other, "EXCLUSIVE: %s", strerror(-t[i].other));
		busy += t[i].busy;
	}
	check_eq("EXCLUSIVE: EBUSY", busy, 0);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("sum of mapcounts", spaced_mapcounts(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "contended", .run = test_contended },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
