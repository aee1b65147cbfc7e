// SPDX-License-Identifier: GPL-2.0
/*
 * Soft-dirty and uffd-wp survive the way to a device's memory and back: what
 * was clean is clean after a read, what was written is dirty and nothing else,
 * what was protected is protected still.
 */
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define NR	8
#define SIZE	(NR * 2 * PAGE_SIZE)

static void clear_soft_dirty(void)
{
	int ret = write_text("/proc/self/clear_refs", "4");

	require(!ret, "clear_refs: %s", strerror(-ret));
}

static void go_home(const struct spaced *e)
{
	int ret = dmirror_to_system(e->dev, e->base, 2 * NR);

	check(!ret, "MIGRATE_TO_SYS: %s", strerror(-ret));
	check_eq("pages on the device", spaced_on_device(e), 0);
}

static void test_clean(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);

	e = spaced_map_for(e.dev, NR);
	clear_soft_dirty();
	check_eq("pages soft-dirty", spaced_count(&e, is_soft_dirty), 0);
	spaced_to_device(&e);
	check_eq("pages soft-dirty, on the device", spaced_count(&e, is_soft_dirty),
		 0);
	go_home(&e);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("pages soft-dirty, back", spaced_count(&e, is_soft_dirty), 0);
}

/* Pages with the right bit, where every second one was written. */
static int right_bits(const struct spaced *e)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += is_soft_dirty(pagemap_entry(spaced_page(e, i))) == i % 2;
	return n;
}

/* A new mapping is soft-dirty as a whole: that would hide what a PTE says. */
static void test_dirty(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);
	int i;

	e = spaced_map_for(e.dev, NR);
	clear_soft_dirty();
	for (i = 1; i < NR; i += 2)
		page_fill(spaced_page(&e, i), i);
	require(right_bits(&e) == NR, "soft-dirty bits");
	spaced_to_device(&e);
	check_eq("pages with the right bit, on the device", right_bits(&e), NR);
	go_home(&e);
	check_eq("pages with the right bit, back", right_bits(&e), NR);
	check_eq("pages intact", spaced_intact(&e), NR);
}

static void test_uffd_wp(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int uffd = uffd_open_wp(e.base, SIZE);

	uffd_protect(uffd, e.base, SIZE, true);
	check_eq("pages uffd-wp, on the device", spaced_count(&e, is_uffd_wp), NR);
	go_home(&e);
	check_eq("pages uffd-wp, back", spaced_count(&e, is_uffd_wp), NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	spaced_to_device(&e);
	check_eq("pages uffd-wp, there again", spaced_count(&e, is_uffd_wp), NR);
	uffd_protect(uffd, e.base, SIZE, false);
	check_eq("pages uffd-wp, unprotected", spaced_count(&e, is_uffd_wp), 0);
	check_eq("pages intact", spaced_intact(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-clean", .run = test_clean,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-clean", .run = test_clean,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-dirty", .run = test_dirty,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-dirty", .run = test_dirty,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-uffd-wp", .run = test_uffd_wp,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-uffd-wp", .run = test_uffd_wp,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
