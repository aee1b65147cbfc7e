// SPDX-License-Identifier: GPL-2.0
/*
 * One swap area more than the unpatched kernel allows.
 *
 * 32 swap types less those that are no swap areas: 3 for migration, 1 for
 * hwpoison, 1 for PTE markers, 2 for device private memory and 1 for
 * device-exclusive entries leave 24 (include/linux/swap.h, MAX_SWAPFILES).
 * The unpatched kernel takes 2 for device-exclusive entries: EPERM.
 */
#include <errno.h>
#include <string.h>

#include "rmaplab.h"

#define MAX_AREAS	24
#define AREA_PAGES	64	/* more than the 10 that swapon wants */

static void test_swap_areas(void)
{
	char device[MAX_AREAS][64], first[64];
	int id[MAX_AREAS], ret = 0, last = 0;
	int i, n = swap_areas(first, sizeof(first));

	diag("swap areas at first: %d", n);
	for (i = n; i < MAX_AREAS; i++) {
		id[i] = zram_add(AREA_PAGES, device[i], sizeof(device[i]));
		ret = swap_on(device[i]);
		if (ret)
			break;
		last = i;
	}
	check(!ret, "swapon of area %d: %s", i + 1, strerror(-ret));
	check_eq("swap areas", swap_areas(first, sizeof(first)), MAX_AREAS);
	if (!ret)
		id[i] = zram_add(AREA_PAGES, first, sizeof(first));
	check_eq("swapon of one more", swap_on(first), -EPERM);
	zram_remove(id[i]);
	for (i = last; i >= n; i--) {
		ret = swap_off(device[i]);
		require(!ret, "swapoff %s: %s", device[i], strerror(-ret));
		zram_remove(id[i]);
	}
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "areas", .run = test_swap_areas },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
