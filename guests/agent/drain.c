// SPDX-License-Identifier: GPL-2.0
/*
 * What a kernel keeps for later, brought to rest before counters are sampled:
 * pages on their way to the LRU, a removed cgroup, and, when asked to wait, what
 * an RCU grace period holds back, clean page cache, what KSM knows of the dead,
 * and the agent's own pages that were swapped out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "drain.h"
#include "event.h"
#include "guest.h"
#include "protocol.h"
#include "util.h"

#define KSM_RUN		"/sys/kernel/mm/ksm/run"
#define CGROUP_STAT	"/sys/fs/cgroup/cgroup.stat"
#define POLL_NS		2000000L
#define FIRST_WAIT_MS	300
#define LONG_WAIT_MS	1500
/* Page cache (1), and no line in the kernel log (4): fs/drop_caches.c */
#define DROP_QUIETLY	"5"
#define FREE_TRIES	20
/* With swap slots on the lists of the CPUs the cgroup may stay for ever. */
#define SWAP_WAIT_MS	60

static unsigned long boot_freeswap;

/* Free pages on the lists of the CPUs, which nr_free_pages does not count. */
static long pages_on_cpu_lists(const char *zoneinfo)
{
	static const char key[] = "\n              count:";
	const char *at = zoneinfo;
	long pages = 0;

	while ((at = strstr(at, key))) {
		at += sizeof(key) - 1;
		pages += atol(at);
	}
	return pages;
}

/*
 * Free pages, wherever: between two looks at the CPUs' lists that show the same
 * no page went from them to the free ones, or came back.  stat_refresh comes
 * first, since it lets the lists shrink (decay_pcp_high()).
 */
static bool look_at_free(long *free, long *pcp)
{
	static char text[65536];

	read_file("/proc/sys/vm/stat_refresh", text, sizeof(text));
	read_file("/proc/zoneinfo", text, sizeof(text));
	*pcp = pages_on_cpu_lists(text);
	read_file("/proc/vmstat", text, sizeof(text));
	*free = number_behind(text, "nr_free_pages ");
	read_file("/proc/zoneinfo", text, sizeof(text));
	return pages_on_cpu_lists(text) == *pcp;
}

/*
 * A look at the lists is not made at one moment, and another CPU may empty one
 * of them meanwhile: believed is what two looks in a row agree on.
 */
static bool count_free(long *free, long *pcp)
{
	struct timespec pause = { .tv_nsec = POLL_NS };
	long before, now = -1;
	int tries;

	for (tries = 0; tries < FREE_TRIES; tries++) {
		before = now;
		now = look_at_free(free, pcp) ? *free + *pcp : -1;
		if (now >= 0 && now == before)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/*
 * A stopped ksmd keeps what it knew of dead processes, and so their page tables'
 * roots, until it runs again or is told to unmerge (__ksm_exit()).
 */
static void release_ksm(void)
{
	char run[16];

	if (*read_file(KSM_RUN, run, sizeof(run)) != '0')
		return;
	write_file(KSM_RUN, "2");
	write_file(KSM_RUN, "0");
}

static long dying_cgroups(void)
{
	char text[1024];

	read_file(CGROUP_STAT, text, sizeof(text));
	return number_behind(text, "nr_dying_descendants ");
}

static unsigned long freeswap(void)
{
	struct sysinfo si;

	return sysinfo(&si) ? 0 : si.freeswap;
}

/*
 * A removed cgroup goes after a few RCU grace periods, and with it what it
 * kept.  It stays as long as a page or a swap slot is charged to it.
 */
static int wait_for_dying_cgroups(long long wait_ms)
{
	struct timespec pause = { .tv_nsec = POLL_NS };
	long long deadline;
	int polls;

	if (freeswap() < boot_freeswap)
		wait_ms = SWAP_WAIT_MS;
	deadline = now_ms() + wait_ms;
	for (polls = 0; dying_cgroups() > 0 && now_ms() < deadline; polls++)
		nanosleep(&pause, NULL);
	return polls;
}

/* drain [wait] */
void drain_request(const struct request *rq)
{
	long free, pcp;
	int polls, err;
	bool steady;

	if (!boot_freeswap)
		boot_freeswap = freeswap();
	if (rq->nr > 1) {
		/* Clean page cache may be charged to the cgroup. */
		write_file("/proc/sys/vm/drop_caches", DROP_QUIETLY);
		/* Locked pages give their swap slots back. */
		if (freeswap() < boot_freeswap &&
		    (mlockall(MCL_CURRENT) || munlockall()))
			complain("mlockall", errno);
		release_ksm();
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	}
	polls = wait_for_dying_cgroups(rq->nr > 1 ? LONG_WAIT_MS : FIRST_WAIT_MS);
	err = drain_lru_batches();
	steady = count_free(&free, &pcp);
	event_begin(EVENT_DRAINED, rq->id);
	event_int(KEY_ERRNO, err);
	event_int(KEY_FREE, free);
	event_int(KEY_PCP, pcp);
	event_bool(KEY_STEADY, steady);
	event_int(KEY_POLLS, polls);
	event_end();
}
