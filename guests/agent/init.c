// SPDX-License-Identifier: GPL-2.0
/* The agent as a process: PID 1 of a fast guest, or beside a distribution. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "console.h"
#include "init.h"
#include "util.h"

#define THP	"/sys/kernel/mm/transparent_hugepage"

bool is_init;

/*
 * Nothing may move, merge or collapse a test's pages behind its back.  A lab
 * whose settings want one of them writes so afterwards.  Files of features
 * that are not configured do not exist.
 */
static const struct {
	const char *path, *value;
} neutral[] = {
	{ "/proc/sys/kernel/numa_balancing", "0" },
	{ "/sys/kernel/mm/ksm/run", "0" },
	{ THP "/khugepaged/scan_sleep_millisecs", "3600000" },
	{ THP "/khugepaged/alloc_sleep_millisecs", "3600000" },
	/* Workloads lack the capability that it takes otherwise. */
	{ "/proc/sys/vm/unprivileged_userfaultfd", "1" },
	/* What a workload meets shall not depend on where its stack begins. */
	{ "/proc/sys/kernel/randomize_va_space", "0" },
	/* Our marks have to survive a workload that floods /dev/kmsg. */
	{ "/proc/sys/kernel/printk_devkmsg", "on\n" },
	{ "/sys/fs/cgroup/cgroup.subtree_control", "+memory" },
};

void spare_from_oom(bool spare)
{
	if (!write_file("/proc/self/oom_score_adj", spare ? "-1000" : "0"))
		complain("/proc/self/oom_score_adj", errno);
}

void come_to_rest(void)
{
	struct sched_param param = { .sched_priority = 1 };
	size_t i;

	/*
	 * A heartbeat that does not come shall mean a stuck guest, not one
	 * with many runnable processes.  musl refuses sched_setscheduler().
	 */
	if (syscall(SYS_sched_setscheduler, 0,
		    SCHED_FIFO | SCHED_RESET_ON_FORK, &param))
		complain("SCHED_FIFO", errno);

	spare_from_oom(true);
	for (i = 0; i < ARRAY_SIZE(neutral); i++)
		if (!write_file(neutral[i].path, neutral[i].value) &&
		    errno != ENOENT)
			complain(neutral[i].path, errno);
}

/* Nothing stays locked: nr_mlock is for the tests. */
void touch_memory(void)
{
	if (mlockall(MCL_CURRENT) || munlockall())
		complain("mlockall", errno);
}

void __noreturn power_off(int status)
{
	sync();
	if (is_init)
		reboot(RB_POWER_OFF);
	_exit(status);
}
