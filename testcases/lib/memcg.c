// SPDX-License-Identifier: GPL-2.0
/* The cgroup that the agent made for this run, with its memory controller. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "rmaplab.h"

#define MAX_READINGS	10

static const char *memcg_path(const char *file)
{
	static char path[512];
	char line[256];
	FILE *f = fopen("/proc/self/cgroup", "re");

	require_errno(f, "/proc/self/cgroup");
	require(fgets(line, sizeof(line), f) && !strncmp(line, "0::/", 4),
		"/proc/self/cgroup has no cgroup v2");
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", line + 3, file);
	return path;
}

void require_memcg(void)
{
	if (!file_exists(memcg_path("memory.stat")))
		skip("no memory controller in our cgroup");
}

/*
 * Reading memory.stat brings it up to date only if more than 64 updates a CPU
 * are outstanding (mm/memcontrol.c, memcg_vmstats_needs_flush()), else it may
 * be 2 seconds old.  So make that many, in a VMA that cannot become part of one
 * of the workload's: that would be soft-dirty as a whole then.
 */
static void make_stat_due(void)
{
	size_t size = 256 * (get_nprocs() + 1) * PAGE_SIZE;
	char *churn = anon_map(size, MADV_DONTFORK);

	require_errno(!madvise(churn, size, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	memset(churn, 1, size);
	require_errno(!munmap(churn, size), "munmap");
}

static long long read_stat(const char *key)
{
	long long value;

	make_stat_due();
	value = file_field(memcg_path("memory.stat"), key);
	require(value >= 0, "memory.stat has no %s", key);
	return value;
}

/*
 * The periodic flush goes CPU by CPU, and says that nothing is outstanding
 * after the first (mem_cgroup_css_rstat_flush()): who reads meanwhile sees the
 * others' old share.  So believe what two readings agree on.
 */
long long memcg_stat(const char *key)
{
	long long value = read_stat(key), again;
	int round;

	for (round = 0; round < MAX_READINGS; round++) {
		again = read_stat(key);
		if (again == value)
			return value;
		diag("memory.stat %s: %lld, then %lld", key, value, again);
		value = again;
	}
	require(false, "memory.stat %s does not come to rest", key);
	return value;
}

long long memcg_number(const char *file)
{
	long long value = read_number(memcg_path(file));

	require(value >= 0, "%s cannot be read", file);
	return value;
}

int memcg_write(const char *file, const char *text)
{
	return write_text(memcg_path(file), text);
}

/*
 * 6.12 takes a swappiness argument.  A kernel that does not says -EINVAL, and
 * there vm.swappiness decides: cgroup v2 has no memory.swappiness.
 */
int memcg_reclaim_anon(unsigned long bytes)
{
	char text[64];
	int ret;

	snprintf(text, sizeof(text), "%lu swappiness=200", bytes);
	ret = memcg_write("memory.reclaim", text);
	if (ret != -EINVAL)
		return ret;
	ret = write_text("/proc/sys/vm/swappiness", "200");
	require(!ret, "vm.swappiness: %s", strerror(-ret));
	snprintf(text, sizeof(text), "%lu", bytes);
	return memcg_write("memory.reclaim", text);
}
