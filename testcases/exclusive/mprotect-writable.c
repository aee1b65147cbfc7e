// SPDX-License-Identifier: GPL-2.0
/*
 * Minor faults of a write to an exclusive page, after mprotect() to read-only
 * and back.
 *
 * One: the fault that ends the exclusive access restores a writable PTE, for the
 * VMA is writable and the page is ours alone.  On the unpatched kernel
 * mprotect(R) made the entry a readable one for good, so a second fault has to
 * make the PTE writable: two.
 */
#include <sys/mman.h>

#include "rmaplab.h"

#define NR 16

static void test_write_faults(void)
{
	struct spaced e = spaced_map(NR);
	size_t size = NR * 2 * PAGE_SIZE;
	long before, after;
	int i;

	spaced_make_exclusive(&e);
	require_errno(!mprotect(e.base, size, PROT_READ), "mprotect(R)");
	require_errno(!mprotect(e.base, size, PROT_READ | PROT_WRITE),
		      "mprotect(RW)");
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	before = minor_faults();
	for (i = 0; i < NR; i++)
		*(volatile char *)spaced_page(&e, i) = 1;
	after = minor_faults();
	spaced_print(&e);
	check_eq("minor faults for 16 writes", after - before, NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "write-faults", .run = test_write_faults },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
