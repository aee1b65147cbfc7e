// SPDX-License-Identifier: GPL-2.0
/*
 * When instructions begin to be counted: at one moment of a second, which is
 * not when a whole one is over and the kernel's own work comes up, nor on a
 * tick.  So a workload meets the same interrupts whichever kernel it runs on.
 */
#define _GNU_SOURCE
#include <time.h>

#include "exact.h"

#define MARK_NS		502000000L
#define NEAR_NS		12000000L	/* before the mark */
#define SPINS		500		/* between two looks at the clock */

static void next_after(long ns, struct timespec *t)
{
	clock_gettime(CLOCK_MONOTONIC, t);
	t->tv_sec += t->tv_nsec >= ns;
	t->tv_nsec = ns;
}

void exact_near_the_mark(void)
{
	struct timespec t;

	next_after(MARK_NS - NEAR_NS, &t);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

/*
 * The last part is not slept: QEMU lets the time of an idle guest jump to the
 * next timer, and if its main loop does that just when the vCPU falls idle, it
 * jumps too far by what the vCPU executed last (icount_start_warp_timer()).
 */
void exact_wait_for_the_mark(void)
{
	struct timespec now, mark;
	volatile int spin;

	next_after(MARK_NS, &mark);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (mark.tv_sec > now.tv_sec || now.tv_nsec < MARK_NS - NEAR_NS)
		exact_near_the_mark();
	do {
		for (spin = 0; spin < SPINS; spin++)
			;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < mark.tv_sec || now.tv_nsec < mark.tv_nsec);
}
