// SPDX-License-Identifier: GPL-2.0
/*
 * Exclusive access to read-only, shmem and hugetlb memory.
 *
 * -EFAULT for a mapping that the device may not write, -EOPNOTSUPP for folios
 * that cannot be made exclusive.  The unpatched kernel's driver does not learn
 * why: -EBUSY three times.  On either, the page is left as it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

static void check_refused(int dev, char *page, int expected)
{
	struct page_facts before = page_facts(page), after;
	int ret;

	postmortem_pages("refused", page, 1);
	ret = dmirror_exclusive(dev, page, 1);
	diag("EXCLUSIVE: %s", ret ? strerror(-ret) : "0");
	check_eq("EXCLUSIVE", ret, expected);
	after = page_facts(page);
	print_page(0, &after);
	check(is_present(after.pagemap) && after.pfn == before.pfn,
	      "the page's mapping changed");
	check(!dmirror_has_exclusive(dev, page), "the device has access");
	check(page_intact(page, 0), "the page's data changed");
}

static void test_read_only(void)
{
	int dev = dmirror_open();
	char *page = anon_map(PAGE_SIZE, MADV_NOHUGEPAGE);

	page_fill(page, 0);
	require_errno(!mprotect(page, PAGE_SIZE, PROT_READ), "mprotect");
	check_refused(dev, page, -EFAULT);
}

static void test_shmem(void)
{
	int dev = dmirror_open();
	char *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	require_errno(page != MAP_FAILED, "mmap of shared memory");
	page_fill(page, 0);
	check_refused(dev, page, -EOPNOTSUPP);
}

static void test_hugetlb(void)
{
	char *page;
	int dev;

	page = mmap(NULL, HPAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (page == MAP_FAILED)
		skip("no hugetlb page: %s", strerror(errno));
	dev = dmirror_open();
	page_fill(page, 0);
	check_refused(dev, page, -EOPNOTSUPP);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "read-only", .run = test_read_only },
		{ .name = "shmem", .run = test_shmem },
		{ .name = "hugetlb", .run = test_hugetlb },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
