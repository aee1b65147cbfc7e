// SPDX-License-Identifier: GPL-2.0
/* Large folios of the orders below a PMD: see mthp.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "mthp.h"
#include "sharers.h"

static const char *order_path(int order, const char *file)
{
	return thp_path(PAGE_SIZE << order, file);
}

/* FILE is "enabled", or "shmem_enabled" for tmpfs. */
static void allow_only(int order, const char *file)
{
	int o, ret, max = __builtin_ctzl(HPAGE_NR);

	if (!file_exists(order_path(order, file)))
		skip("no %s", order_path(order, file));
	for (o = 1; o <= max; o++) {
		if (!file_exists(order_path(o, file)))
			continue;
		ret = write_text(order_path(o, file),
				 o == order ? "always" : "never");
		require(!ret, "%s: %s", order_path(o, file), strerror(-ret));
	}
}

bool is_folio(const void *addr, int order)
{
	struct page_facts head = page_facts(addr), p;
	int i;

	if (!(head.flags & KPF_COMPOUND_HEAD))
		return false;
	for (i = 1; i < 1 << order; i++) {
		p = page_facts((const char *)addr + i * PAGE_SIZE);
		if (p.pfn != head.pfn + i || !(p.flags & KPF_COMPOUND_TAIL))
			return false;
	}
	p = pfn_facts(head.pfn + (1 << order));
	return !(p.flags & KPF_COMPOUND_TAIL);
}

static void require_folios(const char *head, int order, int nr)
{
	int i, pages = nr << order, most = MAX_PAGES;

	for (i = 0; i < nr; i++)
		if (!is_folio(head + i * (PAGE_SIZE << order), order))
			skip("inconclusive: no folio of order %d (no free memory)",
			     order);
	for (i = 0; i < pages; i += most)
		pfns_of(head + i * PAGE_SIZE,
			pages - i < most ? pages - i : most);
}

char *mthp_map_some(int order, int nr)
{
	size_t size = PAGE_SIZE << order;
	char *head;

	allow_only(order, "enabled");
	/* Room for one more, so that no fault is for what lies beside them. */
	head = ptr_align(anon_map((nr + 1) * size, 0), size);
	pages_fill(head, nr << order);
	require_folios(head, order, nr);
	return head;
}

char *mthp_map(int order)
{
	return mthp_map_some(order, 1);
}

char *mthp_shmem_map(int order, int nr, int *file, bool fill)
{
	size_t size = PAGE_SIZE << order;
	char *head, *hole = hpage_hole(nr * size / HPAGE_SIZE + 1);
	volatile char *page;
	int i;

	allow_only(order, "shmem_enabled");
	*file = shmem_file(nr * size);
	head = mmap(hole, nr * size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, *file, 0);
	require_errno(head != MAP_FAILED, "mmap of the file");
	for (i = 0; i < nr << order; i++) {
		page = head + i * PAGE_SIZE;
		if (fill)
			page_fill((char *)page, i);
		else
			(void)*page;
	}
	require_folios(head, order, nr);
	return head;
}

char *over_pmd_edge(int nr)
{
	int half = nr / 2 / HPAGE_NR + 1;

	return hpage_hole(2 * half) + half * HPAGE_SIZE - nr / 2 * PAGE_SIZE;
}

char *move_over_pmd_edge(char *addr, int nr, int folio)
{
	char *to = over_pmd_edge(nr + folio);
	size_t size = nr * PAGE_SIZE;

	require_errno(mremap(addr, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
			     to) == to, "mremap");
	return to;
}

void forget_tlb(void)
{
	size_t size = 64 * PAGE_SIZE;
	char *addr = anon_map(size, MADV_DONTFORK);

	memset(addr, 1, size);
	require_errno(!munmap(addr, size), "munmap");
}

void clear_refs(const char *what)
{
	int ret = write_text("/proc/self/clear_refs", what);

	require(!ret, "clear_refs %s: %s", what, strerror(-ret));
	/* "4" forgets it itself, and a new mapping would be soft-dirty. */
	if (*what == '1')
		forget_tlb();
}

void each_in(uint64_t mask, char *addr, int nr, void (*touch)(char *page, int i))
{
	int i;

	for (i = 0; i < nr; i++)
		if (mask >> i % 64 & 1)
			touch(addr + i * PAGE_SIZE, i);
}

void check_mask(const char *what, uint64_t mask, const char *addr, int nr,
		bool (*is)(uint64_t pagemap))
{
	int i, right = 0;

	for (i = 0; i < nr; i++) {
		bool bit = is(pagemap_entry(addr + i * PAGE_SIZE));

		if (bit == (mask >> i % 64 & 1))
			right++;
		else
			diag("%s, page %d: %d", what, i, bit);
	}
	check_eq(what, right, nr);
}

long long mthp_stat(int order, const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), "stats/%s", name);
	return read_number(order_path(order, file));
}
