// SPDX-License-Identifier: GPL-2.0
/*
 * T14: E0, clear_refs 4, CPU read, pagemap bit 55.
 *
 * A read does not make a page soft-dirty, also when it took the page back from
 * the device.  The unpatched kernel restores a writable entry as dirty, and
 * pte_mkdirty() sets soft-dirty too: a false positive.
 *
 * Ordinary pages show that the kernel tracks soft-dirty at all.
 */
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define NR 16

static void clear_soft_dirty(void)
{
	int ret = write_text("/proc/self/clear_refs", "4");

	require(!ret, "clear_refs: %s", strerror(-ret));
}

static void require_tracking(void)
{
	char *page = anon_map(PAGE_SIZE, MADV_NOHUGEPAGE);

	page_fill(page, 0);
	clear_soft_dirty();
	if (!page_intact(page, 0) || is_soft_dirty(pagemap_entry(page)))
		skip("no soft-dirty tracking: set after clear and read");
	page_fill(page, 1);
	if (!is_soft_dirty(pagemap_entry(page)))
		skip("no soft-dirty tracking: clear after a write");
}

static void test_read(void)
{
	struct e0 e;

	require_tracking();
	e = e0_map(NR);
	e0_make_exclusive(&e);
	clear_soft_dirty();
	check_eq("PTEs exclusive", e0_count(&e, is_exclusive), NR);
	check_eq("pages intact", e0_intact(&e), NR);
	e0_print(&e);
	check_eq("pages soft-dirty after a read", e0_count(&e, is_soft_dirty), 0);
}

/* What was dirty stays so over EXCLUSIVE and its end. */
static void test_preserved(void)
{
	struct e0 e;

	require_tracking();
	e = e0_map(NR);
	check_eq("pages soft-dirty", e0_count(&e, is_soft_dirty), NR);
	e0_make_exclusive(&e);
	check_eq("pages soft-dirty, exclusive", e0_count(&e, is_soft_dirty), NR);
	check_eq("pages intact", e0_intact(&e), NR);
	check_eq("pages soft-dirty, revoked", e0_count(&e, is_soft_dirty), NR);
}

static void test_write(void)
{
	struct e0 e;
	int i;

	require_tracking();
	e = e0_map(NR);
	e0_make_exclusive(&e);
	clear_soft_dirty();
	for (i = 0; i < NR; i++)
		page_fill(e0_page(&e, i), i + NR);
	check_eq("pages soft-dirty after a write", e0_count(&e, is_soft_dirty),
		 NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "read", .run = test_read },
		{ .name = "preserved", .run = test_preserved },
		{ .name = "write", .run = test_write },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
