// SPDX-License-Identifier: GPL-2.0
/*
 * The device goes away while its memory is in use: the driver evicts all of it
 * by migrate_device_range(), which finds the PTEs through the reverse map.  All
 * pages are ordinary memory afterwards, mapped once, with their data.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "rmaplab.h"

#define NR 16

static void test_evict(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int gone = e.dev;

	e.dev = subtest_arg() == DEVICE_PRIVATE ? dmirror_open_private() :
						  dmirror_open_coherent();
	check_eq("pages on the device", spaced_on_device(&e), NR);
	/* The release of a mirror evicts the memory of its device. */
	require_errno(!close(gone), "close");
	check_eq("pages on the device, evicted", spaced_on_device(&e), 0);
	check_eq("PTEs present", spaced_count(&e, is_present), NR);
	check_eq("sum of mapcounts", spaced_mapcounts(&e), NR);
	check_rss_anon();
	check_eq("pages intact", spaced_intact(&e), NR);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private", .run = test_evict, .arg = DEVICE_PRIVATE },
		{ .name = "coherent", .run = test_evict,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
