// SPDX-License-Identifier: GPL-2.0
/* The emulated device, lib/test_hmm. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "rmaplab.h"

#define BOUNCE_SIZE	(2UL << 20)

/*
 * Where the device copies what it has read to; nobody looks at it.  No mapping
 * of its own: that would become part of a neighbour with the same flags, and
 * make it soft-dirty, and to unmap it drops the mirror of the page behind it.
 */
void *dmirror_buffer(unsigned long npages)
{
	static char buf[BOUNCE_SIZE + MAX_PAGE_SIZE];

	require(npages * PAGE_SIZE <= BOUNCE_SIZE,
		"more than %lu bytes for the device at once", BOUNCE_SIZE);
	return ptr_align(buf, PAGE_SIZE);
}

int dmirror_exclusive(int dev, const void *addr, unsigned long npages)
{
	return dmirror_call(dev, HMM_DMIRROR_EXCLUSIVE, addr, npages,
			     dmirror_buffer(npages), NULL);
}

int dmirror_read(int dev, const void *addr, void *buf, uint64_t *faults)
{
	return dmirror_call(dev, HMM_DMIRROR_READ, addr, 1, buf, faults);
}

int dmirror_write(int dev, void *addr, const void *buf)
{
	return dmirror_call(dev, HMM_DMIRROR_WRITE, addr, 1, (void *)buf,
			     NULL);
}

int dmirror_to_device(int dev, void *addr, unsigned long npages)
{
	return dmirror_call(dev, HMM_DMIRROR_MIGRATE_TO_DEV, addr, npages,
			     dmirror_buffer(npages), NULL);
}

int dmirror_to_system(int dev, void *addr, unsigned long npages)
{
	return dmirror_call(dev, HMM_DMIRROR_MIGRATE_TO_SYS, addr, npages,
			     NULL, NULL);
}

unsigned int dmirror_prot(int dev, const void *addr)
{
	unsigned char prot = 0;
	int ret = dmirror_call(dev, HMM_DMIRROR_SNAPSHOT, addr, 1, &prot,
				NULL);

	require(!ret, "DMIRROR_SNAPSHOT: %s", strerror(-ret));
	return prot;
}

bool dmirror_has_page(int dev, const void *addr)
{
	unsigned int where = dmirror_prot(dev, addr) & DMIRROR_WHERE;

	return where == DMIRROR_PRIVATE || where == DMIRROR_COHERENT;
}

bool dmirror_has_exclusive(int dev, const void *addr)
{
	int ret = dmirror_call(dev, HMM_DMIRROR_CHECK_EXCLUSIVE, addr, 1, NULL,
				NULL);

	require(!ret || ret == -EPERM, "CHECK_EXCLUSIVE: %s", strerror(-ret));
	return ret == -EPERM;
}

bool dmirror_page_intact(int dev, const void *addr, uint64_t seed,
			 uint64_t *faults)
{
	void *buf = dmirror_buffer(1);
	int ret = dmirror_read(dev, addr, buf, faults);

	require(!ret, "DMIRROR_READ: %s", strerror(-ret));
	return page_intact(buf, seed);
}

/* Learn the swap types of this kernel's device-exclusive entries. */
static void calibrate(int dev)
{
	char *page = anon_map(PAGE_SIZE, MADV_NOHUGEPAGE);
	struct exclusive_sample sample = { 0 };
	int pagemap, ret;

	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	require_errno(pagemap >= 0, "/proc/self/pagemap");
	ret = sample_exclusive(dev, pagemap, page, dmirror_buffer(1), &sample);
	close(pagemap);
	require(!ret, "EXCLUSIVE: %s", strerror(-ret));
	learn_exclusive_types(&sample);
	require_errno(!munmap(page, PAGE_SIZE), "munmap");
}

static int open_device(int nr)
{
	char path[32];
	int dev;

	snprintf(path, sizeof(path), DMIRROR_DEVICE "%d", nr);
	dev = open(path, O_RDWR | O_CLOEXEC);
	if (dev < 0 && errno == ENOENT)
		skip("no %s", path);
	require_errno(dev >= 0, "%s", path);
	calibrate(dev);
	return dev;
}

int dmirror_open(void)
{
	return open_device(0);
}

int dmirror_open_coherent(void)
{
	return open_device(2);
}

static void calibrate_private(int dev)
{
	char *page = anon_map(PAGE_SIZE, MADV_NOHUGEPAGE);
	uint64_t pfn;
	int ret;

	page_fill(page, 0);
	pfn = page_facts(page).pfn;
	drain_lru_caches();
	ret = dmirror_to_device(dev, page, 1);
	require(!ret, "MIGRATE_TO_DEV: %s", strerror(-ret));
	learn_private_type(pagemap_entry(page), pfn);
	require_errno(!mprotect(page, PAGE_SIZE, PROT_READ), "mprotect");
	learn_private_type(pagemap_entry(page), pfn);
	require_errno(!munmap(page, PAGE_SIZE), "munmap");
}

int dmirror_open_private(void)
{
	int dev = open_device(0);

	calibrate_private(dev);
	return dev;
}
