// SPDX-License-Identifier: GPL-2.0
/*
 * Who wants to know of a memory failure at once is told its own address of it.
 *
 * 16 processes share anonymous pages, or a tmpfs file from another offset each;
 * half of the first ones have moved theirs by mremap(); every second one of all
 * asked for early signals (PR_MCE_KILL_EARLY).  Those, and no other, get a
 * SIGBUS with BUS_MCEERR_AO, and si_addr is where they map the page:
 * page_mapped_in_vma() and page_address_in_vma() have to find it.  A process
 * that has unmapped the page gets none.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "sharers.h"

#define NR		16
#define BAD		9
#define SHARERS		16
#define UNMAPPED	6	/* would be told, but has unmapped the page */

static char *addr, *bad;
static int file = -1;
static volatile long told;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_code == BUS_MCEERR_AO)
		told = (long)info->si_addr;
	else
		told = -1;
}

static bool wants_to_know(int who)
{
	return who && who % 2 == 0;
}

static char *own_place(int who)
{
	size_t size = NR * PAGE_SIZE;
	char *to;

	if (!who)
		return addr;
	if (file >= 0) {
		/* In front of it, so that it is another place. */
		require_errno(!munmap(addr, size), "munmap");
		to = mmap(addr - size, size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED, file, who % 8 * PAGE_SIZE);
		require_errno(to != MAP_FAILED, "mmap by sharer %d", who);
		return to - who % 8 * PAGE_SIZE;
	}
	if (who % 4 < 2)
		return addr;
	to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require_errno(to != MAP_FAILED, "mmap");
	to = mremap(addr, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	require_errno(to != MAP_FAILED, "mremap");
	return to;
}

static long prepare(int who, long arg)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	(void)arg;
	bad = own_place(who) + BAD * PAGE_SIZE;
	check(page_intact(bad, BAD), "sharer %d: page", who);
	require_errno(!sigaction(SIGBUS, &action, NULL), "sigaction");
	if (wants_to_know(who))
		require_errno(!prctl(PR_MCE_KILL, PR_MCE_KILL_SET,
				     PR_MCE_KILL_EARLY, 0, 0), "prctl");
	if (who == UNMAPPED)
		require_errno(!munmap(bad, PAGE_SIZE), "munmap");
	return 0;
}

/* 1 if it was told what it should be told, once it has run. */
static long was_told_right(int who, long arg)
{
	long expected = wants_to_know(who) && who != UNMAPPED ? (long)bad : 0;

	(void)arg;
	if (told != expected)
		diag("sharer %d: told %#lx, maps it at %#lx", who, told,
		     (long)bad);
	return told == expected;
}

static void poison(void)
{
	uint64_t pfn = page_facts(addr + BAD * PAGE_SIZE).pfn;

	sharers_fork(SHARERS);
	sharers_call(prepare, 0);
	watch_pfn(pfn);
	drain_lru_caches();
	poison_pfn(pfn);
	check_eq("sharers that were told right",
		 sharers_call(was_told_right, 0), SHARERS);
	sharers_end();
}

static void test_anon(void)
{
	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	poison();
}

static void test_shmem(void)
{
	file = shmem_file(2 * NR * PAGE_SIZE);
	/* Each process has room for its own mapping in front. */
	addr = anon_map(2 * NR * PAGE_SIZE, 0) + NR * PAGE_SIZE;
	addr = mmap(addr, NR * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, file, 0);
	require_errno(addr != MAP_FAILED, "mmap");
	pages_fill(addr, NR);
	poison();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "anon", test_anon, unpoison_watched, 0 },
		{ "shmem", test_shmem, unpoison_watched, 0 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
