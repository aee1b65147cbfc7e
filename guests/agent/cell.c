// SPDX-License-Identifier: GPL-2.0
/*
 * The cgroup of the running workload, with the memory controller if the kernel
 * has one: the agent enables it for all children of the root at boot.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cell.h"
#include "protocol.h"
#include "util.h"

#define FREEZE_POLL_NS	200000L
#define FREEZE_TRIES	10000

/*
 * CGROUP/cgroup.events, open as long as the cgroup is there: to look it up when
 * the workload is over would cost each clone what is behind a saved one.
 */
static int events_fd = -1;

/* Visit the processes of a cgroup and of those below it; returns how many. */
static int each_process(const char *cgroup, void (*visit)(pid_t pid))
{
	char path[PATH_MAX];
	struct dirent *entry;
	int pid, n = 0;
	FILE *procs;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	procs = fopen(path, "re");
	if (procs) {
		for (; fscanf(procs, "%d", &pid) == 1; n++)
			if (visit)
				visit(pid);
		fclose(procs);
	}
	dir = opendir(cgroup);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", cgroup, entry->d_name);
		n += each_process(path, visit);
	}
	if (dir)
		closedir(dir);
	return n;
}

static void kill_process(pid_t pid)
{
	kill(pid, SIGKILL);
}

void cell_kill(void)
{
	/* cgroup.kill came with Linux 5.14. */
	if (!write_file(CGROUP "/cgroup.kill", "1"))
		each_process(CGROUP, kill_process);
}

static bool has_event(const char *line)
{
	char text[256];

	return strstr(reread(events_fd, text, sizeof(text)), line);
}

/*
 * Freezing is done when the last process has come to a stop on its way back to
 * user space; the notification of that may lag by 10 ms.
 */
static bool wait_until_frozen(void)
{
	struct timespec pause = { .tv_nsec = FREEZE_POLL_NS };
	int tries;

	for (tries = 0; tries < FREEZE_TRIES; tries++) {
		if (has_event("frozen 1"))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

bool cell_freeze(bool freeze)
{
	if (!write_file(CGROUP "/cgroup.freeze", freeze ? "1" : "0"))
		return false;
	return !freeze || wait_until_frozen();
}

/* A workload may have made cgroups of its own: remove those first. */
static int remove_cgroup(const char *cgroup)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(cgroup);

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", cgroup, entry->d_name);
		remove_cgroup(path);
	}
	if (dir)
		closedir(dir);
	return rmdir(cgroup) ? errno : 0;
}

bool cell_make(void)
{
	/* A cgroup that an earlier run left has that run's counters. */
	if (mkdir(CGROUP, 0755) &&
	    (errno != EEXIST || remove_cgroup(CGROUP) || mkdir(CGROUP, 0755)))
		return false;
	/* remove_cgroup() recurses. */
	write_file(CGROUP "/cgroup.max.depth", "16");
	if (events_fd >= 0)
		close(events_fd);
	events_fd = open(CGROUP "/cgroup.events", O_RDONLY | O_CLOEXEC);
	return events_fd >= 0;
}

bool cell_join(void)
{
	return write_file(CGROUP "/cgroup.procs", "0");
}

int cell_count(void)
{
	return has_event("populated 0") ? 0 : each_process(CGROUP, NULL);
}

int cell_remove(void)
{
	if (events_fd >= 0)
		close(events_fd);
	events_fd = -1;
	/* Most workloads leave nothing to look for. */
	return rmdir(CGROUP) ? remove_cgroup(CGROUP) : 0;
}
