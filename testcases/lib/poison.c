// SPDX-License-Identifier: GPL-2.0
/* Memory failure on demand: mm/hwpoison-inject.c and soft_offline_page. */
#include <stdio.h>
#include <string.h>

#include "rmaplab.h"

#define HWPOISON	"/sys/kernel/debug/hwpoison/"
#define SOFT_OFFLINE	"/sys/devices/system/memory/soft_offline_page"

static int write_number(const char *path, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%#llx", (unsigned long long)value);
	return write_text(path, text);
}

int hwpoison_pfn(uint64_t pfn)
{
	if (!file_exists(HWPOISON "corrupt-pfn"))
		skip("no " HWPOISON "corrupt-pfn");
	return write_number(HWPOISON "corrupt-pfn", pfn);
}

void poison_pfn(uint64_t pfn)
{
	int ret = hwpoison_pfn(pfn);

	require(!ret, "corrupt-pfn: %s", strerror(-ret));
	check(pfn_facts(pfn).flags & KPF_HWPOISON, "not poisoned");
}

int soft_offline_pfn(uint64_t pfn)
{
	if (!file_exists(SOFT_OFFLINE))
		skip("no " SOFT_OFFLINE);
	return write_number(SOFT_OFFLINE, pfn * PAGE_SIZE);
}

void unpoison_watched(void)
{
	uint64_t pfn;
	int i, ret;

	for (i = 0; (pfn = watched_pfn(i)); i++) {
		if (!(pfn_facts(pfn).flags & KPF_HWPOISON))
			continue;
		ret = write_number(HWPOISON "unpoison-pfn", pfn);
		diag("unpoison pfn %#llx: %s", (unsigned long long)pfn,
		     ret ? strerror(-ret) : "0");
	}
}
