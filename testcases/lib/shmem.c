// SPDX-License-Identifier: GPL-2.0
/* Memory of a tmpfs file. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rmaplab.h"
#include "sharers.h"

#define ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

int shmem_file(size_t size)
{
	int file = memfd_create("shmem", MFD_CLOEXEC);

	require_errno(file >= 0, "memfd_create");
	require_errno(!ftruncate(file, size), "ftruncate");
	return file;
}

char *shmem_map(int file, size_t size)
{
	char *addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file,
			  0);

	require_errno(addr != MAP_FAILED, "mmap");
	return addr;
}

char *shmem_map_aligned(int file, int first, int nr)
{
	char *addr = mmap(hpage_hole(nr), nr * HPAGE_SIZE,
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
			  first * HPAGE_SIZE);

	require_errno(addr != MAP_FAILED, "mmap of the file");
	return addr;
}

/* "force" and "deny" are stronger than what the file's mount says. */
void shmem_allow_thp(bool allow)
{
	const char *size = thp_path(HPAGE_SIZE, "shmem_enabled");
	int ret;

	if (!file_exists(ENABLED))
		skip("no " ENABLED);
	ret = write_text(ENABLED, allow ? "force" : "deny");
	require(!ret, ENABLED ": %s", strerror(-ret));
	/* Since 6.11 each size has a setting of its own. */
	ret = file_exists(size) ? write_text(size, "inherit") : 0;
	require(!ret, "%s: %s", size, strerror(-ret));
}

void shmem_thp_populate(char *head, int nr)
{
	int i;

	shmem_allow_thp(true);
	postmortem_pages("shmem THP", head, nr * HPAGE_NR);
	pages_fill(head, nr * HPAGE_NR);
	for (i = 0; i < nr; i++)
		if (!is_pmd_mapped(head + i * HPAGE_SIZE))
			skip("inconclusive: no huge page of tmpfs (no free memory)");
}

char *shmem_thp_map(int file, int first, int nr)
{
	char *head = shmem_map_aligned(file, first, nr);

	shmem_thp_populate(head, nr);
	return head;
}

/*
 * mincore() knows of a page in the page cache or the swap cache; SEEK_DATA finds
 * data in memory or in swap (mapping_seek_hole_data()).
 */
bool is_swapped_file(int file, int page, const void *addr)
{
	off_t offset = page * PAGE_SIZE;
	unsigned char in_memory;

	require_errno(!mincore((void *)addr, PAGE_SIZE, &in_memory), "mincore");
	return !(in_memory & 1) && lseek(file, offset, SEEK_DATA) == offset;
}

int count_swapped_file(int file, int first, const void *addr, int nr)
{
	const char *page = addr;
	int i, n = 0;

	for (i = 0; i < nr; i++)
		n += is_swapped_file(file, first + i, page + i * PAGE_SIZE);
	return n;
}
