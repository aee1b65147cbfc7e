// SPDX-License-Identifier: GPL-2.0
/* Paging out, and swap areas on zram: Documentation/admin-guide/blockdev/zram.rst */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "guest.h"
#include "rmaplab.h"

#define ZRAM_CONTROL	"/sys/class/zram-control/"

void require_swap(void)
{
	struct sysinfo si;

	require_errno(!sysinfo(&si), "sysinfo");
	if (!si.freeswap)
		skip("inconclusive: no swap");
}

void pageout(const void *addr, int nr)
{
	drain_lru_caches();
	require_errno(!madvise((void *)addr, nr * PAGE_SIZE, MADV_PAGEOUT),
		      "MADV_PAGEOUT");
}

/* The first line of /proc/swaps is a heading. */
int swap_areas(char *first, size_t size)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[256], name[128];
	int n = -1;

	require_errno(f, "/proc/swaps");
	while (fgets(line, sizeof(line), f))
		if (++n == 1 && sscanf(line, "%127s", name) == 1)
			snprintf(first, size, "%s", name);
	fclose(f);
	return n;
}

int swap_off(const char *device)
{
	return swapoff(device) ? -errno : 0;
}

int swap_on(const char *device)
{
	return swapon(device, 0) ? -errno : 0;
}

static void write_header(const char *device, unsigned int pages)
{
	int fd = open(device, O_WRONLY | O_CLOEXEC);

	require_errno(fd >= 0, "%s", device);
	errno = write_swap_header(fd, pages);
	require_errno(!errno, "%s: swap header", device);
	close(fd);
}

int zram_add(unsigned int pages, char *device, size_t size)
{
	long long id = read_number(ZRAM_CONTROL "hot_add");
	char path[64], text[32];
	int ret;

	require(id >= 0, ZRAM_CONTROL "hot_add: no new zram device");
	snprintf(path, sizeof(path), "/sys/block/zram%lld/disksize", id);
	snprintf(text, sizeof(text), "%lu", pages * PAGE_SIZE);
	ret = write_text(path, text);
	require(!ret, "%s: %s", path, strerror(-ret));
	snprintf(device, size, "/dev/zram%lld", id);
	write_header(device, pages);
	return id;
}

void zram_remove(int id)
{
	char text[32];
	int ret;

	snprintf(text, sizeof(text), "%d", id);
	ret = write_text(ZRAM_CONTROL "hot_remove", text);
	require(!ret, "hot_remove of zram%d: %s", id, strerror(-ret));
}
