// SPDX-License-Identifier: GPL-2.0
/*
 * The emulated device, lib/test_hmm.  struct hmm_dmirror_cmd and the ioctl
 * numbers are those of lib/test_hmm_uapi.h, a header that is not exported; they
 * are the same from Linux 6.1 on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <unistd.h>

#include "rmaplab.h"

/* 0 and 1 have device private memory, 2 and 3 coherent memory. */
#define DMIRROR_DEVICE	"/dev/hmm_dmirror%d"

struct hmm_dmirror_cmd {
	__u64 addr;	/* in: user address that the device accesses */
	__u64 ptr;	/* in: user address of the bounce buffer */
	__u64 npages;
	__u64 cpages;	/* out: pages copied */
	__u64 faults;	/* out: device page faults */
};

#define HMM_DMIRROR_READ		_IOWR('H', 0x00, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_WRITE		_IOWR('H', 0x01, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_MIGRATE_TO_DEV	_IOWR('H', 0x02, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_MIGRATE_TO_SYS	_IOWR('H', 0x03, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_SNAPSHOT		_IOWR('H', 0x04, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_EXCLUSIVE		_IOWR('H', 0x05, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_CHECK_EXCLUSIVE	_IOWR('H', 0x06, struct hmm_dmirror_cmd)

static int dmirror_ioctl(int dev, unsigned long request, const void *addr,
			 unsigned long npages, void *buf, uint64_t *faults)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)addr,
		.ptr = (uintptr_t)buf,
		.npages = npages,
	};
	int ret;

	do {
		ret = ioctl(dev, request, &cmd);
	} while (ret && errno == EINTR);
	if (ret)
		return -errno;
	if (faults)
		*faults = cmd.faults;
	return 0;
}

int dmirror_exclusive(int dev, const void *addr, unsigned long npages)
{
	size_t size = npages * PAGE_SIZE;
	/* The device copies what it reads to here. */
	char *buf = anon_map(size, MADV_NOHUGEPAGE);
	int ret;

	ret = dmirror_ioctl(dev, HMM_DMIRROR_EXCLUSIVE, addr, npages, buf, NULL);
	require_errno(!munmap(buf, size), "munmap");
	return ret;
}

int dmirror_read(int dev, const void *addr, void *buf, uint64_t *faults)
{
	return dmirror_ioctl(dev, HMM_DMIRROR_READ, addr, 1, buf, faults);
}

int dmirror_write(int dev, void *addr, const void *buf)
{
	return dmirror_ioctl(dev, HMM_DMIRROR_WRITE, addr, 1, (void *)buf,
			     NULL);
}

int dmirror_to_device(int dev, void *addr, unsigned long npages)
{
	size_t size = npages * PAGE_SIZE;
	/* The device copies what it migrated to here. */
	char *buf = anon_map(size, MADV_NOHUGEPAGE);
	int ret;

	ret = dmirror_ioctl(dev, HMM_DMIRROR_MIGRATE_TO_DEV, addr, npages, buf,
			    NULL);
	require_errno(!munmap(buf, size), "munmap");
	return ret;
}

int dmirror_to_system(int dev, void *addr, unsigned long npages)
{
	return dmirror_ioctl(dev, HMM_DMIRROR_MIGRATE_TO_SYS, addr, npages,
			     NULL, NULL);
}

unsigned int dmirror_prot(int dev, const void *addr)
{
	unsigned char prot = 0;
	int ret = dmirror_ioctl(dev, HMM_DMIRROR_SNAPSHOT, addr, 1, &prot,
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
	int ret = dmirror_ioctl(dev, HMM_DMIRROR_CHECK_EXCLUSIVE, addr, 1, NULL,
				NULL);

	require(!ret || ret == -EPERM, "CHECK_EXCLUSIVE: %s", strerror(-ret));
	return ret == -EPERM;
}

bool dmirror_page_intact(int dev, const void *addr, uint64_t seed,
			 uint64_t *faults)
{
	static char buf[PAGE_SIZE] __aligned(PAGE_SIZE);
	int ret = dmirror_read(dev, addr, buf, faults);

	require(!ret, "DMIRROR_READ: %s", strerror(-ret));
	return page_intact(buf, seed);
}

/* An entry that mprotect() made readable is of another type on U. */
static void calibrate(int dev)
{
	char *page = anon_map(PAGE_SIZE, MADV_NOHUGEPAGE);
	uint64_t pfn;
	int ret;

	page_fill(page, 0);
	pfn = page_facts(page).pfn;
	require(pfn, "pagemap shows no PFN: not root?");
	ret = dmirror_exclusive(dev, page, 1);
	require(!ret, "EXCLUSIVE: %s", strerror(-ret));
	learn_exclusive_type(pagemap_entry(page), pfn);
	require_errno(!mprotect(page, PAGE_SIZE, PROT_READ), "mprotect");
	learn_exclusive_type(pagemap_entry(page), pfn);
	require_errno(!munmap(page, PAGE_SIZE), "munmap");
}

static int open_device(int nr)
{
	char path[32];
	int dev;

	snprintf(path, sizeof(path), DMIRROR_DEVICE, nr);
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
