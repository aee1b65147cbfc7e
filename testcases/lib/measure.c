// SPDX-License-Identifier: GPL-2.0
/*
 * Guest instructions between two marks, in exact mode: with QEMU's
 * "-icount shift=0" an instruction takes a nanosecond of guest time, which
 * instruction_clock() counts.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "arch.h"
#include "protocol.h"
#include "rmaplab.h"

static uint64_t total, begun;
static bool own_marks;

static void stop(void)
{
	uint64_t now = instruction_clock();

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
	begun = instruction_clock();
}

void measure_end(void)
{
	stop();
}

void measure_whole_begin(void)
{
	own_marks = false;
	total = 0;
	begun = instruction_clock();
}

void measure_whole_end(void)
{
	if (!own_marks)
		stop();
	if (getenv(ENV_EXACT))
		printf(SAY_PREFIX SAY_INSTRUCTIONS " %llu\n",
		       (unsigned long long)total);
}
