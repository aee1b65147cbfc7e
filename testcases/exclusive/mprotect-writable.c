// SPDX-License-Identifier: GPL-2.0
/*
 * T15: E0, mprotect R then RW, write: minflt delta.
 *
 * 1: the fault that ends the exclusive access restores a writable PTE, for the
 * VMA is writable and the page is ours alone.  On the unpatched kernel
 * mprotect(R) made the entry a readable one for good, so a second fault has to
 * make the PTE writable: 2.
 */
#include <sys/mman.h>

#include "rmaplab.h"

#define NR 16

static void test_write_faults(void)
{
	struct e0 e = e0_map(NR);
	size_t size = NR * 2 * PAGE_SIZE;
	long before, after;
	int i;

	e0_make_exclusive(&e);
	require_errno(!mprotect(e.base, size, PROT_READ), "mprotect(R)");
	require_errno(!mprotect(e.base, size, PROT_READ | PROT_WRITE),
		      "mprotect(RW)");
	check_eq("PTEs exclusive", e0_count(&e, is_exclusive), NR);
	before = minor_faults();
	for (i = 0; i < NR; i++)
		*(volatile char *)e0_page(&e, i) = 1;
	after = minor_faults();
	e0_print(&e);
	check_eq("minor faults for 16 writes", after - before, NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "write-faults", .run = test_write_faults },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
