// SPDX-License-Identifier: GPL-2.0
/*
 * For testing the lab: a page that outlives its process is told as leaked.
 *
 * A pipe of the parent keeps the page, which nobody maps once the subtest's
 * process is gone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rmaplab.h"

static int pipe_of_parent[2];

static void watch_and_leak(char *page)
{
	struct iovec part = { .iov_base = page, .iov_len = PAGE_SIZE };

	watch_pfn(page_facts(page).pfn);
	require(vmsplice(pipe_of_parent[1], &part, 1, 0) ==
		(ssize_t)PAGE_SIZE,
		"vmsplice: %s", strerror(errno));
}

static void test_leak(void)
{
	char *page = anon_map(PAGE_SIZE, 0);

	*page = 1;
	watch_and_leak(page);
}

static void test_leak_swap_cache(void)
{
	char *page = anon_map(PAGE_SIZE, 0);

	require_swap();
	*page = 1;
	pageout(page, 1);
	require(is_swapped(pagemap_entry(page)), "the page is not swapped out");
	require(*(volatile char *)page == 1, "other data");
	watch_and_leak(page);
}

static void test_no_leak(void)
{
	char *page = anon_map(PAGE_SIZE, 0);

	*page = 1;
	watch_pfn(page_facts(page).pfn);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "leak", .run = test_leak },
		{ .name = "leak-swap-cache", .run = test_leak_swap_cache },
		{ .name = "no-leak", .run = test_no_leak },
	};

	if (pipe(pipe_of_parent))
		bail_out("pipe: %s", strerror(errno));
	return ktap_run(tests, ARRAY_SIZE(tests));
}
