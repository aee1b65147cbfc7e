// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim of shared memory, of a tmpfs file and anonymous, that 1 to 64
 * processes map.
 *
 * The PTEs of all go, without a swap entry in them; what any of them wrote is
 * known by the dirty bit of its PTE alone, so each page is written by another
 * process, and all of them are intact, for all, when they are read again: one
 * page for all, its mapcount the number of processes.  Then the same once more
 * with other data, which must not come back as the old.
 */
#include <sys/mman.h>

#include "move.h"
#include "sharers.h"

#define NR 16

static char *shared;

static long read_all(int who, long first_seed)
{
	int i, n = 0;

	(void)who;
	for (i = 0; i < NR; i++)
		n += page_intact(shared + i * PAGE_SIZE, first_seed + i);
	return n;
}

/* Page I % NR gets seed I. */
static long write_page(int who, long i)
{
	(void)who;
	page_fill(shared + (i % NR) * PAGE_SIZE, i);
	return 0;
}

/*
 * A write fault would make the folio dirty.  After a read fault the PTE is
 * writable and clean: a write then is seen in the PTE alone.
 */
static long read_first(int who, long nr)
{
	long i, sum = 0;

	(void)who;
	for (i = 0; i < nr; i++)
		sum += *(volatile char *)(shared + i * PAGE_SIZE);
	return sum;
}

static bool none_present(const void *addr, int nr)
{
	return !sharers_count(addr, nr, is_present);
}

static void one_round(int first_seed)
{
	int i;

	for (i = 0; i < NR; i++)
		sharer_call((i + 1) % sharers_nr(), write_page, first_seed + i);
	check_eq("pages read, by all", sharers_call(read_all, first_seed),
		 NR * sharers_nr());
	check_shared_by_all(shared, NR);
	check(reclaim_until(none_present, shared, NR),
	      "PTEs that are still present: %d",
	      sharers_count(shared, NR, is_present));
	check_eq("pages intact, for all", sharers_call(read_all, first_seed),
		 NR * sharers_nr());
	check_shared_by_all(shared, NR);
}

static void reclaim_mapping(int fd, int flags)
{
	require_memcg();
	require_swap();
	shared = mmap(NULL, NR * PAGE_SIZE, PROT_READ | PROT_WRITE, flags, fd,
		      0);
	require_errno(shared != MAP_FAILED, "mmap");
	sharers_fork(subtest_arg());
	sharers_call(read_first, NR);
	one_round(0);
	one_round(NR);
	sharers_end();
}

static void test_file(void)
{
	int fd = shmem_file(NR * PAGE_SIZE);

	reclaim_mapping(fd, MAP_SHARED);
}

static void test_anon(void)
{
	reclaim_mapping(-1, MAP_SHARED | MAP_ANONYMOUS);
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "file", test_file),
		SHARED_BY(2, "file", test_file),
		SHARED_BY(16, "file", test_file),
		SHARED_BY(64, "file", test_file),
		SHARED_BY(1, "anon", test_anon),
		SHARED_BY(2, "anon", test_anon),
		SHARED_BY(16, "anon", test_anon),
		SHARED_BY(64, "anon", test_anon),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
