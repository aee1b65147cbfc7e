// SPDX-License-Identifier: GPL-2.0
/* Memory blocks: Documentation/admin-guide/mm/memory-hotplug.rst */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rmaplab.h"

#define MEMORY "/sys/devices/system/memory/"

/* The file is hexadecimal without 0x. */
uint64_t memory_block_pages(void)
{
	char text[32] = "";

	if (!read_text(MEMORY "block_size_bytes", text, sizeof(text)))
		skip("no " MEMORY "block_size_bytes");
	return strtoull(text, NULL, 16) / PAGE_SIZE;
}

unsigned long memory_block_of(uint64_t pfn)
{
	return pfn / memory_block_pages();
}

bool memory_block_is(unsigned long block, const char *file, const char *text)
{
	char path[128], got[64] = "";

	snprintf(path, sizeof(path), MEMORY "memory%lu/%s", block, file);
	require(read_text(path, got, sizeof(got)), "%s cannot be read", path);
	return !strcmp(got, text);
}

int memory_block_set(unsigned long block, const char *state)
{
	char path[128];

	snprintf(path, sizeof(path), MEMORY "memory%lu/state", block);
	return write_text(path, state);
}
