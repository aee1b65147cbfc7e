// SPDX-License-Identifier: GPL-2.0
/* Which page frames are RAM: /proc/iomem. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "rmaplab.h"

#define MAX_RANGES	64

static struct {
	uint64_t first, last;
} ram[MAX_RANGES];
static int nr_ram;
static uint64_t end;

static void read_ram(void)
{
	FILE *f = fopen("/proc/iomem", "re");
	unsigned long long start, last;
	char line[256];

	require_errno(f, "/proc/iomem");
	nr_ram = 0;
	while (fgets(line, sizeof(line), f)) {
		/* "START-LAST : System RAM", also below another range */
		if (sscanf(line, "%llx-%llx :", &start, &last) != 2 ||
		    !strstr(line, " : System RAM"))
			continue;
		require(nr_ram < MAX_RANGES, "/proc/iomem has too many ranges");
		ram[nr_ram].first = start / PAGE_SIZE;
		ram[nr_ram++].last = last / PAGE_SIZE;
		if (last / PAGE_SIZE >= end)
			end = last / PAGE_SIZE + 1;
	}
	fclose(f);
	/* Without the right to see addresses all ranges are 0-0. */
	require(end > 1, "/proc/iomem shows no System RAM");
}

uint64_t ram_end(void)
{
	read_ram();
	return end;
}

bool has_ram(uint64_t first, uint64_t last)
{
	int i;

	if (!nr_ram)
		read_ram();
	for (i = 0; i < nr_ram; i++)
		if (ram[i].first <= last && ram[i].last >= first)
			return true;
	return false;
}
