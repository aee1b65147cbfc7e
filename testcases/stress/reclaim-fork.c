// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim against fork(), while a device takes the pages exclusively: a child
 * finds what was written last before its fork, what it writes is its own, and
 * the parent's pages are as the parent wrote them; in the end RssAnon adds up and
 * each page is mapped once.
 */
#include "rmaplab.h"
#include "stress.h"

#define ROUNDS 30

static void test_reclaim_fork(void)
{
	static const struct stress_actor actors[] = {
		{ .name = "write", .op = stress_write },
		{ .name = "pageout", .op = stress_pageout },
		{ .name = "fork", .op = stress_fork },
		{ .name = "exclusive", .op = stress_exclusive },
	};

	stress_run(actors, ARRAY_SIZE(actors));
}

int main(int argc, char **argv)
{
	static const struct subtest tests[] = {
		{ .name = "reclaim-fork", .run = test_reclaim_fork },
	};

	stress_arguments(argc, argv, ROUNDS);
	return ktap_run(tests, ARRAY_SIZE(tests));
}
