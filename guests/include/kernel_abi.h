/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Formats of the kernel's that no header of user space has, or that a header
 * older than the kernel under test lacks.
 */
#ifndef RMAPLAB_KERNEL_ABI_H
#define RMAPLAB_KERNEL_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <stdint.h>

/* Of arrays that hold a page: no architecture of ours has larger ones. */
#define MAX_PAGE_SIZE		65536

/* -- /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst --------- */

#define PM_PFN_MASK		((1ULL << 55) - 1)
#define PM_SOFT_DIRTY		(1ULL << 55)
#define PM_MMAP_EXCLUSIVE	(1ULL << 56)
#define PM_UFFD_WP		(1ULL << 57)
#define PM_FILE			(1ULL << 61)	/* of a file, or shared memory */
#define PM_SWAP			(1ULL << 62)
#define PM_PRESENT		(1ULL << 63)

#define PM_PFN(e)		((e) & PM_PFN_MASK)
/* Of an entry with PM_SWAP: 5 bits of type, then the offset. */
#define PM_SWAP_TYPE_BITS	5
#define PM_SWAP_TYPE(e)		((e) & ((1 << PM_SWAP_TYPE_BITS) - 1))
#define PM_SWAP_OFFSET(e)	(PM_PFN(e) >> PM_SWAP_TYPE_BITS)

/* -- /proc/kpageflags: include/uapi/linux/kernel-page-flags.h ------------ */

#define KPF_REFERENCED		(1ULL << 2)
#define KPF_LRU			(1ULL << 5)
#define KPF_SLAB		(1ULL << 7)
#define KPF_BUDDY		(1ULL << 10)
#define KPF_MMAP		(1ULL << 11)
#define KPF_ANON		(1ULL << 12)
#define KPF_SWAPCACHE		(1ULL << 13)
#define KPF_SWAPBACKED		(1ULL << 14)
#define KPF_COMPOUND_HEAD	(1ULL << 15)
#define KPF_COMPOUND_TAIL	(1ULL << 16)
#define KPF_HUGE		(1ULL << 17)	/* of hugetlb */
#define KPF_UNEVICTABLE		(1ULL << 18)
#define KPF_HWPOISON		(1ULL << 19)
#define KPF_NOPAGE		(1ULL << 20)
#define KPF_KSM			(1ULL << 21)
#define KPF_THP			(1ULL << 22)
#define KPF_ZERO_PAGE		(1ULL << 24)
#define KPF_IDLE		(1ULL << 25)
#define KPF_PGTABLE		(1ULL << 26)
/* include/linux/kernel-page-flags.h, the kernel's own */
#define KPF_RESERVED		(1ULL << 32)
#define KPF_MLOCKED		(1ULL << 33)
#define KPF_PRIVATE		(1ULL << 35)

/* -- swap entry types: include/linux/swap.h ------------------------------ */

/*
 * From the highest type down: PTE markers, device-exclusive (1 or 2 types),
 * device-private (2), migration (3), hwpoison; swap areas have the types from 0
 * up.  How many types device-exclusive entries have differs between trees:
 * guest.h learns it.
 */
#define SWAP_TYPES_PRIVATE	2
#define SWAP_TYPES_MIGRATION	3
/* The offset of a PTE marker is a few flag bits: include/linux/swapops.h. */
#define SWAP_MARKER_OFFSETS	16

/* -- swap header: include/linux/swap.h, union swap_header ---------------- */

#define SWAP_INFO_OFFSET	1024	/* behind the boot block */
#define SWAP_MAGIC		"SWAPSPACE2"	/* ends the page, without a NUL */
#define SWAP_MAGIC_BYTES	10

struct swap_info {
	uint32_t version;	/* 1 */
	uint32_t last_page;
	uint32_t nr_badpages;
};

/* -- /dev/hmm_dmirror*: lib/test_hmm_uapi.h, the same from Linux 6.1 on --- */

/* 0 and 1 have device private memory, 2 and 3 coherent memory. */
#define DMIRROR_DEVICE		"/dev/hmm_dmirror"

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

/* -- PAGEMAP_SCAN: include/uapi/linux/fs.h, since 6.7 -------------------- */

/* Names of our own, since <linux/fs.h> may have the kernel's. */
struct scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

struct scan_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

#define SCAN_PAGEMAP		_IOWR('f', 16, struct scan_arg)
#define SCAN_IS_WRITTEN		(1ULL << 1)
#define SCAN_IS_HUGE		(1ULL << 6)	/* mapped by a PMD */
#define SCAN_WP_MATCHING	(1ULL << 0)
#define SCAN_CHECK_WPASYNC	(1ULL << 1)

#endif /* RMAPLAB_KERNEL_ABI_H */
