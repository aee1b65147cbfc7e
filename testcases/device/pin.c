// SPDX-License-Identifier: GPL-2.0
/*
 * Pins and device memory (mm/gup_test).  A long-term pin migrates coherent
 * pages out of the device first, and a private page comes back by a fault; a
 * short pin leaves a coherent page where it is.  What is pinned cannot migrate
 * to the device, and is read through the pin with its data.
 */
#include <string.h>

#include "rmaplab.h"

#define NR	8
#define SIZE	(NR * 2 * PAGE_SIZE)

static char copy[2 * NR * MAX_PAGE_SIZE];

static int pinned_intact(void)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_intact(copy + (2 * i + 1) * PAGE_SIZE, i);
	return n;
}

static void pin_long(unsigned int flags)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int ret, gup = gup_open();

	ret = gup_pin(gup, e.base, SIZE, flags);
	require(!ret, "PIN_LONGTERM: %s", strerror(-ret));
	check_eq("pages on the device, pinned", spaced_on_device(&e), 0);
	check_eq("PTEs present", spaced_count(&e, is_present), NR);
	check_eq("sum of mapcounts", spaced_mapcounts(&e), NR);
	check_rss_anon();
	ret = gup_read(gup, copy);
	check(!ret, "read through the pins: %s", strerror(-ret));
	check_eq("pages intact, through the pins", pinned_intact(), NR);

	dmirror_to_device(e.dev, e.base, 2 * NR);
	check_eq("pinned pages that migrated", spaced_on_device(&e), 0);
	check_eq("pages intact", spaced_intact(&e), NR);
	gup_unpin(gup);
	spaced_to_device(&e);
	check_eq("pages intact, not pinned any more", spaced_intact(&e), NR);
	check_rss_anon();
}

static void test_long(void)
{
	pin_long(GUP_PIN_WRITE);
}

static void test_long_fast(void)
{
	pin_long(GUP_PIN_WRITE | GUP_PIN_FAST);
}

static void test_short(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int gup = gup_open();

	check_eq("pages pinned", gup_pin_once(gup, e.base, SIZE, true), 2 * NR);
	check_eq("pages on the device", spaced_on_device(&e),
		 subtest_arg() == DEVICE_COHERENT ? NR : 0);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private-long", .run = test_long,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-long", .run = test_long,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-long-fast", .run = test_long_fast,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-long-fast", .run = test_long_fast,
		  .arg = DEVICE_COHERENT },
		{ .name = "private-short", .run = test_short,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent-short", .run = test_short,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
