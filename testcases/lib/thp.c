// SPDX-License-Identifier: GPL-2.0
/* Transparent huge pages of the size that a PMD maps. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rmaplab.h"

#define SPLIT	"/sys/kernel/debug/split_huge_pages"
#define THP	"/sys/kernel/mm/transparent_hugepage/"

bool is_thp(const void *addr)
{
	struct page_facts head = page_facts(addr), p;
	int i;

	if (!(head.flags & KPF_THP) || !(head.flags & KPF_COMPOUND_HEAD))
		return false;
	for (i = 1; i < HPAGE_NR; i++) {
		p = page_facts((const char *)addr + i * PAGE_SIZE);
		if (p.pfn != head.pfn + i || !(p.flags & KPF_COMPOUND_TAIL))
			return false;
	}
	return true;
}

/* 1 or 0; -1 on kernels without PAGEMAP_SCAN. */
static int scan_is_huge(const void *addr)
{
	struct scan_region region = { 0 };
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + HPAGE_SIZE,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = SCAN_IS_HUGE,
		.return_mask = SCAN_IS_HUGE,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int n;

	require_errno(fd >= 0, "/proc/self/pagemap");
	n = ioctl(fd, SCAN_PAGEMAP, &arg);
	close(fd);
	if (n < 0 && errno == ENOTTY)
		return -1;
	require_errno(n >= 0, "PAGEMAP_SCAN");
	return n == 1 && region.start == arg.start && region.end == arg.end;
}

/* Add up what PMDs map of the VMA at ADDR: 1 for all, 0 for nothing, else -1. */
static int smaps_is_huge(const void *addr)
{
	static const char *const keys[] = {
		"AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:",
		"Shared_Hugetlb:", "Private_Hugetlb:",
	};
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start, end, whole = 0, at = (uintptr_t)addr;
	bool inside = false;
	long mapped = 0;
	char line[512];
	size_t i;

	require_errno(f, "/proc/self/smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			inside = start <= at && at < end;
			if (inside)
				whole = end / HPAGE_SIZE -
					(start + HPAGE_SIZE - 1) / HPAGE_SIZE;
		}
		for (i = 0; inside && i < ARRAY_SIZE(keys); i++)
			if (!strncmp(line, keys[i], strlen(keys[i])))
				mapped += atol(line + strlen(keys[i]));
	}
	fclose(f);
	if (!mapped)
		return 0;
	return mapped * 1024UL == whole * HPAGE_SIZE ? 1 : -1;
}

/* Before 6.7 only smaps tells, and that for a VMA as a whole. */
bool is_pmd_mapped(const void *addr)
{
	int huge = scan_is_huge(addr);

	if (huge < 0)
		huge = smaps_is_huge(addr);
	require(huge >= 0, "smaps: PMDs map a part of the VMA, maybe not this one");
	return huge;
}

char *hpage_area(void)
{
	char *area = mmap(NULL, 2 * HPAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require_errno(area != MAP_FAILED, "mmap of 2 huge pages");
	return ptr_align(area, HPAGE_SIZE);
}

char *hpage_hole(int nr)
{
	char *area = mmap(NULL, (nr + 1) * HPAGE_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	require_errno(area != MAP_FAILED, "mmap of %d huge pages", nr + 1);
	return ptr_align(area, HPAGE_SIZE);
}

char *thp_map(void)
{
	char *head = hpage_area();
	uint64_t pfn;
	int i;

	if (madvise(head, HPAGE_SIZE, MADV_HUGEPAGE) && errno == EINVAL)
		skip("inconclusive: a kernel without THP");
	for (i = 0; i < HPAGE_NR; i++)
		page_fill(head + i * PAGE_SIZE, i);
	if (!is_thp(head))
		skip("inconclusive: no THP (setting, or no free memory)");
	postmortem_pages("THP", head, HPAGE_NR);
	pfn = page_facts(head).pfn;
	for (i = 0; i < HPAGE_NR; i++)
		watch_pfn(pfn + i);
	return head;
}

const char *thp_path(unsigned long size, const char *file)
{
	static char path[160];

	snprintf(path, sizeof(path), THP "hugepages-%lukB/%s", size / 1024, file);
	return path;
}

long long thp_stat(const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), "stats/%s", name);
	return read_number(thp_path(HPAGE_SIZE, file));
}

int intact_pages(const void *base, int nr)
{
	int i, n = 0;

	for (i = 0; i < nr; i++)
		n += page_intact((const char *)base + i * PAGE_SIZE, i);
	return n;
}

int split_all_thps(void)
{
	if (!file_exists(SPLIT))
		skip("no " SPLIT);
	return write_text(SPLIT, "1");
}

int split_thps(const void *addr, size_t size, int order)
{
	unsigned long start = (uintptr_t)addr;
	char text[96];

	if (!file_exists(SPLIT))
		skip("no " SPLIT);
	if (order)
		snprintf(text, sizeof(text), "%d,%#lx,%#lx,%d", getpid(), start,
			 start + size, order);
	else
		snprintf(text, sizeof(text), "%d,%#lx,%#lx", getpid(), start,
			 start + size);
	return write_text(SPLIT, text);
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25	/* since 6.1 */
#endif
#define MAX_TRIES	10

int collapse(void *addr, size_t size)
{
	int ret, tries = 0;

	do {
		ret = madvise(addr, size, MADV_COLLAPSE) ? -errno : 0;
	} while (ret == -EAGAIN && ++tries < MAX_TRIES);
	if (tries)
		diag("MADV_COLLAPSE: EAGAIN %d times", tries);
	return ret;
}
