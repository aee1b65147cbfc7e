// SPDX-License-Identifier: GPL-2.0
/* What this kernel does that others do otherwise: see probe.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel_abi.h"
#include "probe.h"
#include "ram.h"
#include "sizes.h"

#define HOLE_STEP	4096	/* page frames */

struct probes probes;

static uint64_t word_of(const char *path, uint64_t index)
{
	uint64_t value = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && pread(fd, &value, sizeof(value),
			     index * sizeof(value)) != sizeof(value))
		value = 0;
	if (fd >= 0)
		close(fd);
	return value;
}

static bool find_vma(const char *name, unsigned long *start, unsigned long *end)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strlen(line) > strlen(name) &&
			!strcmp(line + strlen(line) - strlen(name), name) &&
			sscanf(line, "%lx-%lx", start, end) == 2;
	}
	if (f)
		fclose(f);
	return found;
}

/* Not by a load: some pages of [vvar] are not there, and kill who reads them. */
static void touch(unsigned long addr)
{
	char byte;
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK))
		return;
	if (write(fd[1], (const void *)addr, 1) == 1 &&
	    read(fd[0], &byte, 1) != 1)
		perror("probe: [vvar]");
	close(fd[0]);
	close(fd[1]);
}

static bool vvar_is_counted(void)
{
	unsigned long addr, end;
	uint64_t entry;

	if (!find_vma(" [vvar]", &addr, &end))
		return false;
	for (; addr < end; addr += 1UL << page_shift) {
		touch(addr);
		entry = word_of("/proc/self/pagemap", addr >> page_shift);
		if (entry & PM_PRESENT &&
		    word_of("/proc/kpagecount", PM_PFN(entry)))
			return true;
	}
	return false;
}

/*
 * Frames of a section that has RAM are no hole, whether they are RAM or not:
 * they have a struct page, and are reserved.
 */
static void look_at_holes(void)
{
	unsigned long end = ram_look();
	uint64_t pfn, flags;

	for (pfn = 0; pfn < end; pfn += HOLE_STEP) {
		if (ram_has(pfn))
			continue;
		flags = word_of("/proc/kpageflags", pfn);
		probes.hole_is_nopage |= !!(flags & KPF_NOPAGE);
		probes.hole_has_no_flags |= !flags;
	}
}

void probe_init(void)
{
	probes.vvar_counted = vvar_is_counted();
	look_at_holes();
}
