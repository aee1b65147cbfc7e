// SPDX-License-Identifier: GPL-2.0
/* The kernel's mapcounts against the counted entries: see kpagecount.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guest.h"
#include "kernel_abi.h"
#include "kpagecount.h"
#include "protocol.h"
#include "pte_count.h"
#include "ram.h"

#define CHUNK		4096UL	/* PFNs a read */

bool no_page_mapcount;

/*
 * zsmalloc keeps an offset in page->page_type, which is where the mapcount is:
 * so its pages seem to be mapped.  Since 6.11 they have a type of their own,
 * and kpagecount shows 0 (commit 43d746dc49bb).
 */
static bool zsmalloc_has_mapcount;

static int count_fd = -1, flags_fd = -1, vmstat_fd = -1, refresh_fd = -1;
static uint64_t count[CHUNK], flags[CHUNK];

bool kpagecount_init(void)
{
	zsmalloc_has_mapcount = !kernel_is_at_least(6, 11);
	count_fd = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC);
	flags_fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	vmstat_fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	refresh_fd = open("/proc/sys/vm/stat_refresh", O_RDONLY | O_CLOEXEC);
	return count_fd >= 0 && flags_fd >= 0 && vmstat_fd >= 0 &&
	       refresh_fd >= 0;
}

const char *mismatch_kind_name(enum mismatch_kind kind)
{
	static const char *const names[] = {
		[COUNT] = MISMATCH_COUNT,
		[EXCLUSIVE] = MISMATCH_EXCLUSIVE,
		[NOT_FOUND] = MISMATCH_NOT_FOUND,
		[FLAGS] = MISMATCH_FLAGS,
		[MIGRATION] = MISMATCH_MIGRATION,
	};

	return names[kind];
}

/* -- single pages -------------------------------------------------------- */

static uint64_t flags_of(uint64_t pfn)
{
	uint64_t value = KPF_NOPAGE;

	if (pread(flags_fd, &value, sizeof(value), pfn * sizeof(value)) < 0)
		return KPF_NOPAGE;
	return value;
}

static uint64_t head_of(uint64_t pfn, uint64_t its_flags)
{
	while (pfn && its_flags & KPF_COMPOUND_TAIL)
		its_flags = flags_of(--pfn);
	return pfn;
}

static uint64_t mix(uint64_t digest, uint64_t value)
{
	return (digest ^ value) * 0x100000001b3ULL;	/* FNV-1a, a word a step */
}

static void mismatch(struct comparison *c, enum mismatch_kind kind, uint64_t pfn,
		     long claimed, uint64_t its_flags)
{
	long counted = pte_counts.page[pfn] & PTES_COUNT;

	c->digest = mix(mix(c->digest, pfn * 8 + kind), counted << 24 ^ claimed);
	c->mismatches++;
	c->kind[kind]++;
	if (c->nr_listed == AUDIT_LISTED)
		return;
	c->listed[c->nr_listed++] = (struct mismatch){
		.kind = kind,
		.pfn = pfn,
		.head = head_of(pfn, its_flags),
		.flags = its_flags,
		.counted = counted,
		.claimed = claimed,
	};
}

/* What speaks against the flags of a page that is mapped. */
static bool flags_fit(uint32_t found, uint64_t f)
{
	if (!(f & KPF_MMAP))
		return false;
	if (f & KPF_HUGE)
		return true;
	if (found & PTES_SHARED)
		return !(f & KPF_ANON);
	return f & KPF_ANON || !(found & (PTES_ANON | PTES_EXCLUSIVE));
}

/* The kernel's sums count a page once, however often it is mapped. */
static void add_to_sums(struct comparison *c, uint64_t f)
{
	if (f & KPF_HUGE)
		return;
	if (f & KPF_ANON)
		c->anon++;
	else
		c->file++;
}

/*
 * Nobody maps it, and it is on no LRU, in no file and not anonymous.  There
 * must not be more of them than the kernel has pages of zsmalloc.
 */
static bool may_be_zsmalloc(uint32_t found, uint64_t f)
{
	return zsmalloc_has_mapcount && !found && !(f & ~(KPF_MMAP | KPF_PRIVATE));
}

static void compare_page(struct comparison *c, uint64_t pfn, long claimed,
			 uint64_t f)
{
	uint32_t found = pte_counts.page[pfn];
	long counted = found & PTES_COUNT;

	if (!found && !claimed)
		return;
	c->pages++;
	if (f & KPF_ZERO_PAGE) {
		c->zero++;
		return;
	}
	/* Of device memory kpageflags says KPF_NOPAGE, or nothing (since 7.2). */
	if (f & KPF_NOPAGE || !ram_has(pfn)) {
		c->device++;
		return;
	}
	if (no_page_mapcount && f & (KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL)) {
		c->large++;
		return;
	}
	if (may_be_zsmalloc(found, f)) {
		c->zsmalloc++;
		return;
	}
	if (claimed)
		add_to_sums(c, f);
	if (found & PTES_MIGRATION)
		mismatch(c, MIGRATION, pfn, claimed, f);
	else if (!counted)
		mismatch(c, NOT_FOUND, pfn, claimed, f);
	else if (counted != claimed)
		mismatch(c, found & PTES_EXCLUSIVE ? EXCLUSIVE : COUNT, pfn,
			 claimed, f);
	else if (!flags_fit(found, f))
		mismatch(c, FLAGS, pfn, claimed, f);
}

/* -- ranges -------------------------------------------------------------- */

static bool read_array(int fd, uint64_t *to, uint64_t pfn, unsigned long nr)
{
	size_t bytes = nr * sizeof(*to);
	ssize_t n;

	/* Behind the last PFN there is nothing: no count, no page. */
	memset(to, 0, bytes);
	n = pread(fd, to, bytes, pfn * sizeof(*to));
	return n >= 0;
}

static bool any_claimed(const uint64_t *counts)
{
	unsigned long i;

	for (i = 0; i < BLOCK_PAGES; i++)
		if (counts[i])
			return true;
	return false;
}

/* NR PFNs from PFN, of which the counts are read. */
static bool compare_blocks(struct comparison *c, uint64_t pfn, unsigned long nr)
{
	unsigned long b, i;

	for (b = 0; b < nr; b += BLOCK_PAGES) {
		if (!pte_counts.block[(pfn + b) / BLOCK_PAGES] &&
		    !any_claimed(count + b))
			continue;
		if (!read_array(flags_fd, flags, pfn + b, BLOCK_PAGES))
			return false;
		for (i = 0; i < BLOCK_PAGES; i++)
			compare_page(c, pfn + b + i, count[b + i], flags[i]);
	}
	return true;
}

static bool compare_found(struct comparison *c)
{
	unsigned long b, nr = pte_counts.nr_pfns / BLOCK_PAGES;

	for (b = 0; b < nr; b++) {
		if (!pte_counts.block[b])
			continue;
		if (!read_array(count_fd, count, b * BLOCK_PAGES, BLOCK_PAGES) ||
		    !compare_blocks(c, b * BLOCK_PAGES, BLOCK_PAGES))
			return false;
	}
	return true;
}

static bool compare_chunk(struct comparison *c, uint64_t pfn)
{
	unsigned long nr = pte_counts.nr_pfns - pfn;

	if (nr > CHUNK)
		nr = CHUNK;
	return read_array(count_fd, count, pfn, nr) && compare_blocks(c, pfn, nr);
}

static bool compare_all(struct comparison *c)
{
	uint64_t pfn;

	for (pfn = 0; pfn < pte_counts.nr_pfns; pfn += CHUNK)
		if (!compare_chunk(c, pfn))
			return false;
	return true;
}

/* -- the kernel's sums --------------------------------------------------- */

/* Reading stat_refresh folds the differences of all CPUs. */
static bool read_sums(struct comparison *c)
{
	static char text[32768];
	ssize_t n;

	n = pread(refresh_fd, text, 1, 0);
	n = pread(vmstat_fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return false;
	text[n] = '\0';
	c->nr_anon_pages = number_behind(text, "\nnr_anon_pages ");
	c->nr_mapped = number_behind(text, "\nnr_mapped ");
	c->nr_zspages = number_behind(text, "\nnr_zspages ");
	return true;
}

/*
 * NR_ANON_MAPPED and NR_FILE_MAPPED against the pages with a mapcount: so a page
 * that has one, and that no process maps, shows without a look at every page.
 * Device memory is in the sums and not in kpagecount.
 */
bool sums_agree(const struct comparison *c)
{
	if (c->zsmalloc && c->zsmalloc > c->nr_zspages)
		return false;
	if (pte_counts.device || c->device || c->large)
		return true;
	return c->anon == c->nr_anon_pages && c->file == c->nr_mapped;
}

bool kpagecount_compare(struct comparison *c, bool every_page)
{
	memset(c, 0, sizeof(*c));
	if (!(every_page ? compare_all(c) : compare_found(c)) || !read_sums(c))
		return false;
	if (!sums_agree(c))
		c->digest = mix(mix(mix(c->digest, c->anon - c->nr_anon_pages),
				    c->file - c->nr_mapped), c->zsmalloc);
	return true;
}
