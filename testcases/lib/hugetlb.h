/* SPDX-License-Identifier: GPL-2.0 */
/* Huge pages from the hugetlb pool that the setting hugetlb-2m made. */
#ifndef HUGETLB_H
#define HUGETLB_H

#include "rmaplab.h"

/* NR huge pages, each filled page by page with seed i * HPAGE_NR + j; else skips. */
char *hugetlb_map(int nr, int flags);
/* A file of huge pages, and a mapping of NR pages of it at page OFFSET. */
int hugetlb_file(int nr);
char *hugetlb_map_file(int fd, int nr, int offset);
void hugetlb_fill(char *addr, int nr);
int hugetlb_intact(const char *addr, int nr);
/* Free pages of the pool, on all nodes or on one. */
long long hugetlb_free(void);
long long hugetlb_free_on(int node);
bool is_hugetlb(const void *addr);

#endif /* HUGETLB_H */
