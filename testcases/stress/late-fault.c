// SPDX-License-Identifier: GPL-2.0
/*
 * A fault on an exclusive page meets the zap of that page, round after round.
 *
 * Whoever is first, the page reads as zeros after MADV_DONTNEED: a fault that
 * comes too late finds no exclusive entry any more under the lock of the page
 * table, and must not map the page that it was about.  From round to round the zap
 * begins earlier or later, so that it falls into each part of the fault.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define ROUNDS		1000
#define STEPS		50	/* of the delay of the zap, or of the fault */
#define SPINS_A_STEP	200

static const char *page;
static pthread_barrier_t begin, end;	/* of a round */
static atomic_int woken;		/* rounds of the other thread */

static void spin(int steps)
{
	volatile int spins = steps * SPINS_A_STEP;

	while (spins > 0)
		spins--;
}

/* How many steps later than the fault the zap begins. */
static int delay(int round)
{
	return round % STEPS - STEPS / 2;
}

static void *touch(void *unused)
{
	int round;

	stay_on(1);
	for (round = 1; round <= ROUNDS; round++) {
		pthread_barrier_wait(&begin);
		atomic_store(&woken, round);
		spin(-delay(round));
		(void)*(const volatile char *)page;
		pthread_barrier_wait(&end);
	}
	return unused;
}

static bool zap_meanwhile(int round)
{
	/* Sleeping, since whoever spins keeps a CPU of the host from others. */
	pthread_barrier_wait(&begin);
	while (atomic_load(&woken) < round)
		;
	spin(delay(round));
	require_errno(!madvise((void *)page, PAGE_SIZE, MADV_DONTNEED),
		      "MADV_DONTNEED");
	pthread_barrier_wait(&end);
	return page_is_zero((void *)page);
}

static void test_late_fault(void)
{
	struct spaced e = spaced_map(1);
	pthread_t toucher;
	int round, zapped = 0;

	stay_on(0);
	page = spaced_page(&e, 0);
	pthread_barrier_init(&begin, NULL, 2);
	pthread_barrier_init(&end, NULL, 2);
	require(!pthread_create(&toucher, NULL, touch, NULL), "pthread_create");
	for (round = 1; round <= ROUNDS; round++) {
		page_fill((void *)page, round);
		spaced_make_exclusive(&e);
		zapped += zap_meanwhile(round);
	}
	require(!pthread_join(toucher, NULL), "pthread_join");
	check_eq("rounds in which the page read as zeros", zapped, ROUNDS);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "late-fault", .run = test_late_fault },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
