// SPDX-License-Identifier: GPL-2.0
/*
 * mremap(), MADV_DONTNEED, munmap() and exit with pages in device memory: the
 * entries move along, or are gone with their RSS; the device has no access any
 * more; what is touched afterwards is new memory.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "rmaplab.h"

#define NR	8
#define SIZE	(NR * 2 * PAGE_SIZE)

static void test_mremap(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	char *target = anon_map(SIZE, MADV_NOHUGEPAGE);

	require_errno(mremap(e.base, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     target) == target, "mremap");
	e.base = target;
	check_eq("device PTEs at the new address",
		 spaced_device_ptes(&e, subtest_arg()), NR);
	check_eq("pages on the device", spaced_on_device(&e), NR);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(&e), NR);
	check_rss_anon();
}

/*
 * Nothing else may come between the two looks at RssAnon: a call that goes
 * deeper may need another page of the stack.
 */
static long long rss_anon(void)
{
	status_kb("RssAnon");
	return status_kb("RssAnon");
}

static void check_rss_gone(long long before, long long after)
{
	check_eq("change of RssAnon, kB", after - before,
		 -NR * (long)PAGE_SIZE / 1024);
	check_rss_anon();
}

static void test_dontneed(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	long long before = rss_anon(), after;
	int i;

	require_errno(!madvise(e.base, SIZE, MADV_DONTNEED), "MADV_DONTNEED");
	after = rss_anon();
	check_rss_gone(before, after);
	check_eq("pages on the device", spaced_on_device(&e), 0);
	for (i = 0; i < NR; i++)
		check(!*(volatile char *)spaced_page(&e, i),
		      "page %d does not read as zero", i);
}

static void test_munmap(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	long long before = rss_anon(), after;

	require_errno(!munmap(e.base, SIZE), "munmap");
	after = rss_anon();
	check_rss_gone(before, after);
}

/* The process ends with its pages there. */
static void test_exit(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);

	check_eq("pages on the device at exit", spaced_on_device(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-mremap", .run = test_mremap,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-mremap", .run = test_mremap,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-dontneed", .run = test_dontneed,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-dontneed", .run = test_dontneed,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-munmap", .run = test_munmap,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-munmap", .run = test_munmap,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-exit", .run = test_exit,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-exit", .run = test_exit,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
