// SPDX-License-Identifier: GPL-2.0
/*
 * T20, DAMON: sampling the head of a partial ET marks that THP idle, and
 * nothing else.
 *
 * The unpatched damon_ptep_mkold() takes the PFN of an exclusive entry by
 * pte_pfn(), which is that of another page: on x86 PFN >> 3.  It marks that
 * page idle.
 *
 * So low memory is filled with small pages, and out of several THPs one is
 * taken of which PFN >> 3 are pages on the LRU, the only ones that DAMON looks
 * at.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "rmaplab.h"

#define MAX_THPS	200
#define ENOUGH		8
#define NR_OTHERS	(HPAGE_NR / 8)
#define WAIT_MS		5000
/* Of these, those below PFN 1 << 14 stay: PFN >> 3 of 512 MB. */
#define NR_SMALL	(96 * HPAGE_NR)
#define LOW_PFN		(1 << 14)

static bool is_idle(uint64_t pfn)
{
	return pfn_facts(pfn).flags & PF_IDLE;
}

/* Pages that DAMON could mistake for the THP's, on the LRU and not idle. */
static int others(uint64_t pfn)
{
	uint64_t i, flags;
	int n = 0;

	for (i = 0; i < NR_OTHERS; i++) {
		flags = pfn_facts((pfn >> 3) + i).flags;
		n += (flags & PF_LRU) && !(flags & PF_COMPOUND_TAIL) &&
		     !(flags & PF_IDLE);
	}
	return n;
}

static bool is_high(uint64_t pagemap)
{
	return (pagemap & PM_PFN_MASK) >= LOW_PFN;
}

static void fill_low_memory(void)
{
	char *area = anon_map(NR_SMALL * PAGE_SIZE, MADV_NOHUGEPAGE);
	static uint64_t entry[NR_SMALL];
	int i, low = 0;

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
	diag("small pages below PFN %d: %d", LOW_PFN, low);
	drain_lru_caches();
}

static char *thp_with_others(void)
{
	char *area = anon_map((MAX_THPS + 1) * HPAGE_SIZE, MADV_HUGEPAGE);
	char *head = (char *)(((uintptr_t)area | (HPAGE_SIZE - 1)) + 1);
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

	et_make(dev, head);
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
