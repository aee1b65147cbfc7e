// SPDX-License-Identifier: GPL-2.0
/* A uprobe through perf_event_open(2): kernel/events/uprobes.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <linux/perf_event.h>
#include <unistd.h>

#include "rmaplab.h"

#define PMU_TYPE "/sys/bus/event_source/devices/uprobe/type"

int uprobe_open(const char *path, uint64_t offset)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.sample_period = 1,
		.uprobe_path = (uintptr_t)path,
		.probe_offset = offset,
	};
	long long type = read_number(PMU_TYPE);
	int fd;

	if (type < 0)
		skip("no " PMU_TYPE);
	attr.type = type;
	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1,
		     PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
