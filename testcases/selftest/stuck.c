// SPDX-License-Identifier: GPL-2.0
/*
 * For testing the lab: freezes the guest.  A busy process of the highest
 * real-time priority on each CPU, without throttling, starves the agent: no
 * more heartbeats, and no exit at the time limit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "rmaplab.h"

static void spin_on(int cpu)
{
	struct sched_param param = { .sched_priority = 99 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bail_out("sched_setaffinity: %s", strerror(errno));
	/* musl refuses sched_setscheduler() */
	if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param))
		bail_out("sched_setscheduler: %s", strerror(errno));
	for (;;)
		;
}

int main(void)
{
	int cpu, ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..1\n");
	ret = write_text("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	if (ret)
		bail_out("sched_rt_runtime_us: %s", strerror(-ret));
	/* Our own CPU comes last: from then on nobody starts anything. */
	for (cpu = get_nprocs() - 1; cpu > 0; cpu--)
		if (!fork())
			spin_on(cpu);
	spin_on(0);
}
