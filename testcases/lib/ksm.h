/* SPDX-License-Identifier: GPL-2.0 */
/* Merging of equal pages: Documentation/admin-guide/mm/ksm.rst */
#ifndef KSM_H
#define KSM_H

#include "rmaplab.h"

/* Skips without KSM.  ksmd rests until ksm_merge(). */
void require_ksm(void);
/*
 * NR mergeable pages with the data of seed 0, at one address in every sharer,
 * each with a page of its own: ksm_map() is for before sharers_fork(),
 * ksm_fill() for after it.
 */
char *ksm_map(int nr);
void ksm_fill(char *addr, int nr);
/*
 * Scan until all of them are one page; then ksmd rests.  More than 255 would
 * not become one (ksm/max_page_sharing).
 */
void ksm_merge(const void *addr, int nr);
/* How many of the pages of all sharers have the data of seed 0. */
int ksm_intact(char *addr, int nr);
/* How many of the NR * sharers PTEs map the page with that PFN. */
int ksm_mapping(const void *addr, int nr, uint64_t pfn);
/* Take every KSM page apart: ksm/run = 2. */
void ksm_unmerge(void);
long long ksm_number(const char *file);

#endif /* KSM_H */
