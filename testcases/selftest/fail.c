// SPDX-License-Identifier: GPL-2.0
/* For testing the lab: one subtest passes, one fails, one is skipped. */
#include "rmaplab.h"

static void test_pass(void)
{
	diag("a fact");
}

static void test_fail(void)
{
	check_eq("the answer", 41, 42);
}

static void test_skip(void)
{
	skip("inconclusive: on purpose");
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "pass", .run = test_pass },
		{ .name = "fail", .run = test_fail },
		{ .name = "skip", .run = test_skip },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
