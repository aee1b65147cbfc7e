// SPDX-License-Identifier: GPL-2.0
/* Anonymous memory with a pattern. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>

#include "rmaplab.h"

char *anon_map(size_t size, int advice)
{
	char *addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	require_errno(addr != MAP_FAILED, "mmap of %zu bytes", size);
	if (advice)
		require_errno(!madvise(addr, size, advice), "madvise(%d)",
			      advice);
	return addr;
}

/* Any two pages, and any two words of a page, differ. */
static uint64_t pattern(uint64_t seed, size_t i)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL ^ i;
}

void page_fill(void *page, uint64_t seed)
{
	size_t i, words = PAGE_SIZE / sizeof(uint64_t);
	volatile uint64_t *word = page;

	for (i = 0; i < words; i++)
		word[i] = pattern(seed, i);
}

bool page_intact(const void *page, uint64_t seed)
{
	size_t i, words = PAGE_SIZE / sizeof(uint64_t);
	const volatile uint64_t *word = page;

	for (i = 0; i < words; i++) {
		uint64_t got = word[i];

		if (got == pattern(seed, i))
			continue;
		diag("page of seed %lld, word %zu: %#llx, not %#llx",
		     (long long)seed, i, (unsigned long long)got,
		     (unsigned long long)pattern(seed, i));
		return false;
	}
	return true;
}

bool page_is_zero(const void *page)
{
	size_t i, words = PAGE_SIZE / sizeof(uint64_t);
	const volatile uint64_t *word = page;

	for (i = 0; i < words; i++)
		if (word[i])
			return false;
	return true;
}

long minor_faults(void)
{
	struct rusage usage;

	require_errno(!getrusage(RUSAGE_SELF, &usage), "getrusage");
	return usage.ru_minflt;
}
