// SPDX-License-Identifier: GPL-2.0
/* Large folios of the orders below a PMD: see mthp.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "mthp.h"
#include "sharers.h"

#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define MAX_ORDER	9

static const char *order_path(int order, const char *file)
{
	static char path[160];

	snprintf(path, sizeof(path), THP "hugepages-%lukB/%s",
		 (PAGE_SIZE << order) / 1024, file);
	return path;
}

static void allow_only(int order)
{
	int o, ret;

	if (!file_exists(order_path(order, "enabled")))
		skip("no %s", order_path(order, "enabled"));
	for (o = 1; o <= MAX_ORDER; o++) {
		if (!file_exists(order_path(o, "enabled")))
			continue;
		ret = write_text(order_path(o, "enabled"),
				 o == order ? "always" : "never");
		require(!ret, "%s: %s", order_path(o, "enabled"),
			strerror(-ret));
	}
}

bool is_folio(const void *addr, int order)
{
	struct page_facts head = page_facts(addr), p;
	int i;

	if (!(head.flags & PF_COMPOUND_HEAD))
		return false;
	for (i = 1; i < 1 << order; i++) {
		p = page_facts((const char *)addr + i * PAGE_SIZE);
		if (p.pfn != head.pfn + i || !(p.flags & PF_COMPOUND_TAIL))
			return false;
	}
	p = pfn_facts(head.pfn + (1 << order));
	return !(p.flags & PF_COMPOUND_TAIL);
}

char *mthp_map(int order)
{
	size_t size = PAGE_SIZE << order;
	char *area, *head;

	allow_only(order);
	area = anon_map(2 * size, 0);
	head = (char *)(((uintptr_t)area + size - 1) & ~(size - 1));
	/* Nothing beside it, so that the fault is for this one. */
	pages_fill(head, 1 << order);
	if (!is_folio(head, order))
		skip("inconclusive: no folio of order %d (no free memory)",
		     order);
	pfns_of(head, 1 << order);
	return head;
}

long long mthp_stat(int order, const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), "stats/%s", name);
	return read_number(order_path(order, file));
}
