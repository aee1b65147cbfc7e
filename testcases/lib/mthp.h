/* SPDX-License-Identifier: GPL-2.0 */
/* Large folios of the orders below a PMD: Documentation/admin-guide/mm/transhuge.rst */
#ifndef MTHP_H
#define MTHP_H

#include "rmaplab.h"

/*
 * One populated folio of 1 << ORDER pages, page i filled with seed i; no other
 * order is allowed meanwhile.  Skips if the kernel has no such order.
 */
char *mthp_map(int order);
/* The same, NR of them one behind the other, all pages filled with their number. */
char *mthp_map_some(int order, int nr);
/*
 * NR folios of 1 << ORDER pages in a new file of tmpfs, mapped shared at an address
 * that a PMD could map.  Page i is filled with seed i, or (FILL is false) only read:
 * then it is zero, and neither PTE nor folio is dirty.
 */
char *mthp_shmem_map(int order, int nr, int *file, bool fill);
/* Address space where NR pages lie half below and half above the edge of a PMD. */
char *over_pmd_edge(int nr);
/* Move NR pages there, so that a folio of FOLIO pages lies over the edge itself. */
char *move_over_pmd_edge(char *addr, int nr, int folio);
/* Whether the 1 << ORDER pages at ADDR are one folio of that order. */
bool is_folio(const void *addr, int order);
/* A counter of hugepages-*kB/stats; -1 on kernels without it. */
long long mthp_stat(int order, const char *name);

/* Let no CPU that we run on remember what PTEs said: young bits are set anew. */
void forget_tlb(void);
/* /proc/self/clear_refs: "1" referenced, "4" soft-dirty. */
void clear_refs(const char *what);

/*
 * A mask says of which pages something holds, bit i of page i; beyond 64 pages it
 * is repeated.  These have runs of different lengths, and neither starts nor ends
 * with a folio.
 */
#define MASK_RUNS	0xe1f03c4b96d10f5aULL
#define MASK_TAIL	0x8020100880204020ULL

void each_in(uint64_t mask, char *addr, int nr,
	     void (*touch)(char *page, int i));
/* Check that is_*() holds of the pages of the mask, and of no other. */
void check_mask(const char *what, uint64_t mask, const char *addr, int nr,
		bool (*is)(uint64_t pagemap));

/* A subtest for every order from 16 kB to 1 MB: what subtest_arg() says. */
#define OF_ORDER(order, label, fn)					\
	{ .name = label "-order-" #order, .run = fn, .arg = order }

#endif /* MTHP_H */
