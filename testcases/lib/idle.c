// SPDX-License-Identifier: GPL-2.0
/* Idle page tracking: see idle.h.  The bitmap is read and written by words. */
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "idle.h"

#define BITMAP	"/sys/kernel/mm/page_idle/bitmap"

void require_page_idle(void)
{
	if (!file_exists(BITMAP))
		skip("no " BITMAP);
}

/*
 * The kernel does what is asked for the last, incomplete word of memory too,
 * but counts no byte for it.
 */
static bool done(ssize_t n)
{
	return n == sizeof(uint64_t) || !n;
}

static off_t word_of(uint64_t pfn)
{
	return pfn / 64 * sizeof(uint64_t);
}

void idle_set(const void *addr, int nr)
{
	int fd = open(BITMAP, O_WRONLY | O_CLOEXEC);
	uint64_t word, pfn;
	int i;

	require_errno(fd >= 0, BITMAP);
	drain_lru_caches();
	for (i = 0; i < nr; i++) {
		pfn = page_facts((const char *)addr + i * PAGE_SIZE).pfn;
		require(pfn, "page %d is not in memory", i);
		word = 1ULL << pfn % 64;
		require_errno(done(pwrite(fd, &word, sizeof(word),
					  word_of(pfn))), BITMAP);
		require(pfn_facts(pfn).flags & KPF_IDLE,
			"page %d did not become idle", i);
	}
	close(fd);
}

bool page_is_idle(const void *addr)
{
	int fd = open(BITMAP, O_RDONLY | O_CLOEXEC);
	uint64_t pfn = page_facts(addr).pfn, word;

	require_errno(fd >= 0, BITMAP);
	require(pfn, "a page is not in memory");
	require_errno(done(pread(fd, &word, sizeof(word), word_of(pfn))),
		      BITMAP);
	close(fd);
	return pfn_facts(pfn).flags & KPF_IDLE;
}
