// SPDX-License-Identifier: GPL-2.0
/* The sizes of pages: a workload that is told has nothing to look up. */
#define _GNU_SOURCE
#include <stdio.h>

#include "guest.h"
#include "protocol.h"
#include "sizes.h"

unsigned long page_size, hpage_size;
int page_shift;

static char variable[48];

void sizes_init(void)
{
	page_size = ask_page_size();
	page_shift = __builtin_ctzl(page_size);
	hpage_size = ask_hpage_size();
	snprintf(variable, sizeof(variable), ENV_HPAGE "=%lu", hpage_size);
}

char *sizes_environment(void)
{
	return variable;
}
