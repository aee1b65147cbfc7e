// SPDX-License-Identifier: GPL-2.0
/*
 * The OOM killer takes one of the processes that share pages; the others have
 * lost nothing.
 *
 * A child with the highest oom_score_adj takes memory until its cgroup's limit
 * (memory.max) has it killed by SIGKILL.
 * While it lives every shared page has a mapcount of one more than
 * there are survivors, afterwards of exactly as many; what was its own is free;
 * the data is intact and private.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "move.h"
#include "sharers.h"

#define NR	16
#define ROOM	(8LL << 20)

static void __noreturn eat(int ready, int go)
{
	char *own = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE), c = 'x';
	int ret = write_text("/proc/self/oom_score_adj", "1000");

	require(!ret, "oom_score_adj: %s", strerror(-ret));
	pages_fill(own, NR);
	pfns_of(own, NR);
	require_errno(write(ready, &c, 1) == 1 && read(go, &c, 1) == 1, "pipe");
	for (;;)
		memset(anon_map(1UL << 20, MADV_NOHUGEPAGE), 1, 1UL << 20);
}

static int with_mapcount(const struct pfns *pfns, int count)
{
	int i, n = 0;

	for (i = 0; i < pfns->nr; i++)
		n += (int)pfn_facts(pfns->pfn[i]).count == count;
	return n;
}

static void limit_memory(bool on)
{
	char text[32] = "max";
	int ret;

	if (on)
		snprintf(text, sizeof(text), "%lld",
			 memcg_number("memory.current") + ROOM);
	ret = memcg_write("memory.max", text);
	require(!ret, "memory.max: %s", strerror(-ret));
}

static void test_oom(void)
{
	int ready[2], go[2], status, ret, nr;
	struct pfns pfns;
	char *addr, c;
	pid_t pid;

	require_memcg();
	addr = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	pages_fill(addr, NR);
	sharers_fork(subtest_arg());
	nr = sharers_nr();
	pfns = pfns_of(addr, NR);
	require_errno(!pipe(ready) && !pipe(go), "pipe");
	pid = fork();
	require_errno(pid >= 0, "fork");
	if (!pid)
		eat(ready[1], go[0]);
	require_errno(read(ready[0], &c, 1) == 1, "the child died early");
	check_eq("pages with the child's mapping", with_mapcount(&pfns, nr + 1),
		 NR);
	ret = memcg_write("memory.swap.max", "0");
	require(!ret, "memory.swap.max: %s", strerror(-ret));
	limit_memory(true);
	require_errno(write(go[1], &c, 1) == 1, "pipe");
	require_errno(waitpid(pid, &status, 0) == pid, "waitpid");
	limit_memory(false);
	memcg_write("memory.swap.max", "max");

	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "the child ended with %#x", status);
	check_eq("pages without it", with_mapcount(&pfns, nr), NR);
	check_shared_by_all(addr, NR);
	check_rss_anon();
	check_intact_in_all(addr, NR);
	check_writes_are_private(addr, NR);
	sharers_end();
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "oom", test_oom),
		SHARED_BY(2, "oom", test_oom),
		SHARED_BY(16, "oom", test_oom),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
