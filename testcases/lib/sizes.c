// SPDX-License-Identifier: GPL-2.0
/*
 * The sizes of pages.  The agent says how large a huge page is, so that a
 * workload has nothing to look up; outside the lab the kernel does.
 */
#include "guest.h"
#include "protocol.h"
#include "rmaplab.h"

unsigned long page_size, hpage_size;
int hpage_nr;

static void __attribute__((constructor)) ask_sizes(void)
{
	const char *told = getenv(ENV_HPAGE);

	page_size = ask_page_size();
	hpage_size = told ? strtoul(told, NULL, 10) : 0;
	if (!hpage_size)
		hpage_size = ask_hpage_size();
	hpage_nr = hpage_size / page_size;
}
