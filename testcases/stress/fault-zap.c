// SPDX-License-Identifier: GPL-2.0
/*
 * Faults against zaps, while a device takes the pages exclusively: each page is
 * what was written to it last, or zeros after it was zapped; in the end RssAnon
 * adds up and each page is mapped once.  On few pages, so that a fault meets the
 * zap of its page.
 *
 * The device does not read: test_hmm maps a page that it got exclusively without
 * looking whether it was zapped meanwhile, and then reads the old one.
 */
#include "rmaplab.h"
#include "stress.h"

#define ROUNDS 400
#define PAGES 2

static void test_fault_zap(void)
{
	static const struct stress_actor actors[] = {
		{ .name = "write", .op = stress_write },
		{ .name = "check", .op = stress_check },
		{ .name = "zap", .op = stress_zap },
		{ .name = "exclusive", .op = stress_exclusive },
		{ .name = "touch", .op = stress_touch },
	};

	stress_on(PAGES);
	stress_run(actors, ARRAY_SIZE(actors));
}

int main(int argc, char **argv)
{
	static const struct subtest tests[] = {
		{ .name = "fault-zap", .run = test_fault_zap },
	};

	stress_arguments(argc, argv, ROUNDS);
	return ktap_run(tests, ARRAY_SIZE(tests));
}
