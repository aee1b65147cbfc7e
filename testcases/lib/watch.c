// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that must be free once the process that had them is gone.
 *
 * A free page soon belongs to somebody else.  So a watched page that is
 * anonymous memory is leaked only if no living process maps it, and only if it
 * stays like that: its next owner may have unmapped it already, which leaves it
 * in the state of a leaked page until the batch that it is on is drained.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "rmaplab.h"

#define MAX_WATCHED	4096
#define CHUNK		512	/* pagemap entries, one page table's */
#define RECLAIM_ROUNDS	8
#define LOOKS		4	/* at a page before it is called leaked */

static uint64_t *watched;	/* shared with the subtest; [0] is how many */

/* Called by the parent, before it forks a subtest. */
void watch_reset(void)
{
	if (!watched) {
		watched = mmap(NULL, (MAX_WATCHED + 1) * sizeof(*watched),
			       PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (watched == MAP_FAILED)
			bail_out("mmap: %s", strerror(errno));
	}
	watched[0] = 0;
}

void watch_pfn(uint64_t pfn)
{
	require(watched[0] < MAX_WATCHED, "too many watched pages");
	watched[++watched[0]] = pfn;
}

uint64_t watched_pfn(int i)
{
	return (uint64_t)i < watched[0] ? watched[i + 1] : 0;
}

/*
 * A page that was just faulted in is on a CPU's batch of pages on their way to
 * the LRU, which holds a reference: unmapped, it stays anonymous memory until
 * the batch is drained.  6.1's drop_caches does not do that.
 */
void drain_lru_caches(void)
{
	errno = drain_lru_batches();
	require_errno(!errno, "move_pages");
}

static bool range_maps(int pagemap, unsigned long start, unsigned long end,
		       uint64_t pfn)
{
	unsigned long page = start / PAGE_SIZE, last = end / PAGE_SIZE;
	uint64_t entry[CHUNK];
	ssize_t i, n;

	for (; page < last; page += n) {
		n = last - page < CHUNK ? last - page : CHUNK;
		n = pread(pagemap, entry, n * sizeof(entry[0]),
			  page * sizeof(entry[0]));
		if (n <= 0)
			break;
		n /= sizeof(entry[0]);
		for (i = 0; i < n; i++)
			if (is_present(entry[i]) &&
			    PM_PFN(entry[i]) == pfn)
				return true;
	}
	return false;
}

static bool process_maps(const char *pid, uint64_t pfn)
{
	unsigned long start, end;
	char path[300], line[512];
	bool found = false;
	int pagemap;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%s/pagemap", pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = range_maps(pagemap, start, end, pfn);
	if (maps)
		fclose(maps);
	if (pagemap >= 0)
		close(pagemap);
	return found;
}

static bool any_process_maps(uint64_t pfn)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	require_errno(proc, "/proc");
	while (!found && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			found = process_maps(entry->d_name, pfn);
	closedir(proc);
	return found;
}

static bool is_leaked(const struct page_facts *p)
{
	return (p->flags & KPF_ANON) && !any_process_maps(p->pfn);
}

/*
 * What frees a swap entry leaves the page in the swap cache if somebody has it
 * locked at that moment (free_swap_cache(), __try_to_reclaim_swap()); reclaim
 * gets it later.  So let reclaim have it now: a page with a reference too many
 * it cannot free.
 */
static struct page_facts reclaim_swap_cache(struct page_facts p)
{
	int round, ret;

	for (round = 0; round < RECLAIM_ROUNDS; round++) {
		if (!(p.flags & KPF_SWAPCACHE) || p.count)
			break;
		ret = memcg_reclaim_anon(HPAGE_SIZE);
		diag("after exit, pfn %#llx is in the swap cache: reclaim %d",
		     (unsigned long long)p.pfn, ret);
		p = pfn_facts(p.pfn);
	}
	return p;
}

/*
 * What reclaim of this cgroup cannot free may still be nothing but swap cache.
 * Without its swap area a page is that no longer; one that somebody holds stays
 * anonymous memory.
 */
static void empty_swap_cache(const struct page_facts *pages, int nr)
{
	char device[128];
	int i, off, on;

	for (i = 0; i < nr && !(pages[i].flags & KPF_SWAPCACHE); i++)
		;
	if (i == nr || swap_areas(device, sizeof(device)) != 1)
		return;
	off = swap_off(device);
	on = off ? 0 : swap_on(device);
	diag("after exit, pfn %#llx is in the swap cache still: swapoff %d, swapon %d",
	     (unsigned long long)pages[i].pfn, off, on);
}

/* Of nr pages keep those that look leaked; returns how many. */
static int keep_leaked(struct page_facts *pages, int nr)
{
	struct page_facts p;
	int i, kept = 0;

	for (i = 0; i < nr; i++) {
		p = pfn_facts(pages[i].pfn);
		if (is_leaked(&p))
			p = reclaim_swap_cache(p);
		if (is_leaked(&p))
			pages[kept++] = p;
	}
	return kept;
}

bool watched_pfns_are_free(void)
{
	static struct page_facts pages[MAX_WATCHED];
	int nr = watched[0], i, look;

	for (i = 0; i < nr; i++)
		pages[i].pfn = watched_pfn(i);
	for (look = 0; nr && look < LOOKS; look++) {
		if (look)
			empty_swap_cache(pages, nr);
		drain_lru_caches();
		nr = keep_leaked(pages, nr);
	}
	for (i = 0; i < nr; i++)
		diag("FAILED: after exit, pfn %#llx: count=%lld flags=%#llx",
		     (unsigned long long)pages[i].pfn,
		     (long long)pages[i].count,
		     (unsigned long long)pages[i].flags);
	return !nr;
}
