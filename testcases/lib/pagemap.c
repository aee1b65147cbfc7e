// SPDX-License-Identifier: GPL-2.0
/* pagemap, kpagecount and kpageflags: Documentation/admin-guide/mm/pagemap.rst */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "guest.h"
#include "rmaplab.h"

/* A bit for each swap type: one or two, by the tree. */
static uint32_t exclusive_types;
/* The same for private memory of a device: two. */
static uint32_t private_types;

static uint64_t read_u64(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t value;
	ssize_t n;

	require_errno(fd >= 0, "%s", path);
	n = pread(fd, &value, sizeof(value), index * sizeof(value));
	require_errno(n >= 0, "%s, entry %#llx", path,
		      (unsigned long long)index);
	require(n == sizeof(value), "%s, entry %#llx: end of file", path,
		(unsigned long long)index);
	close(fd);
	return value;
}

uint64_t pagemap_entry(const void *addr)
{
	return read_u64("/proc/self/pagemap", (uintptr_t)addr / PAGE_SIZE);
}

void pagemap_entries_of(int pid, const void *addr, int nr, uint64_t *entry)
{
	ssize_t n, size = nr * sizeof(*entry);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	require_errno(fd >= 0, "%s", path);
	n = pread(fd, entry, size, (uintptr_t)addr / PAGE_SIZE * sizeof(*entry));
	require_errno(n >= 0, "%s", path);
	require(n == size, "%s: %zd bytes, not %zd", path, n, size);
	close(fd);
}

uint64_t pagemap_entry_of(int pid, const void *addr)
{
	uint64_t entry;

	pagemap_entries_of(pid, addr, 1, &entry);
	return entry;
}

bool is_present(uint64_t pagemap)
{
	return pagemap & PM_PRESENT;
}

bool is_exclusive(uint64_t pagemap)
{
	return !(pagemap & PM_PRESENT) && (pagemap & PM_SWAP) &&
	       (exclusive_types & (1U << PM_SWAP_TYPE(pagemap)));
}

bool is_device_private(uint64_t pagemap)
{
	return !(pagemap & PM_PRESENT) && (pagemap & PM_SWAP) &&
	       (private_types & (1U << PM_SWAP_TYPE(pagemap)));
}

bool is_soft_dirty(uint64_t pagemap)
{
	return pagemap & PM_SOFT_DIRTY;
}

/* With one swap area, a real swap entry is of type 0. */
bool is_swapped(uint64_t pagemap)
{
	return !(pagemap & PM_PRESENT) && (pagemap & PM_SWAP) &&
	       PM_SWAP_TYPE(pagemap) == 0;
}

struct page_facts pfn_facts(uint64_t pfn)
{
	struct page_facts p = { .pfn = pfn };

	if (pfn) {
		p.count = read_u64("/proc/kpagecount", pfn);
		p.flags = read_u64("/proc/kpageflags", pfn);
	}
	return p;
}

struct page_facts page_facts(const void *addr)
{
	uint64_t pagemap = pagemap_entry(addr);
	struct page_facts p = { 0 };

	if (is_present(pagemap))
		p = pfn_facts(PM_PFN(pagemap));
	else if (is_exclusive(pagemap))
		p = pfn_facts(PM_SWAP_OFFSET(pagemap));
	p.pagemap = pagemap;
	return p;
}

void print_page(int i, const struct page_facts *p)
{
	diag("page %d: pfn=%#llx count=%lld flags=%#llx pagemap=%#llx", i,
	     (unsigned long long)p->pfn, (long long)p->count,
	     (unsigned long long)p->flags, (unsigned long long)p->pagemap);
}

int count_ptes(const void *addr, int nr, bool (*is)(uint64_t pagemap))
{
	int i, n = 0;

	for (i = 0; i < nr; i++)
		n += is(pagemap_entry((const char *)addr + i * PAGE_SIZE));
	return n;
}

void learn_exclusive_types(const struct exclusive_sample *sample)
{
	uint32_t types = exclusive_types_in(sample);

	require(types, "EXCLUSIVE on pagemap=%#llx left %#llx, mprotect %#llx",
		(unsigned long long)sample->present,
		(unsigned long long)sample->writable,
		(unsigned long long)sample->readable);
	exclusive_types |= types;
}

/* What took a page's place when it moved to a device has a PFN of that device. */
void learn_private_type(uint64_t pagemap, uint64_t pfn)
{
	uint32_t type = 1U << PM_SWAP_TYPE(pagemap);

	require(!(pagemap & PM_PRESENT) && (pagemap & PM_SWAP) &&
		!(exclusive_types & type) && PM_SWAP_TYPE(pagemap) &&
		PM_SWAP_OFFSET(pagemap) != pfn,
		"MIGRATE_TO_DEV of pfn %#llx left pagemap=%#llx",
		(unsigned long long)pfn, (unsigned long long)pagemap);
	private_types |= type;
}
