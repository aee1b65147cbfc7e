/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How many page table entries map each page: by the page tables of every
 * process, as /proc/PID/maps and /proc/PID/pagemap show them.
 */
#ifndef AGENT_PTE_COUNT_H
#define AGENT_PTE_COUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What is remembered of a page: how many entries map it, and how. */
#define PTES_COUNT		0x00ffffffU
#define PTES_EXCLUSIVE		(1U << 24)	/* by a device-exclusive entry */
#define PTES_MIGRATION		(1U << 25)	/* a migration entry names it */
#define PTES_ANON		(1U << 26)	/* in private memory, no file */
#define PTES_SHARED		(1U << 27)	/* in a shared mapping */

#define BLOCK_PAGES		64UL

struct pte_counts {
	uint32_t *page;		/* by PFN: PTES_* */
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

/* One entry of a process's page tables. */
struct mapping {
	pid_t pid;
	bool shared;
	bool anon;		/* private, and no file behind it */
	unsigned long addr;
	uint64_t entry;		/* as pagemap shows it */
};

extern struct pte_counts pte_counts;

bool pte_count_init(void);
/* At the start of a run: no page was found anywhere. */
void pte_count_forget_blocks(void);
/* Give back what memory that was plugged in needed. */
void pte_count_shrink(void);
/*
 * Count.  With TRUST_KERNEL_THREADS those that were there at boot are not
 * looked at again.
 */
bool pte_count(bool trust_kernel_threads);
/* The page of an entry that maps it, or counts as if: false if none does. */
bool pte_page(uint64_t entry, uint64_t *pfn, uint32_t *how);
void each_pte(void (*visit)(const struct mapping *m), bool trust_kernel_threads);

#endif /* AGENT_PTE_COUNT_H */
