// SPDX-License-Identifier: GPL-2.0
/*
 * Pages migrate to a device's memory and back: data, RSS and protection are
 * kept at each step, and ordinary memory is mapped once again in the end.
 *
 * Private memory: non-present PTEs; a CPU access brings the page back.
 * Coherent memory: present PTEs; the CPU accesses the page where it is.
 */
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define NR 16

static void check_home(const struct spaced *e, int seed)
{
	int i;

	check_eq("pages on the device", spaced_on_device(e), 0);
	for (i = 0; i < NR; i++)
		check(page_intact(spaced_page(e, i), seed + i), "page %d", i);
	check_eq("PTEs present", spaced_count(e, is_present), NR);
	check_eq("sum of mapcounts", spaced_mapcounts(e), NR);
	check_eq("pages with KPF_ANON", spaced_flagged(e, KPF_ANON), NR);
	check_rss_anon();
}

static void test_to_system(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int i, ret;

	check_eq("device PTEs", spaced_device_ptes(&e, subtest_arg()), NR);
	check_rss_anon();
	for (i = 0; i < NR; i++)
		check(dmirror_page_intact(e.dev, spaced_page(&e, i), i, NULL),
		      "page %d: the device reads other data", i);
	ret = dmirror_to_system(e.dev, e.base, 2 * NR);
	check(!ret, "MIGRATE_TO_SYS: %s", strerror(-ret));
	check_home(&e, 0);
}

static void test_cpu_access(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	bool coherent = subtest_arg() == DEVICE_COHERENT;
	int i, ret;

	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("pages on the device after a CPU read", spaced_on_device(&e),
		 coherent ? NR : 0);
	for (i = 0; i < NR; i++)
		page_fill(spaced_page(&e, i), NR + i);
	for (i = 0; i < NR; i++)
		check(dmirror_page_intact(e.dev, spaced_page(&e, i), NR + i, NULL),
		      "page %d: the device does not see the write", i);
	check_rss_anon();
	ret = dmirror_to_system(e.dev, e.base, 2 * NR);
	check(!ret, "MIGRATE_TO_SYS: %s", strerror(-ret));
	check_home(&e, NR);
}

/* Never touched memory becomes a page of the device, of zeros. */
static void test_untouched(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);
	char *page = anon_map(PAGE_SIZE, MADV_NOHUGEPAGE);
	int ret = dmirror_to_device(e.dev, page, 1);

	check(!ret, "MIGRATE_TO_DEV: %s", strerror(-ret));
	check(dmirror_has_page(e.dev, page), "it is not on the device");
	check_rss_anon();
	check(page_is_zero(page), "it is not all zeros");
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-to-system", .run = test_to_system,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-to-system", .run = test_to_system,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-cpu-access", .run = test_cpu_access,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-cpu-access", .run = test_cpu_access,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-untouched", .run = test_untouched,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-untouched", .run = test_untouched,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
