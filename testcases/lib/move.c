// SPDX-License-Identifier: GPL-2.0
/* Ways to make the kernel move pages, and to take them away: see move.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "move.h"
#include "sharers.h"

#define MAX_ROUNDS	40
#define LRU_GEN		"/sys/kernel/mm/lru_gen/enabled"

char *anon_map_on(int node, int nr)
{
	char *addr = anon_map(nr * PAGE_SIZE, MADV_NOHUGEPAGE);

	allocate_on(node);
	pages_fill(addr, nr);
	allocate_anywhere();
	return addr;
}

int move_shared_page(void *page, int node)
{
	int status = -ENODATA;

	/* A positive value: that many could not be moved, status says why. */
	if (syscall(SYS_move_pages, 0, 1UL, &page, &node, &status,
		    MPOL_MF_MOVE_ALL) < 0)
		return -errno;
	return status;
}

int move_shared_pages(void *addr, int nr, int node)
{
	int i, status, n = 0;

	for (i = 0; i < nr; i++) {
		status = move_shared_page((char *)addr + i * PAGE_SIZE, node);
		if (status == node)
			n++;
		else
			diag("move_pages, page %d: status %d", i, status);
	}
	return n;
}

bool reclaim_until(bool (*done)(const void *addr, int nr), const void *addr,
		   int nr)
{
	int round, ret;

	/* A page on its way to the LRU is not there to be reclaimed. */
	drain_lru_caches();
	for (round = 1; round <= MAX_ROUNDS; round++) {
		/*
		 * Whether the active list is to be shrunk too is decided by
		 * the cgroup's counters, and those may be 2 seconds old.
		 */
		if (round > 1)
			memcg_stat("anon");
		ret = memcg_reclaim_anon(16UL << 20);
		if (done(addr, nr)) {
			diag("reclaimed in %d rounds", round);
			return true;
		}
	}
	diag("not reclaimed in %d rounds, the last: %d", MAX_ROUNDS, ret);
	return false;
}

static bool all_swapped(const void *addr, int nr)
{
	return sharers_count(addr, nr, is_swapped) == nr * sharers_nr();
}

bool reclaim_shared(const void *addr, int nr)
{
	require_memcg();
	require_swap();
	return reclaim_until(all_swapped, addr, nr);
}

void choose_lru(bool generations)
{
	int ret;

	if (!file_exists(LRU_GEN)) {
		if (generations)
			skip("no " LRU_GEN);
		return;
	}
	ret = write_text(LRU_GEN, generations ? "y" : "n");
	require(!ret, LRU_GEN ": %s", strerror(-ret));
}

int hold_references(const void *addr, int nr)
{
	struct iovec iov = { (void *)addr, nr * PAGE_SIZE };
	int fd[2];
	ssize_t n;

	require_errno(!pipe2(fd, O_CLOEXEC), "pipe");
	require_errno(fcntl(fd[1], F_SETPIPE_SZ, (nr + 1) * PAGE_SIZE) > 0,
		      "a pipe of %d pages", nr);
	n = vmsplice(fd[1], &iov, 1, SPLICE_F_NONBLOCK);
	require_errno(n >= 0, "vmsplice");
	require(n == (ssize_t)iov.iov_len, "vmsplice: %zd bytes", n);
	close(fd[1]);
	return fd[0];
}

void drop_references(int pipe)
{
	close(pipe);
}
