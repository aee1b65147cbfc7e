// SPDX-License-Identifier: GPL-2.0
/*
 * T21: EXCLUSIVE in a loop against concurrent lockers: EBUSY count.
 *
 * 0: somebody who holds the folio lock for a moment is waited for.  The
 * lockers are two mirrors of one process that take the same pages from each
 * other: the unpatched kernel holds the locks of a whole batch while the driver
 * maps it, tries each lock once, and reports -EBUSY.
 *
 * -ENOENT is no failure: test_hmm reads its mirror after it dropped the lock,
 * and the other one may have the page by then.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "rmaplab.h"

#define NR	64
#define ROUNDS	300

struct taker {
	pthread_t thread;
	struct e0 *e;
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
	struct e0 e = e0_map(NR);
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
	check_eq("pages intact", e0_intact(&e), NR);
	check_eq("sum of mapcounts", e0_mapcounts(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "contended", .run = test_contended },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
