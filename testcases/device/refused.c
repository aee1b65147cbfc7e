// SPDX-License-Identifier: GPL-2.0
/*
 * What cannot be done to pages in device memory is refused and harms nothing:
 * move_pages(), soft offline and memory failure of a coherent page, a collapse
 * of memory around a device page.  The pages stay where they are, or come back
 * by a fault, with their data.
 */
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define NR 4

static void check_unharmed(const struct spaced *e)
{
	check_rss_anon();
	check_eq("pages intact", spaced_intact(e), NR);
	dmirror_to_system(e->dev, e->base, 2 * NR);
	check_eq("sum of mapcounts", spaced_mapcounts(e), NR);
	check_rss_anon();
}

static void test_move_pages(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int i, refused = 0;

	for (i = 0; i < NR; i++)
		refused += move_page(spaced_page(&e, i), 0) < 0;
	check_eq("move_pages refused", refused, NR);
	check_eq("pages on the device", spaced_on_device(&e), NR);
	check_unharmed(&e);
}

static void test_soft_offline(void)
{
	struct spaced e = spaced_map_on_device(DEVICE_COHERENT, NR);
	int ret = soft_offline_pfn(spaced_facts(&e, 0).pfn);

	diag("soft_offline_page: %s", strerror(-ret));
	check(ret, "soft offline of a device's page succeeded");
	check_eq("pages on the device", spaced_on_device(&e), NR);
	check_unharmed(&e);
}

static void test_collapse(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), 1);
	char *head = hpage_area();
	int i, ret;

	require_errno(!madvise(head, HPAGE_SIZE, MADV_NOHUGEPAGE), "madvise");
	for (i = 0; i < HPAGE_NR; i++)
		page_fill(head + i * PAGE_SIZE, i);
	drain_lru_caches();
	ret = dmirror_to_device(e.dev, head, 1);
	require(!ret && dmirror_has_page(e.dev, head), "MIGRATE_TO_DEV: %s",
		strerror(-ret));
	require_errno(!madvise(head, HPAGE_SIZE, MADV_HUGEPAGE), "madvise");
	ret = collapse(head, HPAGE_SIZE);
	diag("MADV_COLLAPSE: %s", strerror(-ret));
	check(ret ? !is_thp(head) : is_thp(head), "the result is not the case");
	check(!ret || dmirror_has_page(e.dev, head) ||
	      is_present(pagemap_entry(head)),
	      "the device's page is lost");
	check_rss_anon();
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-move-pages", .run = test_move_pages,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-move-pages", .run = test_move_pages,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-collapse", .run = test_collapse,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-collapse", .run = test_collapse,
		  .arg = DEVICE_COHERENT },
		{ .name = "coherent-soft-offline", .run = test_soft_offline },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
