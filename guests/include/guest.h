/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the agent and the testcases both ask the kernel.  Nothing here prints,
 * allocates or ends a process: a function returns an error, and its caller
 * decides.
 */
#ifndef RMAPLAB_GUEST_H
#define RMAPLAB_GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel_abi.h"

/* -- sizes --------------------------------------------------------------- */

#define HPAGE_PMD_SIZE		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

/* The size of a page in bytes; from the auxiliary vector, without a syscall. */
static inline unsigned long ask_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/*
 * The memory that a PMD maps, in bytes.  A kernel without THP does not say; a
 * page table of 8-byte entries fills a page there too.
 */
static inline unsigned long ask_hpage_size(void)
{
	unsigned long page = ask_page_size(), size = 0;
	char text[32];
	ssize_t n;
	int fd;

	fd = open(HPAGE_PMD_SIZE, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		size = strtoul(text, NULL, 10);
		close(fd);
	}
	return size ? size : page * (page / sizeof(uint64_t));
}

/* -- the kernel's version ------------------------------------------------ */

/* 1 or 0; -1 if the kernel's release is no version. */
static inline int kernel_is_at_least(int version, int patchlevel)
{
	struct utsname uts;
	int v, p;

	if (uname(&uts) || sscanf(uts.release, "%d.%d", &v, &p) != 2)
		return -1;
	return v > version || (v == version && p >= patchlevel);
}

/* -- numbers in a file's text -------------------------------------------- */

/* The number behind KEY, wherever that is first; -1 if it is not there. */
static inline long long number_behind(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* -- the LRU ------------------------------------------------------------- */

/*
 * Put the pages that wait in the batches of all CPUs onto the LRU: move_pages()
 * begins with that (do_pages_move(), lru_cache_disable()).  0 or errno.
 */
static inline int drain_lru_batches(void)
{
	static char here = 1;
	void *page = &here;
	int node = 0, status;

	if (syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, MPOL_MF_MOVE))
		return errno;
	return 0;
}

/* -- swap ---------------------------------------------------------------- */

/* Make the first PAGES pages of FD a swap area, as mkswap would: 0 or errno. */
static inline int write_swap_header(int fd, unsigned long pages)
{
	static char page[MAX_PAGE_SIZE];
	size_t size = ask_page_size();
	struct swap_info *info = (struct swap_info *)(page + SWAP_INFO_OFFSET);
	ssize_t n;

	info->version = 1;
	info->last_page = pages - 1;
	memcpy(page + size - SWAP_MAGIC_BYTES, SWAP_MAGIC, SWAP_MAGIC_BYTES);
	n = pwrite(fd, page, size, 0);
	if (n != (ssize_t)size)
		return n < 0 ? errno : EIO;
	return fsync(fd) ? errno : 0;
}

/* -- the emulated device, lib/test_hmm ----------------------------------- */

/*
 * An ioctl of NPAGES pages at ADDR: 0 or -errno.  BUF is for the data that the
 * device read or is to write; FAULTS may be NULL.
 */
static inline int dmirror_call(int dev, unsigned long request, const void *addr,
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

#define MAX_BUSY	100

/* Make a page exclusive.  -EBUSY: others had its folio locked MAX_BUSY times. */
static inline int dmirror_exclude(int dev, const void *page, void *buf, int *busy)
{
	int ret, tries = 0;

	do {
		ret = dmirror_call(dev, HMM_DMIRROR_EXCLUSIVE, page, 1, buf, NULL);
	} while (ret == -EBUSY && ++tries < MAX_BUSY);
	*busy = tries;
	return ret;
}

/* -- swap types of device-exclusive entries ------------------------------ */

/*
 * What pagemap shows of a page that was made exclusive: before, afterwards, and
 * after mprotect(PROT_READ), which before 6.15 changes the entry's type.
 */
struct exclusive_sample {
	uint64_t present, writable, readable;
};

static inline int read_pagemap(int pagemap, const void *addr, uint64_t *entry)
{
	ssize_t n = pread(pagemap, entry, sizeof(*entry),
			  (uintptr_t)addr / ask_page_size() * sizeof(*entry));

	if (n == sizeof(*entry))
		return 0;
	return n < 0 ? -errno : -ENODATA;
}

/*
 * Fill S by means of PAGE, which is written to and left read-only: 0 or -errno.
 * BUF is where the device copies the page to.
 */
static inline int sample_exclusive(int dev, int pagemap, char *page, void *buf,
				   struct exclusive_sample *s)
{
	int ret, busy;

	*(volatile char *)page = 1;
	ret = read_pagemap(pagemap, page, &s->present);
	if (!ret)
		ret = dmirror_exclude(dev, page, buf, &busy);
	if (!ret)
		ret = read_pagemap(pagemap, page, &s->writable);
	if (!ret && mprotect(page, ask_page_size(), PROT_READ))
		ret = -errno;
	if (!ret)
		ret = read_pagemap(pagemap, page, &s->readable);
	return ret;
}

/* The type of an entry that took a present one's place and has its PFN; else 0. */
static inline int type_with_pfn(uint64_t entry, uint64_t pfn)
{
	if (entry & PM_PRESENT || !(entry & PM_SWAP) || !pfn ||
	    PM_SWAP_OFFSET(entry) != pfn)
		return 0;
	return PM_SWAP_TYPE(entry);
}

/* A bit for each swap type of device-exclusive entries; 0: S shows none. */
static inline uint32_t exclusive_types_in(const struct exclusive_sample *s)
{
	uint64_t pfn = PM_PFN(s->present);
	int writable = type_with_pfn(s->writable, pfn);
	int readable = type_with_pfn(s->readable, pfn);

	if (!(s->present & PM_PRESENT) || !writable || !readable)
		return 0;
	return 1U << writable | 1U << readable;
}

#endif /* RMAPLAB_GUEST_H */
