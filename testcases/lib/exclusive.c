// SPDX-License-Identifier: GPL-2.0
/* E0 and ET: memory that a device has exclusive access to. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define E0_STRIDE	(2 * PAGE_SIZE)
#define MAX_TRIES	100

char *e0_page(const struct e0 *e, int i)
{
	return e->base + i * E0_STRIDE + PAGE_SIZE;
}

struct page_facts e0_facts(const struct e0 *e, int i)
{
	return page_facts(e0_page(e, i));
}

struct e0 e0_map_for(int dev, int nr)
{
	struct e0 e = { .nr = nr, .dev = dev };
	struct page_facts p;
	int i;

	e.base = anon_map(nr * E0_STRIDE, MADV_NOHUGEPAGE);
	postmortem_pages("E0", e.base, 2 * nr);
	for (i = 0; i < nr; i++) {
		page_fill(e0_page(&e, i), i);
		p = e0_facts(&e, i);
		require(is_present(p.pagemap) && p.count == 1,
			"page %d is not mapped once: count=%lld", i,
			(long long)p.count);
		watch_pfn(p.pfn);
	}
	return e;
}

struct e0 e0_map(int nr)
{
	return e0_map_for(dmirror_open(), nr);
}

/* U returns -EBUSY when somebody else has the folio locked at that moment. */
static int exclusive_with_retry(int dev, const void *addr)
{
	int ret, tries = 0;

	do {
		ret = dmirror_exclusive(dev, addr, 1);
	} while (ret == -EBUSY && ++tries < MAX_TRIES);
	if (tries)
		diag("EXCLUSIVE: EBUSY %d times", tries);
	return ret;
}

void e0_make_exclusive(struct e0 *e)
{
	int i, ret;

	for (i = 0; i < e->nr; i++) {
		uint64_t pfn = e0_facts(e, i).pfn;
		struct page_facts p;

		ret = exclusive_with_retry(e->dev, e0_page(e, i));
		require(!ret, "EXCLUSIVE on page %d: %s", i, strerror(-ret));
		p = e0_facts(e, i);
		require(is_exclusive(p.pagemap) && p.pfn == pfn,
			"page %d is not exclusive: pagemap=%#llx", i,
			(unsigned long long)p.pagemap);
	}
	require(e0_mirrored(e) == e->nr, "the device mirrors %d of %d pages",
		e0_mirrored(e), e->nr);
}

void e0_to_device(struct e0 *e)
{
	int i, ret;

	/* A page on its way to the LRU cannot be isolated from it. */
	drain_lru_caches();
	for (i = 0; i < e->nr; i++) {
		ret = dmirror_to_device(e->dev, e0_page(e, i), 1);
		require(!ret, "MIGRATE_TO_DEV of page %d: %s", i,
			strerror(-ret));
	}
	require(e0_on_device(e) == e->nr, "%d of %d pages are on the device",
		e0_on_device(e), e->nr);
}

struct e0 e0_map_on_device(enum device_memory kind, int nr)
{
	int dev = kind == DEVICE_PRIVATE ? dmirror_open_private() :
					   dmirror_open_coherent();
	struct e0 e = e0_map_for(dev, nr);

	e0_to_device(&e);
	return e;
}

/* kpageflags shows no page where the kernel does not own the memory. */
int e0_device_ptes(const struct e0 *e, enum device_memory kind)
{
	if (kind == DEVICE_PRIVATE)
		return e0_count(e, is_device_private);
	return e0_count(e, is_present) ? e0_flagged(e, PF_NOPAGE) : 0;
}

int e0_on_device(const struct e0 *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += dmirror_has_page(e->dev, e0_page(e, i));
	return n;
}

void e0_print(const struct e0 *e)
{
	struct page_facts p;
	int i;

	for (i = 0; i < e->nr; i++) {
		p = e0_facts(e, i);
		print_page(i, &p);
	}
}

int e0_count(const struct e0 *e, bool (*is)(uint64_t pagemap))
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += is(pagemap_entry(e0_page(e, i)));
	return n;
}

int e0_mapcounts(const struct e0 *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += e0_facts(e, i).count;
	return n;
}

int e0_flagged(const struct e0 *e, uint64_t flag)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += !!(e0_facts(e, i).flags & flag);
	return n;
}

int e0_mirrored(const struct e0 *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += dmirror_has_exclusive(e->dev, e0_page(e, i));
	return n;
}

int e0_intact(const struct e0 *e)
{
	int i, n = 0;

	for (i = 0; i < e->nr; i++)
		n += page_intact(e0_page(e, i), i);
	return n;
}

/* MLOCK_ONFAULT, or the untouched pages would be faulted in. */
void e0_mlock(const struct e0 *e)
{
	require_errno(!mlock2(e->base, e->nr * E0_STRIDE, MLOCK_ONFAULT),
		      "mlock2");
}

void e0_munlock(const struct e0 *e)
{
	require_errno(!munlock(e->base, e->nr * E0_STRIDE), "munlock");
}

void et_make(int dev, char *head)
{
	int exclusive, ret;

	/* U converts all PTEs with the head's and then reports -EBUSY. */
	ret = dmirror_exclusive(dev, head, HPAGE_NR);
	diag("EXCLUSIVE(head, 512): %s", ret ? strerror(-ret) : "0");
	require(!ret || ret == -EBUSY, "EXCLUSIVE on a THP");
	exclusive = count_ptes(head, HPAGE_NR, is_exclusive);
	require(exclusive == HPAGE_NR, "%d of 512 PTEs are exclusive", exclusive);
	require(page_intact(head, 0), "page 0 lost its data");
	require(is_present(pagemap_entry(head)), "page 0 is not present");
	exclusive = count_ptes(head, HPAGE_NR, is_exclusive);
	require(exclusive == HPAGE_NR - 1,
		"%d of 511 PTEs are still exclusive", exclusive);
}

char *et_map(int dev)
{
	char *head = thp_map();

	et_make(dev, head);
	return head;
}
