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

static void allow_only(int order)
{
	int o, ret, max = __builtin_ctzl(HPAGE_NR);

	if (!file_exists(order_path(order, "enabled")))
		skip("no %s", order_path(order, "enabled"));
	for (o = 1; o <= max; o++) {
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

char *mthp_map(int order)
{
	size_t size = PAGE_SIZE << order;
	char *area, *head;

	allow_only(order);
	area = anon_map(2 * size, 0);
	head = ptr_align(area, size);
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
