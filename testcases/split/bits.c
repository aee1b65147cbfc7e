// SPDX-License-Identifier: GPL-2.0
/*
 * What a PMD says of a THP, 512 PTEs say when it is split.
 *
 * The PMD alone is split when something is done to a part of what it maps (here
 * madvise(MADV_DONTNEED) of the last page, or mprotect() of it), and the folio as well
 * when debugfs says so: by migration entries, one a page.
 *
 * soft-dirty, clean: written after clear_refs, or not.  (Where the PMD alone is split,
 * a dirty one becomes soft-dirty PTEs on x86: __split_huge_pmd_locked() says so.)
 * uffd-wp: under write protection, or not; a write to a page that is makes an event's
 * page, not a fault of this process, so pagemap is asked.
 * young: read or not since page_idle; after a split every folio says what the THP did.
 * read-only: a PMD that mprotect() made read-only becomes read-only PTEs.
 * exclusive: a write after the split keeps the page in place, for it is nobody else's.
 * zeroes: pages of a split folio that have only zeroes are given back, and read as
 * zeroes; write protection and data of the others stay.
 */
#include <signal.h>
#include <sys/mman.h>

#include "idle.h"
#include "mthp.h"
#include "sharers.h"

#define LAST	(HPAGE_NR - 1)

enum { ZAP, PROTECT, FOLIO, WAYS, BIT = WAYS };

static void split(char *head)
{
	int ret;

	switch (subtest_arg() % WAYS) {
	case ZAP:
		require_errno(!madvise(head + LAST * PAGE_SIZE, PAGE_SIZE,
				       MADV_DONTNEED), "MADV_DONTNEED");
		break;
	case PROTECT:
		require_errno(!mprotect(head + LAST * PAGE_SIZE, PAGE_SIZE,
					PROT_NONE), "mprotect");
		break;
	case FOLIO:
		drain_lru_caches();
		ret = split_thps(head, HPAGE_SIZE, 0);
		require(!ret, "split_huge_pages: %d", ret);
		check(!is_thp(head), "the THP was not split");
	}
	check(!is_pmd_mapped(head), "a PMD maps it still");
}

static void check_all(const char *what, const char *head, bool bit,
		      bool (*is)(uint64_t pagemap))
{
	check_eq(what, count_ptes(head, LAST, is), bit ? LAST : 0);
	check_eq("pages intact", intact_pages(head, LAST), LAST);
}

static void test_soft_dirty(void)
{
	bool bit = subtest_arg() >= BIT;
	char *head = thp_map();

	clear_refs("4");
	if (bit)
		page_fill(head, 0);
	split(head);
	check_all("pages soft-dirty", head, bit, is_soft_dirty);
}

static void test_uffd_wp(void)
{
	bool bit = subtest_arg() >= BIT;
	char *head = thp_map();
	int uffd = uffd_open_wp(head, HPAGE_SIZE);

	uffd_protect(uffd, head, HPAGE_SIZE, bit);
	split(head);
	check_all("pages write-protected", head, bit, is_uffd_wp);
}

static void test_young(void)
{
	bool bit = subtest_arg() >= BIT;
	volatile char c;
	char *head;

	require_page_idle();
	head = thp_map();
	drain_lru_caches();
	idle_set(head, 1);
	forget_tlb();
	if (bit)
		c = head[5 * PAGE_SIZE];
	(void)c;
	split(head);
	drain_lru_caches();
	check_eq("the first page is idle", page_is_idle(head), !bit);
	if (subtest_arg() % WAYS == FOLIO)
		check_eq("a page in the middle is idle",
			 page_is_idle(head + HPAGE_SIZE / 2), !bit);
}

static void test_read_only(void)
{
	char *head = thp_map();
	int i, n = 0;

	require_errno(!mprotect(head, HPAGE_SIZE, PROT_READ), "mprotect");
	split(head);
	for (i = 0; i < LAST; i += 30)
		n += access_signal(head + i * PAGE_SIZE, true) != SIGSEGV;
	check_eq("pages that take a write", n, 0);
	check_eq("pages intact", intact_pages(head, LAST), LAST);
}

static void test_exclusive(void)
{
	char *head = thp_map();
	struct pfns old;
	long faults;

	split(head);
	old = pfns_of(head, LAST);
	faults = minor_faults();
	pages_fill(head, LAST);
	check_eq("faults for writes", minor_faults() - faults, 0);
	check_eq("pages with their PFN", pfns_kept(&old, head), LAST);
	check_eq("pages intact", intact_pages(head, LAST), LAST);
	check_rss_anon();
}

static void zero(char *page, int i)
{
	(void)i;
	for (size_t j = 0; j < PAGE_SIZE / sizeof(uint64_t); j++)
		((volatile uint64_t *)page)[j] = 0;
}

static void test_zeroes(void)
{
	bool bit = subtest_arg() >= BIT;
	char *head = thp_map();
	int i, n = 0, uffd = uffd_open_wp(head, HPAGE_SIZE);

	each_in(MASK_RUNS, head, HPAGE_NR, zero);
	uffd_protect(uffd, head, HPAGE_SIZE, bit);
	split(head);
	check_eq("pages write-protected", count_ptes(head, LAST, is_uffd_wp),
		 bit ? LAST : 0);
	check_rss_anon();
	for (i = 0; i < LAST; i++) {
		if (MASK_RUNS >> i % 64 & 1)
			n += page_is_zero(head + i * PAGE_SIZE);
		else
			n += page_intact(head + i * PAGE_SIZE, i);
	}
	check_eq("pages with zeroes or their data", n, LAST);
	uffd_protect(uffd, head, HPAGE_SIZE, false);
	pages_fill(head, LAST);
	check_eq("pages written", intact_pages(head, LAST), LAST);
	check_rss_anon();
}

#define SUBTEST(label, fn, way)						\
	{ .name = label, .run = fn, .arg = way }

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "clean-folio", .run = test_soft_dirty, .arg = FOLIO },
		SUBTEST("soft-dirty-zap", test_soft_dirty, ZAP + BIT),
		SUBTEST("soft-dirty-protect", test_soft_dirty, PROTECT + BIT),
		SUBTEST("soft-dirty-folio", test_soft_dirty, FOLIO + BIT),
		SUBTEST("uffd-wp-zap", test_uffd_wp, ZAP + BIT),
		SUBTEST("uffd-wp-protect", test_uffd_wp, PROTECT + BIT),
		SUBTEST("uffd-wp-folio", test_uffd_wp, FOLIO + BIT),
		SUBTEST("no-uffd-wp-zap", test_uffd_wp, ZAP),
		SUBTEST("no-uffd-wp-protect", test_uffd_wp, PROTECT),
		SUBTEST("no-uffd-wp-folio", test_uffd_wp, FOLIO),
		SUBTEST("old-zap", test_young, ZAP),
		SUBTEST("old-protect", test_young, PROTECT),
		SUBTEST("old-folio", test_young, FOLIO),
		SUBTEST("young-zap", test_young, ZAP + BIT),
		SUBTEST("young-protect", test_young, PROTECT + BIT),
		SUBTEST("young-folio", test_young, FOLIO + BIT),
		SUBTEST("read-only-zap", test_read_only, ZAP),
		SUBTEST("read-only-protect", test_read_only, PROTECT),
		SUBTEST("read-only-folio", test_read_only, FOLIO),
		SUBTEST("exclusive-zap", test_exclusive, ZAP),
		SUBTEST("exclusive-protect", test_exclusive, PROTECT),
		SUBTEST("exclusive-folio", test_exclusive, FOLIO),
		{ .name = "zeroes", .run = test_zeroes, .arg = FOLIO },
		{ .name = "zeroes-uffd-wp", .run = test_zeroes,
		  .arg = FOLIO + BIT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
