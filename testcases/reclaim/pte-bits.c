// SPDX-License-Identifier: GPL-2.0
/*
 * What a PTE says of a page survives reclaim.
 *
 * soft-dirty: after clear_refs, every second page is written; swapped out, and
 * read back in, pagemap says soft-dirty of those and of no other.
 * uffd-wp: likewise for the pages under write protection.
 * uffd-wp-shmem: a page of a tmpfs file has no swap entry in its PTE.  So
 * reclaim leaves a marker there, and pagemap says write-protected while the page
 * is out, and when it was read back in.
 */
#include <string.h>
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static int right_bits(const char *addr, bool (*is)(uint64_t pagemap))
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += is(pagemap_entry(addr + i * PAGE_SIZE)) == !(i % 2);
	return n;
}

static void check_bits(const char *what, const char *addr,
		       bool (*is)(uint64_t pagemap))
{
	diag("%s:", what);
	check_eq("pages with the right bit, swapped out", right_bits(addr, is),
		 NR);
	check_eq("pages intact", intact_pages(addr, NR), NR);
	check_eq("PTEs present", count_ptes(addr, NR, is_present), NR);
	check_eq("pages with the right bit, read again", right_bits(addr, is),
		 NR);
}

static void test_soft_dirty(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	int i, ret;

	pages_fill(addr, NR);
	sharers_fork(1);
	pfns_of(addr, NR);
	ret = write_text("/proc/self/clear_refs", "4");
	require(!ret, "clear_refs: %s", strerror(-ret));
	for (i = 0; i < NR; i += 2)
		page_fill(addr + i * PAGE_SIZE, i);
	require(right_bits(addr, is_soft_dirty) == NR, "soft-dirty bits");
	check(reclaim_shared(addr, NR), "pages were not reclaimed");
	check_bits("soft-dirty", addr, is_soft_dirty);
}

static void test_uffd_wp(void)
{
	char *addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	int i, uffd;

	pages_fill(addr, NR);
	sharers_fork(1);
	pfns_of(addr, NR);
	uffd = uffd_open_wp(addr, NR * PAGE_SIZE);
	for (i = 0; i < NR; i += 2)
		uffd_protect(uffd, addr + i * PAGE_SIZE, PAGE_SIZE, true);
	require(right_bits(addr, is_uffd_wp) == NR, "uffd-wp bits");
	check(reclaim_shared(addr, NR), "pages were not reclaimed");
	check_bits("uffd-wp", addr, is_uffd_wp);
}

static bool none_present(const void *addr, int nr)
{
	return !count_ptes(addr, nr, is_present);
}

static void test_uffd_wp_shmem(void)
{
	int i, uffd, fd = shmem_file(NR * PAGE_SIZE);
	char *addr;

	require_memcg();
	require_swap();
	addr = shmem_map(fd, NR * PAGE_SIZE);
	pages_fill(addr, NR);
	uffd = uffd_open_wp(addr, NR * PAGE_SIZE);
	for (i = 0; i < NR; i += 2)
		uffd_protect(uffd, addr + i * PAGE_SIZE, PAGE_SIZE, true);
	require(right_bits(addr, is_uffd_wp) == NR, "uffd-wp bits");
	check(reclaim_until(none_present, addr, NR),
	      "pages were not reclaimed");
	check_bits("uffd-wp of shmem", addr, is_uffd_wp);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "soft-dirty", .run = test_soft_dirty },
		{ .name = "uffd-wp", .run = test_uffd_wp },
		{ .name = "uffd-wp-shmem", .run = test_uffd_wp_shmem },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
