// SPDX-License-Identifier: GPL-2.0
/*
 * fork() with pages in device memory: both processes see the data, neither sees
 * what the other writes, RssAnon is present + device PTEs in each, and pages
 * that the parent has alone in the end are mapped once.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "rmaplab.h"

#define NR 8

static int filled(const struct spaced *e, int seed)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_intact(spaced_page(e, i), seed + i);
	return n;
}

static void fill(const struct spaced *e, int seed)
{
	int i;

	for (i = 0; i < NR; i++)
		page_fill(spaced_page(e, i), seed + i);
}

static void child(const struct spaced *e)
{
	check_rss_anon();
	check_eq("child: pages intact", filled(e, 0), NR);
	fill(e, 1000);
	check_eq("child: its own writes", filled(e, 1000), NR);
	check_rss_anon();
	child_done();
}

static void test_child_writes(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	pid_t pid = fork();

	require_errno(pid >= 0, "fork");
	if (!pid)
		child(&e);
	child_join(pid);
	check_rss_anon();
	check_eq("parent: pages intact", filled(&e, 0), NR);
	fill(&e, 2000);
	check_eq("parent: its own writes", filled(&e, 2000), NR);
	dmirror_to_system(e.dev, e.base, 2 * NR);
	check_eq("parent: sum of mapcounts", spaced_mapcounts(&e), NR);
	check_eq("parent: its own writes, at home", filled(&e, 2000), NR);
	check_rss_anon();
}

/* The child leaves with the pages as fork() gave them to it. */
static void test_child_exits(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	pid_t pid = fork();

	require_errno(pid >= 0, "fork");
	if (!pid)
		child_done();
	child_join(pid);
	check_eq("pages on the device", spaced_on_device(&e), NR);
	check_rss_anon();
	check_eq("parent: pages intact", filled(&e, 0), NR);
}

/* What two processes map migrates for both; each has its data. */
static void test_shared_pages(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);
	int ready[2], go[2];
	char c = 0;
	pid_t pid;

	e = spaced_map_for(e.dev, NR);
	require_errno(!pipe(ready) && !pipe(go), "pipe");
	pid = fork();
	require_errno(pid >= 0, "fork");
	if (!pid) {
		check_eq("child: pages intact", filled(&e, 0), NR);
		require_errno(write(ready[1], &c, 1) == 1, "write");
		require_errno(read(go[0], &c, 1) == 1, "read");
		child(&e);
	}
	require_errno(read(ready[0], &c, 1) == 1, "read");
	check_eq("sum of mapcounts of two processes", spaced_mapcounts(&e), 2 * NR);
	spaced_to_device(&e);
	check_rss_anon();
	require_errno(write(go[1], &c, 1) == 1, "write");
	child_join(pid);
	check_eq("parent: pages intact", filled(&e, 0), NR);
	dmirror_to_system(e.dev, e.base, 2 * NR);
	check_eq("parent: sum of mapcounts", spaced_mapcounts(&e), NR);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-child-writes", .run = test_child_writes,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-child-writes", .run = test_child_writes,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-child-exits", .run = test_child_exits,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-child-exits", .run = test_child_exits,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-shared-pages", .run = test_shared_pages,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-shared-pages", .run = test_shared_pages,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
