// SPDX-License-Identifier: GPL-2.0
/*
 * Which swap types device-exclusive entries have: the numbers depend on the
 * tree and its configuration.  A child makes two such entries of its own
 * through lib/test_hmm and looks, the first time that the census meets an entry
 * of unknown type.  So a cell that never uses the device never touches that code.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "audit.h"

#define DMIRROR_DEVICE	"/dev/hmm_dmirror0"
#define PAGE_SIZE	4096UL
#define MAX_TRIES	100

/* lib/test_hmm_uapi.h, not exported; the same from Linux 6.1 on. */
struct hmm_dmirror_cmd {
	__u64 addr;
	__u64 ptr;
	__u64 npages;
	__u64 cpages;
	__u64 faults;
};

#define HMM_DMIRROR_EXCLUSIVE	_IOWR('H', 0x05, struct hmm_dmirror_cmd)

static enum { UNKNOWN, KNOWN, NO_DEVICE, FAILED } state;
static uint32_t types;

uint32_t exclusive_types(void)
{
	return types;
}

static uint64_t pagemap_entry(int pagemap, const void *addr)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, sizeof(entry),
		  (uintptr_t)addr / PAGE_SIZE * sizeof(entry)) < 0)
		return 0;
	return entry;
}

static bool make_exclusive(int dev, void *page, void *buf)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)page,
		.ptr = (uintptr_t)buf,
		.npages = 1,
	};
	int ret, tries = 0;

	/* -EBUSY: somebody had the folio locked at that moment. */
	do {
		ret = ioctl(dev, HMM_DMIRROR_EXCLUSIVE, &cmd);
	} while (ret && (errno == EBUSY || errno == EINTR) &&
		 ++tries < MAX_TRIES);
	return !ret;
}

/* The type of an entry that took a present one's place and has its PFN. */
static int type_of(uint64_t entry, uint64_t pfn)
{
	if (entry & PM_PRESENT || !(entry & PM_SWAP) ||
	    PM_SWAP_OFFSET(entry) != pfn)
		return 0;
	return PM_SWAP_TYPE(entry);
}

/* Exits with 0 and the types in TO, or with 1. */
static void __noreturn look(int dev, volatile uint32_t *to)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *page = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int write_type, read_type;
	uint64_t pfn;

	if (dev < 0 || pagemap < 0 || page == MAP_FAILED)
		_exit(1);
	madvise(page, 4 * PAGE_SIZE, MADV_NOHUGEPAGE);
	/* dmirror's invalidation also drops the page behind a range. */
	page += PAGE_SIZE;
	*(volatile char *)page = 1;
	pfn = PM_PFN(pagemap_entry(pagemap, page));
	if (!pfn || !make_exclusive(dev, page, page + 2 * PAGE_SIZE))
		_exit(1);
	write_type = type_of(pagemap_entry(pagemap, page), pfn);
	/* Before 6.15 a readable entry is of a type of its own. */
	mprotect(page, PAGE_SIZE, PROT_READ);
	read_type = type_of(pagemap_entry(pagemap, page), pfn);
	if (!write_type || !read_type)
		_exit(1);
	*to = 1U << write_type | 1U << read_type;
	_exit(0);
}

static void learn(void)
{
	volatile uint32_t *shared;
	int status = 1;
	pid_t pid;

	shared = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return;
	pid = fork();
	/* The device mirrors the process that opens it: not the agent. */
	if (!pid)
		look(open(DMIRROR_DEVICE, O_RDWR | O_CLOEXEC), shared);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && !status) {
		types = *shared;
		state = KNOWN;
	}
	munmap((void *)shared, PAGE_SIZE);
}

void exclusive_types_learn(void)
{
	if (state != UNKNOWN)
		return;
	state = FAILED;
	if (access(DMIRROR_DEVICE, F_OK))
		state = NO_DEVICE;
	else
		learn();
}

/* 0: known.  -ENODEV: no device, so no such entries.  -EIO: it failed. */
int exclusive_types_state(void)
{
	switch (state) {
	case KNOWN:
		return 0;
	case NO_DEVICE:
		return -ENODEV;
	case FAILED:
		return -EIO;
	default:
		return -EAGAIN;
	}
}
