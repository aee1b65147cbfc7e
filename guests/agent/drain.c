// SPDX-License-Identifier: GPL-2.0
/*
 * What a kernel keeps for later, brought to rest before counters are sampled:
 * pages on their way to the LRU, a removed cgroup, and, when asked to wait, what
 * an RCU grace period holds back, clean page cache, what KSM knows of the dead,
 * and the agent's own pages that were swapped out.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define KSM_RUN		"/sys/kernel/mm/ksm/run"
#define CGROUP_STAT	"/sys/fs/cgroup/cgroup.stat"
#define POLL_NS		2000000L
#define FIRST_WAIT_MS	300
#define LONG_WAIT_MS	1500
/* Page cache (1), and no line in the kernel log (4): fs/drop_caches.c */
#define DROP_QUIETLY	"5"
#define KHUGEPAGED_SCANS "/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans"
#define PAGE		4096UL
#define HUGE_PAGE	(2UL << 20)
#define KHUGEPAGED_AREA	(4 * HUGE_PAGE)
#define KHUGEPAGED_MS	2000
#define FREE_TRIES	20
/* With swap slots on the lists of the CPUs the cgroup may stay for ever. */
#define SWAP_WAIT_MS	60

static unsigned long boot_freeswap;

/* lru_cache_disable() in do_pages_move() drains the batches of all CPUs. */
static int drain_lru(void)
{
	static char here = 1;
	void *page = &here;
	int node = 0, status;

	if (syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, MPOL_MF_MOVE))
		return errno;
	return 0;
}

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

/* A small file of /proc; what does not fit is cut. */
static const char *slurp(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && len < sizeof(text) - 1) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			break;
		len += n;
	}
	if (fd >= 0)
		close(fd);
	text[len] = '\0';
	return text;
}

static long field(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? atol(at + strlen(key)) : -1;
}

/*
 * Free pages, wherever: between two looks at the CPUs' lists that show the same
 * no page went from them to the free ones, or came back.  stat_refresh comes
 * first, since it lets the lists shrink (decay_pcp_high()).
 */
static bool look_at_free(long *free, long *pcp)
{
	slurp("/proc/sys/vm/stat_refresh");
	*pcp = pages_on_cpu_lists(slurp("/proc/zoneinfo"));
	*free = field(slurp("/proc/vmstat"), "nr_free_pages ");
	return pages_on_cpu_lists(slurp("/proc/zoneinfo")) == *pcp;
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
	if (*slurp(KSM_RUN) != '0')
		return;
	write_file(KSM_RUN, "2");
	write_file(KSM_RUN, "0");
}

static long dying_cgroups(void)
{
	return field(slurp(CGROUP_STAT), "nr_dying_descendants ");
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
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

/* -- khugepaged ---------------------------------------------------------- */

/* The kernel has the thread only while some setting lets it collapse. */
static bool has_khugepaged(void)
{
	char path[64], comm[32];
	struct dirent *entry;
	bool found = false;
	DIR *dir = opendir("/proc");

	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/comm", atoi(entry->d_name));
		snprintf(comm, sizeof(comm), "%.31s", slurp(path));
		found = !strcmp(comm, "khugepaged\n");
	}
	if (dir)
		closedir(dir);
	return found;
}

/*
 * Memory that khugepaged looks at and cannot collapse: huge pages would fit, but
 * the one page there is lies before the first (khugepaged_enter_vma() wants
 * one).  NULL on an error.
 */
static char *attract_khugepaged(void)
{
	char *area = mmap(NULL, KHUGEPAGED_AREA, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *huge;

	if (area == MAP_FAILED)
		return NULL;
	huge = (char *)(((uintptr_t)area + HUGE_PAGE) & ~(HUGE_PAGE - 1));
	/* Nor in one that begins with the area. */
	if (munmap(area, PAGE))
		return NULL;
	huge[-1] = 1;
	if (madvise(area + PAGE, KHUGEPAGED_AREA - PAGE, MADV_HUGEPAGE))
		return NULL;
	return area + PAGE;
}

/*
 * The first process that khugepaged may look at wakes it, however long it is
 * to sleep between two scans: that would be the workload.  So have it know the
 * agent and wait until it sleeps (khugepaged_enter(), khugepaged_wait_work()).
 * It goes on knowing the agent when the memory is gone.
 */
void khugepaged_request(const struct request *rq)
{
	struct timespec pause = { .tv_nsec = POLL_NS };
	long long deadline = now_ms() + KHUGEPAGED_MS;
	char *area = NULL;
	long scans = 0;
	int err = 0;

	if (has_khugepaged()) {
		area = attract_khugepaged();
		err = area ? 0 : errno;
	}
	while (!err && has_khugepaged()) {
		scans = atol(slurp(KHUGEPAGED_SCANS));
		if (scans > 0)
			break;
		if (now_ms() >= deadline)
			err = ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	if (area && munmap(area, KHUGEPAGED_AREA - PAGE))
		err = errno;
	event_begin("khugepaged", rq->id);
	event_int("errno", err);
	event_int("scans", scans);
	event_end();
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
	err = drain_lru();
	steady = count_free(&free, &pcp);
	event_begin("drained", rq->id);
	event_int("errno", err);
	event_int("free", free);
	event_int("pcp", pcp);
	event_bool("steady", steady);
	event_int("polls", polls);
	event_end();
}
