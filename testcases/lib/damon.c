// SPDX-License-Identifier: GPL-2.0
/* DAMON on physical addresses: Documentation/admin-guide/mm/damon/usage.rst */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "rmaplab.h"

#define ADMIN	"/sys/kernel/mm/damon/admin/kdamonds/"
#define CONTEXT	"0/contexts/0/"

static void put(const char *file, unsigned long long value)
{
	char path[192], text[32];
	int ret;

	snprintf(path, sizeof(path), ADMIN "%s", file);
	snprintf(text, sizeof(text), "%llu", value);
	ret = write_text(path, text);
	require(!ret, "%s = %s: %s", path, text, strerror(-ret));
}

void damon_start(uint64_t start_pfn, uint64_t nr, unsigned int regions)
{
	int ret;

	if (!file_exists(ADMIN "nr_kdamonds"))
		skip("no " ADMIN);
	put("nr_kdamonds", 1);
	put("0/contexts/nr_contexts", 1);
	ret = write_text(ADMIN CONTEXT "operations", "paddr");
	require(!ret, "DAMON operations paddr: %s", strerror(-ret));
	put(CONTEXT "monitoring_attrs/intervals/sample_us", 1000);
	put(CONTEXT "monitoring_attrs/intervals/aggr_us", 10000);
	put(CONTEXT "monitoring_attrs/intervals/update_us", 1000000);
	put(CONTEXT "monitoring_attrs/nr_regions/max", regions * 2);
	put(CONTEXT "monitoring_attrs/nr_regions/min", regions);
	put(CONTEXT "targets/nr_targets", 1);
	put(CONTEXT "targets/0/regions/nr_regions", 1);
	put(CONTEXT "targets/0/regions/0/start", start_pfn * PAGE_SIZE);
	put(CONTEXT "targets/0/regions/0/end", (start_pfn + nr) * PAGE_SIZE);
	ret = write_text(ADMIN "0/state", "on");
	require(!ret, "DAMON on: %s", strerror(-ret));
}

void damon_stop(void)
{
	int ret = write_text(ADMIN "0/state", "off");

	require(!ret, "DAMON off: %s", strerror(-ret));
	put("nr_kdamonds", 0);
}
