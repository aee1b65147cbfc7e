// SPDX-License-Identifier: GPL-2.0
/* Merging of equal pages: see ksm.h. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ksm.h"
#include "sharers.h"

#define KSM		"/sys/kernel/mm/ksm/"
#define MAX_SCANS	50
#define MAX_WAITS	20000

long long ksm_number(const char *file)
{
	char path[128];
	long long value;

	snprintf(path, sizeof(path), KSM "%s", file);
	value = read_number(path);
	require(value >= 0, "%s cannot be read", path);
	return value;
}

static void ksm_write(const char *file, const char *text)
{
	char path[128];
	int ret;

	snprintf(path, sizeof(path), KSM "%s", file);
	ret = write_text(path, text);
	require(!ret, "%s: %s", path, strerror(-ret));
}

void require_ksm(void)
{
	if (!file_exists(KSM "run"))
		skip("no " KSM);
	ksm_write("run", "0");
	ksm_write("sleep_millisecs", "1");
	ksm_write("pages_to_scan", "10000");
}

char *ksm_map(int nr)
{
	return anon_map(nr * PAGE_SIZE, MADV_NOHUGEPAGE);
}

static int pages;

static long set_pages(int who, long nr)
{
	(void)who;
	pages = nr;
	return 0;
}

static long fill(int who, long addr)
{
	int i;

	(void)who;
	for (i = 0; i < pages; i++)
		page_fill((char *)addr + i * PAGE_SIZE, 0);
	require_errno(!madvise((char *)addr, pages * PAGE_SIZE, MADV_MERGEABLE),
		      "MADV_MERGEABLE");
	return 0;
}

void ksm_fill(char *addr, int nr)
{
	sharers_call(set_pages, nr);
	sharers_call(fill, (long)addr);
}

static long intact(int who, long addr)
{
	const char *page = (const char *)addr;
	int i, n = 0;

	(void)who;
	for (i = 0; i < pages; i++)
		n += page_intact(page + i * PAGE_SIZE, 0);
	return n;
}

int ksm_intact(char *addr, int nr)
{
	sharers_call(set_pages, nr);
	return sharers_call(intact, (long)addr);
}

int ksm_mapping(const void *addr, int nr, uint64_t pfn)
{
	int i, n = 0;

	for (i = 0; i < nr; i++)
		n += sharers_mapping((const char *)addr + i * PAGE_SIZE, pfn);
	return n;
}

static void one_scan(void)
{
	long long scans = ksm_number("full_scans");
	int waits = 0;

	while (ksm_number("full_scans") == scans) {
		require(++waits < MAX_WAITS, "ksmd does not finish a scan");
		usleep(1000);
	}
}

void ksm_merge(const void *addr, int nr)
{
	int scan, n = 0, all = nr * sharers_nr();

	require(all < 256, "%d pages are too many to become one", all);
	ksm_write("run", "1");
	for (scan = 0; scan < MAX_SCANS && n < all; scan++) {
		one_scan();
		n = ksm_mapping(addr, nr, page_facts(addr).pfn);
	}
	ksm_write("run", "0");
	diag("KSM: %d pages became one in %d scans; sharing %lld, shared %lld",
	     n, scan, ksm_number("pages_sharing"), ksm_number("pages_shared"));
	require(n == all, "only %d of %d pages were merged", n, all);
	watch_pfn(page_facts(addr).pfn);
}

void ksm_unmerge(void)
{
	ksm_write("run", "2");
}
