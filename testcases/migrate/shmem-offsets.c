// SPDX-License-Identifier: GPL-2.0
/*
 * move_pages() of the pages of a tmpfs file that 1, 2, 16 or 64 processes map
 * shared, each at an address of its own and from another offset on.
 *
 * rmap_walk_file() finds them by the file's i_mmap tree.  Process i maps from
 * page i % 8 on, so page j is mapped by those with i % 8 <= j: exactly that is
 * its mapcount, before and after, and each of them shows the new PFN.  What one
 * writes then, all see.
 *
 * tmpfs learns of a write by the dirty bit of a PTE alone.  So the pages are
 * reclaimed afterwards: a migration that lost the bit would lose the data.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR	16
#define STEPS	8

static int file;
static char *mine;			/* where this process maps page first() */
static char *window[MAX_SHARERS];	/* the same of all */

static int first(int who)
{
	return who % STEPS;
}

static long map_own(int who, long arg)
{
	(void)arg;
	mine = mmap(NULL, (NR - first(who)) * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED, file, first(who) * PAGE_SIZE);
	require_errno(mine != MAP_FAILED, "mmap by sharer %d", who);
	return (long)mine;
}

/* How many pages of its window a sharer reads intact. */
static long read_window(int who, long arg)
{
	int j, n = 0;

	(void)arg;
	for (j = first(who); j < NR; j++)
		n += page_intact(mine + (j - first(who)) * PAGE_SIZE, j);
	return n;
}

/* PTEs that map page j of the file, by all windows, under one PFN: into PFN. */
static int mapping(int j, uint64_t *pfn)
{
	uint64_t entry;
	int who, n = 0;

	*pfn = PM_PFN(pagemap_entry(window[0] + j * PAGE_SIZE));
	for (who = 0; who < sharers_nr(); who++) {
		if (j < first(who))
			continue;
		entry = pagemap_entry_of(sharer_pid(who), window[who] +
					 (j - first(who)) * PAGE_SIZE);
		n += is_present(entry) && PM_PFN(entry) == *pfn;
	}
	return n;
}

static struct pfns check_pages(void)
{
	struct pfns now = { .nr = NR };
	int who, j, n, ptes = 0, counted = 0, expected = 0;

	for (who = 0; who < sharers_nr(); who++)
		expected += NR - first(who);
	check_eq("pages read intact", sharers_call(read_window, 0), expected);
	for (j = 0; j < NR; j++) {
		n = mapping(j, &now.pfn[j]);
		ptes += n;
		counted += (int)pfn_facts(now.pfn[j]).count == n;
	}
	check_eq("PTEs that map the pages", ptes, expected);
	check_eq("pages with a mapcount of as many", counted, NR);
	return now;
}

static bool none_present(const void *addr, int nr)
{
	uint64_t entry[NR];
	int who, j, n = 0;

	(void)addr;
	for (who = 0; who < sharers_nr(); who++) {
		pagemap_entries_of(sharer_pid(who), window[who],
				   nr - first(who), entry);
		for (j = 0; j < nr - first(who); j++)
			n += is_present(entry[j]);
	}
	return !n;
}

static long read_last(int who, long seed)
{
	return page_intact(mine + (NR - 1 - first(who)) * PAGE_SIZE, seed);
}

static void test_move(void)
{
	struct pfns old, new;
	int who, j, kept = 0;

	require_node(1);
	require_memcg();
	require_swap();
	file = shmem_file(NR * PAGE_SIZE);
	sharers_fork(subtest_arg());
	for (who = 0; who < sharers_nr(); who++)
		window[who] = (char *)sharer_call(who, map_own, 0);
	allocate_on(0);
	/* A write fault would make the folio dirty, a read fault does not. */
	for (j = 0; j < NR; j++)
		(void)*(volatile char *)(mine + j * PAGE_SIZE);
	pages_fill(mine, NR);
	allocate_anywhere();
	old = check_pages();

	check_eq("pages that arrived", move_shared_pages(mine, NR, 1), NR);
	new = check_pages();
	for (j = 0; j < NR; j++)
		kept += new.pfn[j] == old.pfn[j];
	check_eq("pages with their old PFN", kept, 0);

	check(reclaim_until(none_present, NULL, NR), "PTEs were left mapped");
	check_pages();
	page_fill(mine + (NR - 1) * PAGE_SIZE, 99);
	check_eq("sharers that see what sharer 0 wrote",
		 sharers_call(read_last, 99), sharers_nr());
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "move", test_move),
		SHARED_BY(2, "move", test_move),
		SHARED_BY(16, "move", test_move),
		SHARED_BY(64, "move", test_move),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
