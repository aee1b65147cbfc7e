// SPDX-License-Identifier: GPL-2.0
/*
 * A THP to device memory, all of it or one page: the THP is split and its pages
 * migrate one by one; data and RSS are kept, and each page that is ordinary
 * memory in the end is mapped once.
 */
#include <string.h>

#include "rmaplab.h"

#define ONE 77

static int device(void)
{
	return subtest_arg() == DEVICE_PRIVATE ? dmirror_open_private() :
						 dmirror_open_coherent();
}

static int on_device(int dev, const char *head)
{
	int i, n = 0;

	for (i = 0; i < HPAGE_NR; i++)
		n += dmirror_has_page(dev, head + i * PAGE_SIZE);
	return n;
}

static int mapped_once(const char *head)
{
	int i, n = 0;

	for (i = 0; i < HPAGE_NR; i++)
		n += page_facts(head + i * PAGE_SIZE).count == 1;
	return n;
}

static void check_home(int dev, char *head)
{
	int ret = dmirror_to_system(dev, head, HPAGE_NR);

	check(!ret, "MIGRATE_TO_SYS: %s", strerror(-ret));
	check_eq("pages on the device, back", on_device(dev, head), 0);
	check_eq("pages with mapcount 1", mapped_once(head), HPAGE_NR);
	check_eq("pages intact", intact_pages(head, HPAGE_NR), HPAGE_NR);
	check_rss_anon();
}

static void test_whole(void)
{
	int ret, dev = device();
	char *head = thp_map();

	drain_lru_caches();
	ret = dmirror_to_device(dev, head, HPAGE_NR);
	check(!ret, "MIGRATE_TO_DEV: %s", strerror(-ret));
	check_eq("pages on the device", on_device(dev, head), HPAGE_NR);
	check_rss_anon();
	check_home(dev, head);
}

static void test_one_page(void)
{
	int ret, dev = device();
	char *head = thp_map();

	drain_lru_caches();
	ret = dmirror_to_device(dev, head + ONE * PAGE_SIZE, 1);
	check(!ret, "MIGRATE_TO_DEV: %s", strerror(-ret));
	check_eq("pages on the device", on_device(dev, head), 1);
	check_rss_anon();
	check_home(dev, head);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-whole", .run = test_whole,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-whole", .run = test_whole,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-one-page", .run = test_one_page,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-one-page", .run = test_one_page,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
