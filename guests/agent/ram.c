// SPDX-License-Identifier: GPL-2.0
/* Where the RAM is: see ram.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "ram.h"
#include "sizes.h"

#define MAX_RANGES	64

static struct {
	uint64_t first, last;
} range[MAX_RANGES];
static int nr_ranges;
static bool all_listed;

unsigned long ram_read(FILE *f)
{
	unsigned long long start, last, end = 0;
	char line[256];

	nr_ranges = 0;
	all_listed = f;
	while (f && fgets(line, sizeof(line), f)) {
		/* "START-LAST : System RAM", also below another range */
		if (sscanf(line, "%llx-%llx :", &start, &last) != 2 ||
		    !strstr(line, " : System RAM"))
			continue;
		if (last > end)
			end = last;
		if (nr_ranges == MAX_RANGES) {
			all_listed = false;
			continue;
		}
		range[nr_ranges].first = start >> page_shift;
		range[nr_ranges++].last = last >> page_shift;
	}
	return (end + 1) >> page_shift;
}

unsigned long ram_look(void)
{
	FILE *f = fopen("/proc/iomem", "re");
	unsigned long end = ram_read(f);

	if (f)
		fclose(f);
	return end;
}

bool ram_has(uint64_t pfn)
{
	int i;

	for (i = 0; i < nr_ranges; i++)
		if (pfn >= range[i].first && pfn <= range[i].last)
			return true;
	return !all_listed;
}
