// SPDX-License-Identifier: GPL-2.0
/* Transparent huge pages of 2 MB. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rmaplab.h"

#define SPLIT	"/sys/kernel/debug/split_huge_pages"
#define THP_STATS "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/stats/"

/* One folio of order 9, whether mapped by a PMD or by PTEs. */
bool is_thp(const void *addr)
{
	struct page_facts head = page_facts(addr), p;
	int i;

	if (!(head.flags & PF_THP) || !(head.flags & PF_COMPOUND_HEAD))
		return false;
	for (i = 1; i < HPAGE_NR; i++) {
		p = page_facts((const char *)addr + i * PAGE_SIZE);
		if (p.pfn != head.pfn + i || !(p.flags & PF_COMPOUND_TAIL))
			return false;
	}
	return true;
}

char *hpage_area(void)
{
	char *area = mmap(NULL, 2 * HPAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require_errno(area != MAP_FAILED, "mmap of 4 MB");
	return (char *)(((uintptr_t)area + HPAGE_SIZE - 1) & ~(HPAGE_SIZE - 1));
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
		skip("inconclusive: no 2 MB THP (setting, or no free memory)");
	postmortem_pages("THP", head, HPAGE_NR);
	pfn = page_facts(head).pfn;
	for (i = 0; i < HPAGE_NR; i++)
		watch_pfn(pfn + i);
	return head;
}

long long thp_stat(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), THP_STATS "%s", name);
	return read_number(path);
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
