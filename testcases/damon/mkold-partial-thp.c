// SPDX-License-Identifier: GPL-2.0
/*
 * DAMON samples the head of a THP that has one present PTE and 511 exclusive
 * ones: it marks that THP idle, and no other page.
 *
 * The unpatched damon_ptep_mkold() takes the PFN of an exclusive entry by
 * pte_pfn(), which is that of another page: exclusive_pte_pfn().  It marks that
 * page idle.
 *
 * So low memory is filled with small pages, and out of several THPs one is
 * taken for which those other pages are on the LRU, the only ones that DAMON
 * looks at.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch.h"
#include "rmaplab.h"

#define MAX_THPS	200
#define ENOUGH		8
#define NR_OTHERS	((int)exclusive_pte_pfn(HPAGE_NR))
#define WAIT_MS		5000
#define NR_SMALL	(96 * HPAGE_NR)
/* Those stay that DAMON could mistake for pages of the first 512 MB. */
#define LOW_PFN		exclusive_pte_pfn((512UL << 20) / PAGE_SIZE)

static bool is_idle(uint64_t pfn)
{
	return pfn_facts(pfn).flags & KPF_IDLE;
}

/* Pages that DAMON could mistake for the THP's, on the LRU and not idle. */
static int others(uint64_t pfn)
{
	uint64_t first = exclusive_pte_pfn(pfn), flags;
	int i, n = 0;

	for (i = 0; i < NR_OTHERS; i++) {
		flags = pfn_facts(first + i).flags;
		n += (flags & KPF_LRU) && !(flags & KPF_COMPOUND_TAIL) &&
		     !(flags & KPF_IDLE);
	}
	return n;
}

static bool is_high(uint64_t pagemap)
{
	return PM_PFN(pagemap) >= LOW_PFN;
}

static void fill_low_memory(void)
{
	char *area = anon_map(NR_SMALL * PAGE_SIZE, MADV_NOHUGEPAGE);
	uint64_t *entry = calloc(NR_SMALL, sizeof(*entry));
	int i, low = 0;

	require(entry, "calloc");

	for (i = 0; i < NR_SMALL; i++)
		*(volatile char *)(area + i * PAGE_SIZE) = 1;
	pagemap_entries_of(getpid(), area, NR_SMALL, entry);
	for (i = 0; i < NR_SMALL; i++) {
		if (is_high(entry[i]))
			require_errno(!madvise(area + i * PAGE_SIZE, PAGE_SIZE,
					       MADV_DONTNEED), "madvise");
		else
			low++;
	}
	free(entry);
	diag("small pages below PFN %llu: %d", (unsigned long long)LOW_PFN, low);
	drain_lru_caches();
}

static char *thp_with_others(void)
{
	char *area = anon_map((MAX_THPS + 1) * HPAGE_SIZE, MADV_HUGEPAGE);
	char *head = ptr_align(area, HPAGE_SIZE);
	int i, n = 0;

	allocate_on(0);
	fill_low_memory();
	for (i = 0; i < MAX_THPS; i++, head += HPAGE_SIZE) {
		*(volatile char *)head = 1;
		n = others(page_facts(head).pfn);
		if (n >= ENOUGH && is_thp(head))
			break;
	}
	if (i == MAX_THPS)
		skip("inconclusive: no THP with pages on the LRU at PFN >> 3");
	diag("THP %d, pages on the LRU at PFN >> 3: %d", i, n);
	for (i = 0; i < HPAGE_NR; i++)
		page_fill(head + i * PAGE_SIZE, i);
	return head;
}

static void test_mkold(void)
{
	int before, waited = 0, dev = dmirror_open();
	char *head = thp_with_others();
	uint64_t pfn = page_facts(head).pfn;

	partial_thp_make(dev, head);
	drain_lru_caches();
	before = others(pfn);
	require(!is_idle(pfn), "the THP is idle already");
	damon_start(pfn, 1, 3);
	while (!is_idle(pfn))
		require(wait_again(&waited, WAIT_MS), "DAMON does not sample");
	damon_stop();
	check_eq("pages at PFN >> 3 marked idle", before - others(pfn), 0);
	check_eq("PTEs exclusive", count_ptes(head, HPAGE_NR, is_exclusive),
		 HPAGE_NR - 1);
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "mkold", .run = test_mkold },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
