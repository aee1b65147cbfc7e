/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The audit: recount the reverse map from outside the kernel.
 *
 * census.c counts the page table entries that map each page, claims.c compares
 * that with what the kernel says of the page, audit.c serves the workload's
 * marks and reports.  docs/audit.md says what is compared and what is left out.
 */
#ifndef RMAPLAB_AUDIT_H
#define RMAPLAB_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_PFN(e)		((e) & ((1ULL << 55) - 1))
#define PM_SWAP_TYPE(e)		((e) & 0x1f)
#define PM_SWAP_OFFSET(e)	(PM_PFN(e) >> 5)
#define PM_SWAP			(1ULL << 62)
#define PM_PRESENT		(1ULL << 63)

/* What the census remembers of a page: how many entries map it, and how. */
#define FOUND_COUNT		0x00ffffffU
#define FOUND_EXCLUSIVE		(1U << 24)	/* by a device-exclusive entry */
#define FOUND_MIGRATION		(1U << 25)	/* a migration entry names it */
#define FOUND_ANON		(1U << 26)	/* in private memory, no file */
#define FOUND_SHARED		(1U << 27)	/* in a shared mapping */

#define BLOCK_PAGES		64UL

struct census {
	uint32_t *page;		/* by PFN: FOUND_* */
	/* By PFN / BLOCK_PAGES: a page was found there since the run began. */
	uint8_t *block;
	unsigned long nr_pfns;
	int processes;
	long ptes;
	long exclusive;
	/* What no file of /proc says the mapcount of. */
	long device;		/* entries for memory beyond the RAM */
	long special;		/* VMAs of page frames that have no rmap */
	/* Entries of unknown type: to be learned; that could not be. */
	long unlearned, unknown;
};

/* A VMA of a process, and one entry in it. */
struct place {
	pid_t pid;
	bool shared;
	bool anon;		/* private, and no file behind it */
	unsigned long addr;
};

extern struct census census;

bool census_init(void);
void census_forget_blocks(void);
void census_shrink(void);
bool census_take(bool trust_kernel_threads);
/* The page of an entry that maps it, or counts as if: false if none does. */
bool entry_page(uint64_t entry, uint64_t *pfn, uint32_t *how);
void each_entry(void (*visit)(const struct place *at, uint64_t entry),
		bool trust_kernel_threads);

/* exclusive.c: the swap types of device-exclusive entries */
void exclusive_types_learn(void);
int exclusive_types_state(void);	/* 0, -EAGAIN, -ENODEV or -EIO */
uint32_t exclusive_types(void);

/*
 * How a page differs: in its count; the same, while device-exclusive entries
 * are among those that map it; it claims to be mapped and is not; its flags;
 * migration entries that nobody removes.
 */
enum mismatch_kind { COUNT, EXCLUSIVE, NOT_FOUND, FLAGS, MIGRATION, NR_KINDS };

struct mismatch {
	enum mismatch_kind kind;
	uint64_t pfn, head, flags;
	long counted, claimed;
};

#define MAX_LISTED		16

struct claims {
	long pages;		/* compared */
	long mismatches;
	long kind[NR_KINDS];	/* how many of each */
	int nr_listed;
	struct mismatch listed[MAX_LISTED];
	uint64_t digest;	/* of all mismatches */
	long zero, device, large, zsmalloc;	/* pages left out */
	/* Pages that claim to be mapped, and the kernel's own sums. */
	long anon, file;
	long long nr_anon_pages, nr_mapped, nr_zspages;
};

extern bool no_page_mapcount;

bool claims_init(void);
bool claims_compare(struct claims *c, bool every_page);
bool claims_sums_agree(const struct claims *c);
const char *mismatch_kind_name(enum mismatch_kind kind);

#endif /* RMAPLAB_AUDIT_H */
