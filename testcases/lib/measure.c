// SPDX-License-Identifier: GPL-2.0
/*
 * Guest instructions between two marks, in exact mode: with QEMU's
 * "-icount shift=0" an instruction takes a nanosecond of guest time, and that
 * is what the time stamp counter counts.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <x86intrin.h>

#include "rmaplab.h"

static uint64_t total, begun;
static bool own_marks;

static void stop(void)
{
	uint64_t now = __rdtsc();

	if (begun)
		total += now - begun;
	begun = 0;
}

/* The first mark of a workload's own ends what was begun around all of it. */
void measure_begin(void)
{
	if (!own_marks)
		total = 0;
	own_marks = true;
	begun = __rdtsc();
}

void measure_end(void)
{
	stop();
}

void measure_whole_begin(void)
{
	own_marks = false;
	total = 0;
	begun = __rdtsc();
}

void measure_whole_end(void)
{
	if (!own_marks)
		stop();
	if (getenv("RMAPLAB_EXACT"))
		diag("rmaplab: instructions %llu", (unsigned long long)total);
}
