// SPDX-License-Identifier: GPL-2.0
/* Memory that a device has exclusive access to. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"
#include "rmaplab.h"

#define STRIDE	(2 * PAGE_SIZE)

char *spaced_page(const struct spaced *e, int i)
{
	return e->base + i * STRIDE + PAGE_SIZE;
}

struct page_facts spaced_facts(const struct spaced *e, int i)
{
	return page_facts(spaced_page(e, i));
}

struct spaced spaced_map_for(int dev, int nr)
{
	struct spaced e = { .nr = nr, .dev = dev };
	struct page_facts p;
	int i;

	e.base = anon_map(nr * STRIDE, MADV_NOHUGEPAGE);
	postmortem_pages("exclusive", e.base, 2 * nr);
	for (i = 0; i < nr; i++) {
		page_fill(spaced_page(&e, i), i);
		p = spaced_facts(&e, i);
		require(is_present(p.pagemap) && p.count == 1,
			"page %d is not mapped once: count=%lld", i,
			(long long)p.count);
		watch_pfn(p.pfn);
	}
	return e;
}

struct spaced spaced_map(int nr)
{
	return spaced_map_for(dmirror_open(), nr);
}

/* An unpatched kernel returns -EBUSY if the folio is locked at that moment. */
static int exclusive_with_retry(int dev, const void *addr)
{
	int ret, busy;

	ret = dmirror_exclude(dev, addr, dmirror_buffer(1), &busy);
	if (busy)
		diag("EXCLUSIVE: EBUSY %d times", busy);
	return ret;
}

void spaced_make_exclusive(struct spaced *e)
{
	int i, ret;

	for (i = 0; i < e->nr; i++) {
		uint64_t pfn = spaced_facts(e, i).pfn;
		struct page_facts p;

		ret = exclusive_with_retry(e->dev, spaced_page(e, i));
		require(!ret, "EXCLUSIVE on page %d: %s", i, strerror(-ret));
		p = spaced_facts(e, i);
		require(is_exclusive(p.pagemap) && p.pfn == pfn,
			"page %d is not exclusive: pagemap=%#llx", i,
			(unsigned long long)p.pagemap);
	}
	require(spaced_mirrored(e) == e->nr, "the device mirrors %d of %d pages",
		spaced_mirrored(e), e->nr);
}

void spaced_to_device(struct spaced *e)
{
	int i, ret;

	/* A page on its way to the LRU cannot be isolated from it. */
	drain_lru_caches();
	for (i = 0; i < e->nr; i++) {
		ret = dmirror_to_device(e->dev, spaced_page(e, i), 1);
		require(!ret, "MIGRATE_TO_DEV of page %d: %s", i,
			strerror(-ret));
	}
	require(spaced_on_device(e) == e->nr, "%d of %d pages are on the device",
		spaced_on_device(e), e->nr);
}

struct spaced spaced_map_on_device(enum device_memory kind, int nr)
{
	int dev = kind == DEVICE_PRIVATE ? dmirror_open_private() :
					   dmirror_open_coherent();
	struct spaced e = spaced_map_for(dev, nr);

	spaced_to_device(&e);
	return e;
}

/*
 * Coherent memory is where the kernel has no RAM.  What kpageflags says of it
 * differs between kernels.
 */
static bool is_coherent(uint64_t pagemap)
{
	return is_present(pagemap) &&
	       !has_ram(PM_PFN(pagemap), PM_PFN(pagemap));
}

int spaced_device_ptes(const struct spaced *e, enum device_memory kind)
{
	return spaced_count(e, kind == DEVICE_PRIVATE ? is_device_private :
							is_coherent);
}

int spaced_on_device(const struct spaced *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += dmirror_has_page(e->dev, spaced_page(e, i));
	return n;
}

void spaced_print(const struct spaced *e)
{
	struct page_facts p;
	int i;

	for (i = 0; i < e->nr; i++) {
		p = spaced_facts(e, i);
		print_page(i, &p);
	}
}

int spaced_count(const struct spaced *e, bool (*is)(uint64_t pagemap))
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += is(pagemap_entry(spaced_page(e, i)));
	return n;
}

int spaced_mapcounts(const struct spaced *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += spaced_facts(e, i).count;
	return n;
}

int spaced_flagged(const struct spaced *e, uint64_t flag)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += !!(spaced_facts(e, i).flags & flag);
	return n;
}

int spaced_mirrored(const struct spaced *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += dmirror_has_exclusive(e->dev, spaced_page(e, i));
	return n;
}

int spaced_intact(const struct spaced *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += page_intact(spaced_page(e, i), i);
	return n;
}

/* MLOCK_ONFAULT, or the untouched pages would be faulted in. */
void spaced_mlock(const struct spaced *e)
{
	require_errno(!mlock2(e->base, e->nr * STRIDE, MLOCK_ONFAULT),
		      "mlock2");
}

void spaced_munlock(const struct spaced *e)
{
	require_errno(!munlock(e->base, e->nr * STRIDE), "munlock");
}

void partial_thp_make(int dev, char *head)
{
	int exclusive, ret;

	/* An unpatched kernel converts all PTEs, then says -EBUSY. */
	ret = dmirror_exclusive(dev, head, HPAGE_NR);
	diag("EXCLUSIVE(head, %d): %s", HPAGE_NR, ret ? strerror(-ret) : "0");
	require(!ret || ret == -EBUSY, "EXCLUSIVE on a THP");
	exclusive = count_ptes(head, HPAGE_NR, is_exclusive);
	require(exclusive == HPAGE_NR, "%d of %d PTEs are exclusive", exclusive,
		HPAGE_NR);
	require(page_intact(head, 0), "page 0 lost its data");
	require(is_present(pagemap_entry(head)), "page 0 is not present");
	exclusive = count_ptes(head, HPAGE_NR, is_exclusive);
	require(exclusive == HPAGE_NR - 1,
		"%d of %d PTEs are still exclusive", exclusive, HPAGE_NR - 1);
}

char *partial_thp_map(int dev)
{
	char *head = thp_map();

	partial_thp_make(dev, head);
	return head;
}
