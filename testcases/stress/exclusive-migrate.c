// SPDX-License-Identifier: GPL-2.0
/*
 * Exclusive access against migration between two nodes, protection changes and
 * writes: each page is what was written to it last; in the end RssAnon adds up
 * and each page is mapped once.
 */
#include "rmaplab.h"
#include "stress.h"

#define ROUNDS 100

static void test_exclusive_migrate(void)
{
	static const struct stress_actor actors[] = {
		{ .name = "write", .op = stress_write },
		{ .name = "exclusive", .op = stress_exclusive },
		{ .name = "migrate", .op = stress_migrate },
		{ .name = "mprotect", .op = stress_mprotect },
	};

	stress_run(actors, ARRAY_SIZE(actors));
}

int main(int argc, char **argv)
{
	static const struct subtest tests[] = {
		{ .name = "exclusive-migrate", .run = test_exclusive_migrate },
	};

	stress_arguments(argc, argv, ROUNDS);
	return ktap_run(tests, ARRAY_SIZE(tests));
}
