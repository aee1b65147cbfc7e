// SPDX-License-Identifier: GPL-2.0
/* Huge pages from the hugetlb pool: see hugetlb.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hugetlb.h"

#define POOLS	"/sys/kernel/mm"
#define NODES	"/sys/devices/system/node/node"

static const char *pool_path(const char *prefix)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/hugepages/hugepages-%lukB/free_hugepages",
		 prefix, HPAGE_SIZE / 1024);
	return path;
}

static long long free_pages(const char *path)
{
	long long n = read_number(path);

	require(n >= 0, "%s cannot be read", path);
	return n;
}

long long hugetlb_free(void)
{
	return free_pages(pool_path(POOLS));
}

long long hugetlb_free_on(int node)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), NODES "%d", node);
	return free_pages(pool_path(prefix));
}

/*
 * A few words of each of its pages are enough to tell data from other data, and
 * a whole huge page takes emulation its time.
 */
void hugetlb_fill(char *addr, int nr)
{
	int i;

	for (i = 0; i < nr * HPAGE_NR; i += 8)
		page_fill(addr + i * PAGE_SIZE, i);
}

int hugetlb_intact(const char *addr, int nr)
{
	int i, j, ok, n = 0;

	for (i = 0; i < nr; i++) {
		ok = 1;
		for (j = 0; ok && j < HPAGE_NR; j += 8)
			ok = page_intact(addr + (i * HPAGE_NR + j) * PAGE_SIZE,
					 i * HPAGE_NR + j);
		n += ok;
	}
	return n;
}

static void require_pool(int nr)
{
	if (!file_exists(pool_path(POOLS)))
		skip("no %s", pool_path(POOLS));
	if (hugetlb_free() < nr)
		skip("inconclusive: %lld free huge pages, not %d",
		     hugetlb_free(), nr);
}

char *hugetlb_map(int nr, int flags)
{
	char *addr;

	require_pool(nr);
	addr = mmap(NULL, nr * HPAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);
	require_errno(addr != MAP_FAILED, "mmap of %d huge pages", nr);
	postmortem_pages("hugetlb", addr, nr * HPAGE_NR);
	hugetlb_fill(addr, nr);
	return addr;
}

int hugetlb_file(int nr)
{
	int fd;

	require_pool(nr);
	fd = memfd_create("hugetlb", MFD_CLOEXEC | MFD_HUGETLB);
	require_errno(fd >= 0, "memfd_create of huge pages");
	require_errno(!ftruncate(fd, nr * HPAGE_SIZE), "ftruncate");
	return fd;
}

char *hugetlb_map_file(int fd, int nr, int offset)
{
	char *addr = mmap(NULL, nr * HPAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, offset * HPAGE_SIZE);

	require_errno(addr != MAP_FAILED, "mmap of %d huge pages", nr);
	return addr;
}

bool is_hugetlb(const void *addr)
{
	return page_facts(addr).flags & KPF_HUGE;
}
