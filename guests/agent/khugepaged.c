// SPDX-License-Identifier: GPL-2.0
/*
 * khugepaged's first scan, brought about before a workload can.
 *
 * The first process that khugepaged may look at wakes it, however long it is to
 * sleep between two scans (khugepaged_enter(), khugepaged_wait_work()): that
 * would be the workload.  It goes on knowing the agent when the memory that
 * attracted it is gone.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "compiler.h"
#include "event.h"
#include "khugepaged.h"
#include "protocol.h"
#include "sizes.h"
#include "util.h"

#define SCANS		"/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans"
#define AREA		(4 * hpage_size)
#define POLL_NS		2000000L
#define TRIES		1000

static bool is_khugepaged(int pid)
{
	char path[64], comm[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	return !strcmp(read_file(path, comm, sizeof(comm)), "khugepaged\n");
}

/* Its number, 0 without: it is there only while some setting lets it collapse. */
static int find_khugepaged(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int pid, found = 0;

	while (proc && !found && (entry = readdir(proc))) {
		pid = atoi(entry->d_name);
		if (pid && is_khugepaged(pid))
			found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

/*
 * Make it look at memory that it cannot collapse: huge pages would fit, but the
 * one page there is lies before the first (khugepaged_enter_vma() wants one).
 */
static int attract(char *area)
{
	/* The first huge page behind the one that AREA lies in. */
	char *huge = ptr_align(area + 1, hpage_size);

	/* Nor in one that begins with the area. */
	if (mprotect(area, page_size, PROT_NONE))
		return errno;
	huge[-1] = 1;
	return madvise(area + page_size, AREA - page_size, MADV_HUGEPAGE) ? errno : 0;
}

/* Wait until it has scanned once, or is gone. */
static bool wait_for_scan(int khugepaged, long *scans)
{
	struct timespec pause = { .tv_nsec = POLL_NS };
	char text[32];
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		*scans = atol(read_file(SCANS, text, sizeof(text)));
		if (*scans > 0 || !is_khugepaged(khugepaged))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* khugepaged */
void khugepaged_request(const struct request *rq)
{
	int err = 0, khugepaged = find_khugepaged();
	long scans = 0;
	char *area;

	if (khugepaged) {
		area = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		err = area == MAP_FAILED ? errno : attract(area);
		if (!err && !wait_for_scan(khugepaged, &scans))
			err = ETIMEDOUT;
		if (area != MAP_FAILED && munmap(area, AREA) && !err)
			err = errno;
	}
	event_begin(EVENT_KHUGEPAGED, rq->id);
	event_int(KEY_ERRNO, err);
	event_int(KEY_SCANS, scans);
	event_end();
}
