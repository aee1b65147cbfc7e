// SPDX-License-Identifier: GPL-2.0
/*
 * What is cut out of a tmpfs file goes from every mapping of it.
 *
 * 1, 2, 16 or 64 processes map the file from other offsets on; every third maps
 * it private and has written to every second page, so these are its own.
 *
 * A hole in the middle: shared mappings and private ones that were not written
 * read zeroes there, private pages that were written stay.  Truncation behind
 * that: every access beyond the end is a SIGBUS, to private pages too, and the
 * pages are free: their mapcount is 0.  What is in front of both is intact.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sharers.h"

#define NR		32
#define HOLE		10
#define HOLE_END	20
#define END		24	/* of the file, truncated */

static int file;
static char *mine;

static int first(int who)
{
	return who % 8;
}

static bool is_private(int who)
{
	return who % 3 == 2;
}

static char *page(int who, int i)
{
	return mine + (i - first(who)) * PAGE_SIZE;
}

/* Every second page: the others of a private mapping are the file's. */
static bool written(int who, int i)
{
	return is_private(who) && i % 2;
}

static long map_own(int who, long arg)
{
	int i;

	(void)arg;
	mine = mmap(NULL, (NR - first(who)) * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    is_private(who) ? MAP_PRIVATE : MAP_SHARED, file,
		    first(who) * PAGE_SIZE);
	require_errno(mine != MAP_FAILED, "mmap by sharer %d", who);
	for (i = first(who); i < NR; i++)
		if (written(who, i))
			page_fill(page(who, i), 1000 * who + i);
	return 0;
}

/* 1 if every page is as it should be: phase 0 whole, 1 with the hole, 2 cut. */
static long is_right(int who, long phase)
{
	int i, wrong = 0;

	for (i = first(who); i < NR; i++) {
		if (phase == 2 && i >= END)
			wrong += access_signal(page(who, i), false) != SIGBUS;
		else if (written(who, i))
			wrong += !page_intact(page(who, i), 1000 * who + i);
		else if (phase && i >= HOLE && i < HOLE_END)
			wrong += !page_is_zero(page(who, i));
		else
			wrong += !page_intact(page(who, i), i);
	}
	return !wrong;
}

static int mapcounts(const struct pfns *pfns, int from, int to)
{
	int i, n = 0;

	for (i = from; i < to; i++)
		if (!(pfn_facts(pfns->pfn[i]).flags & KPF_ANON))
			n += pfn_facts(pfns->pfn[i]).count;
	return n;
}

static void test_truncate(void)
{
	struct pfns pfns;

	file = shmem_file(NR * PAGE_SIZE);
	mine = shmem_map(file, NR * PAGE_SIZE);
	pages_fill(mine, NR);
	sharers_fork(subtest_arg());
	sharers_call_others(map_own, 0);
	check_eq("sharers with the right data", sharers_call(is_right, 0),
		 sharers_nr());
	pfns = pfns_of(mine, NR);

	require_errno(!fallocate(file, FALLOC_FL_PUNCH_HOLE |
				 FALLOC_FL_KEEP_SIZE, HOLE * PAGE_SIZE,
				 (HOLE_END - HOLE) * PAGE_SIZE), "fallocate");
	check_eq("PTEs of the hole, of this process",
		 count_ptes(mine + HOLE * PAGE_SIZE, HOLE_END - HOLE,
			    is_present), 0);
	check_eq("sharers with the right data, with a hole",
		 sharers_call(is_right, 1), sharers_nr());

	require_errno(!ftruncate(file, END * PAGE_SIZE), "ftruncate");
	check_eq("mapcounts of the pages behind the end",
		 mapcounts(&pfns, END, NR), 0);
	check_eq("sharers with the right data, truncated",
		 sharers_call(is_right, 2), sharers_nr());
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "truncate", test_truncate),
		SHARED_BY(2, "truncate", test_truncate),
		SHARED_BY(16, "truncate", test_truncate),
		SHARED_BY(64, "truncate", test_truncate),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
