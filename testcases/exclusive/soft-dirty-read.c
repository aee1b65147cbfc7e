// SPDX-License-Identifier: GPL-2.0
/*
 * The soft-dirty bit of an exclusive page that the CPU reads after "4" was
 * written to clear_refs.
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
	struct spaced e;

	require_tracking();
	e = spaced_map(NR);
	spaced_make_exclusive(&e);
	clear_soft_dirty();
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	spaced_print(&e);
	check_eq("pages soft-dirty after a read", spaced_count(&e, is_soft_dirty), 0);
}

/* What was dirty stays so over EXCLUSIVE and its end. */
static void test_preserved(void)
{
	struct spaced e;

	require_tracking();
	e = spaced_map(NR);
	check_eq("pages soft-dirty", spaced_count(&e, is_soft_dirty), NR);
	spaced_make_exclusive(&e);
	check_eq("pages soft-dirty, exclusive", spaced_count(&e, is_soft_dirty), NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("pages soft-dirty, revoked", spaced_count(&e, is_soft_dirty), NR);
}

static void test_write(void)
{
	struct spaced e;
	int i;

	require_tracking();
	e = spaced_map(NR);
	spaced_make_exclusive(&e);
	clear_soft_dirty();
	for (i = 0; i < NR; i++)
		page_fill(spaced_page(&e, i), i + NR);
	check_eq("pages soft-dirty after a write", spaced_count(&e, is_soft_dirty),
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
