// SPDX-License-Identifier: GPL-2.0
/*
 * T20, page_idle: an exclusive page that was marked idle stays idle.
 *
 * On both kernels: an exclusive entry has no accessed bit to find, so reading
 * the bitmap, which walks the reverse map, leaves the mark.  A present PTE that
 * was accessed takes it away, which shows that tracking works.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "rmaplab.h"

#define NR	8
#define BITMAP	"/sys/kernel/mm/page_idle/bitmap"

static int bitmap_open(void)
{
	int fd = open(BITMAP, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip("no " BITMAP);
	return fd;
}

/* Writing 1 marks a page, 0 leaves it; the file is read in words of 64 bits. */
static void mark_idle(int fd, uint64_t pfn)
{
	uint64_t word = 1ULL << (pfn % 64);

	require_errno(pwrite(fd, &word, sizeof(word), pfn / 64 * sizeof(word)) ==
		      sizeof(word), BITMAP ": write");
}

static bool is_idle(int fd, uint64_t pfn)
{
	uint64_t word;

	require_errno(pread(fd, &word, sizeof(word), pfn / 64 * sizeof(word)) ==
		      sizeof(word), BITMAP ": read");
	return word & 1ULL << (pfn % 64);
}

static int idle_pages(int fd, const struct e0 *e)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += is_idle(fd, e0_facts(e, i).pfn);
	return n;
}

static void mark_all(int fd, const struct e0 *e)
{
	int i;

	for (i = 0; i < NR; i++)
		mark_idle(fd, e0_facts(e, i).pfn);
}

static void test_exclusive(void)
{
	struct e0 e = e0_map(NR);
	int fd = bitmap_open();

	drain_lru_caches();
	e0_make_exclusive(&e);
	mark_all(fd, &e);
	check_eq("pages idle", idle_pages(fd, &e), NR);
	check_eq("pages idle, read again", idle_pages(fd, &e), NR);
	check_eq("PTEs exclusive", e0_count(&e, is_exclusive), NR);
	check_eq("pages intact", e0_intact(&e), NR);
	check_eq("pages idle, accessed", idle_pages(fd, &e), 0);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "exclusive", .run = test_exclusive },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
