// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of a first process are found in the last one of a chain of forks.
 *
 * 8 generations: each process forks the next, and each writes one page of its
 * own of the 16 that it got, so that its VMA gets an anon_vma of its own.  Then all
 * between the first and the last exit.  The last one maps pages of the first
 * (which are in the first one's anon_vma), of every dead generation, and its
 * own.  All of them are soft offlined, one by one: each gets another PFN, in
 * whoever maps it, mapcounts fit, and every process has the data of its own
 * generation.  A walk that missed a VMA would leave the old PFN there, and soft
 * offline would fail.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sharers.h"

#define NR		16
#define GENERATIONS	8

static char *addr;

/* Page i is of generation i, as seen by generation G; the rest of the first. */
static int seed(int g, int i)
{
	return i >= 1 && i <= g ? 1000 * i : i;
}

static int own_intact(int g)
{
	int i, n = 0;

	for (i = 0; i < NR; i++)
		n += page_intact(addr + i * PAGE_SIZE, seed(g, i));
	return n;
}

/* The number of pages whose soft offline gave another PFN. */
static int offline_all(void)
{
	int i, ret, n = 0;

	drain_lru_caches();
	for (i = 0; i < NR; i++) {
		uint64_t pfn = page_facts(addr + i * PAGE_SIZE).pfn;

		watch_pfn(pfn);
		ret = soft_offline_pfn(pfn);
		if (ret)
			diag("soft offline of page %d: %s", i, strerror(-ret));
		n += !ret && page_facts(addr + i * PAGE_SIZE).pfn != pfn;
		watch_pfn(page_facts(addr + i * PAGE_SIZE).pfn);
	}
	return n;
}

/* Each generation ends when the next one is there; the last one returns. */
static void live_and_fork(void)
{
	pid_t pid;
	int g;

	for (g = 1; g <= GENERATIONS; g++) {
		page_fill(addr + g * PAGE_SIZE, 1000 * g);
		if (g == GENERATIONS)
			return;
		pid = fork();
		require_errno(pid >= 0, "fork of generation %d", g + 1);
		if (pid)
			_exit(0);
	}
}

static void __noreturn last_generation(int say, int hear)
{
	char c = 'x';

	require_errno(write(say, &c, 1) == 1, "write");
	while (read(hear, &c, 1) == 1) {
		check_eq("pages moved, of the last generation", offline_all(),
			 NR);
		check_eq("pages intact, of the last generation",
			 own_intact(GENERATIONS), NR);
		require_errno(write(say, &c, 1) == 1, "write");
	}
	child_done();
}

static void test_chain(void)
{
	int say[2], hear[2], i, right = 0;
	struct pfns old;
	pid_t pid;
	char c;

	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	old = pfns_of(addr, NR);
	require_errno(!pipe(say) && !pipe(hear), "pipe");
	/* So that the last generation is our child, to be joined. */
	require_errno(!prctl(PR_SET_CHILD_SUBREAPER, 1), "subreaper");
	pid = fork();
	require_errno(pid >= 0, "fork");
	if (!pid) {
		close(say[0]);
		close(hear[1]);
		live_and_fork();
		last_generation(say[1], hear[0]);
	}
	close(say[1]);
	close(hear[0]);
	require(read(say[0], &c, 1) == 1, "the last generation died");
	/* All of those between have exited before they can be waited for. */
	for (i = 1; i < GENERATIONS; i++)
		require_errno(wait(NULL) > 0, "wait");

	/* Page 0 and those from GENERATIONS + 1 on are shared, by two. */
	for (i = 0; i < NR; i++)
		right += page_facts(addr + i * PAGE_SIZE).count ==
			 (i >= 1 && i <= GENERATIONS ? 1 : 2);
	check_eq("pages with the mapcount of their mappers", right, NR);

	require_errno(write(hear[1], &c, 1) == 1, "write");
	require(read(say[0], &c, 1) == 1, "the last generation died");
	check_eq("shared pages that moved for the first process too",
		 NR - pfns_kept(&old, addr), NR - GENERATIONS);
	check_eq("pages intact, of the first process", own_intact(0), NR);
	close(hear[1]);
	require_errno(wait(&i) > 0, "wait");
	check(!i, "the last generation failed: %#x", i);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ "chain", test_chain, unpoison_watched, 0 },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
