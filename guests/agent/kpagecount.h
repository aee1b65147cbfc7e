/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's mapcounts against the counted page table entries:
 * /proc/kpagecount, /proc/kpageflags and /proc/vmstat.
 */
#ifndef AGENT_KPAGECOUNT_H
#define AGENT_KPAGECOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

/*
 * How a page differs: in its count; the same, while device-exclusive entries
 * are among those that map it; it has a mapcount and is not mapped; its flags;
 * migration entries that nobody removes.
 */
enum mismatch_kind { COUNT, EXCLUSIVE, NOT_FOUND, FLAGS, MIGRATION, NR_KINDS };

struct mismatch {
	enum mismatch_kind kind;
	uint64_t pfn, head, flags;
	long counted;		/* entries */
	long claimed;		/* the mapcount */
};

struct comparison {
	long pages;		/* compared */
	long mismatches;
	long kind[NR_KINDS];	/* how many of each */
	int nr_listed;
	struct mismatch listed[AUDIT_LISTED];
	uint64_t digest;	/* of all mismatches */
	long zero, device, large, zsmalloc;	/* pages left out */
	/* Pages with a mapcount, and the kernel's own sums of them. */
	long anon, file;
	long long nr_anon_pages, nr_mapped, nr_zspages;
};

/*
 * CONFIG_NO_PAGE_MAPCOUNT: the pages of a large folio have no mapcount of
 * their own, and kpagecount shows an average.
 */
extern bool no_page_mapcount;

bool kpagecount_init(void);
/*
 * Compare with the entries counted last: every page, or those of the blocks
 * where pages were found.  False: /proc cannot be read.
 */
bool kpagecount_compare(struct comparison *c, bool every_page);
bool sums_agree(const struct comparison *c);
const char *mismatch_kind_name(enum mismatch_kind kind);

#endif /* AGENT_KPAGECOUNT_H */
