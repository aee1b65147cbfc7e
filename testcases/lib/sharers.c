// SPDX-License-Identifier: GPL-2.0
/* Processes that share memory, and run what they are told: see sharers.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sharers.h"

/* Forks have the same program at the same addresses: a pointer will do. */
struct order {
	sharer_fn fn;
	long arg;
};

static struct sharer {
	pid_t pid;
	int order;	/* write end */
	int answer;	/* read end */
} sharers[MAX_SHARERS];
static int nr_sharers = 1;	/* this process needs no fork */
static pid_t owner;

static void __noreturn serve(int who, int orders, int answers)
{
	struct order order;
	long value;

	while (read(orders, &order, sizeof(order)) == sizeof(order)) {
		value = order.fn(who, order.arg);
		require_errno(write(answers, &value, sizeof(value)) ==
			      sizeof(value), "sharer %d: answer", who);
	}
	child_done();
}

/* A subtest that ends early, by require() or skip(), leaves nobody behind. */
static void kill_all(void)
{
	int i;

	if (getpid() != owner)
		return;
	for (i = 1; i < nr_sharers; i++)
		if (sharers[i].pid)
			kill(sharers[i].pid, SIGKILL);
	for (i = 1; i < nr_sharers; i++)
		if (sharers[i].pid)
			waitpid(sharers[i].pid, NULL, 0);
}

static void fork_sharer(int who)
{
	int order[2], answer[2], i;
	pid_t pid;

	require_errno(!pipe2(order, O_CLOEXEC), "pipe");
	require_errno(!pipe2(answer, O_CLOEXEC), "pipe");
	pid = fork();
	require_errno(pid >= 0, "fork of sharer %d", who);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Else an elder would not see the end of its orders. */
		for (i = 1; i < who; i++) {
			close(sharers[i].order);
			close(sharers[i].answer);
		}
		close(order[1]);
		close(answer[0]);
		serve(who, order[0], answer[1]);
	}
	close(order[0]);
	close(answer[1]);
	sharers[who] = (struct sharer){ pid, order[1], answer[0] };
	nr_sharers = who + 1;
}

void sharers_fork(int nr)
{
	int who;

	require(nr >= 1 && nr <= MAX_SHARERS, "%d sharers", nr);
	require(!owner, "sharers_fork() was called before");
	owner = getpid();
	signal(SIGPIPE, SIG_IGN);
	/*
	 * Only one of them ever runs.  On one CPU a call is a switch; across two
	 * it would be interrupts, which take an emulated machine milliseconds.
	 */
	stay_on(sched_getcpu());
	require(!atexit(kill_all), "atexit");
	for (who = 1; who < nr; who++)
		fork_sharer(who);
}

int sharers_nr(void)
{
	return nr_sharers;
}

static pid_t pid_of(int who)
{
	return who ? sharers[who].pid : getpid();
}

int sharer_pid(int who)
{
	return pid_of(who);
}

long sharer_call(int who, sharer_fn fn, long arg)
{
	struct sharer *s = &sharers[who];
	struct order order = { fn, arg };
	long value;

	if (!who)
		return fn(0, arg);
	require(s->pid, "sharer %d has ended", who);
	require_errno(write(s->order, &order, sizeof(order)) == sizeof(order),
		      "order to sharer %d", who);
	require(read(s->answer, &value, sizeof(value)) == sizeof(value),
		"sharer %d died instead of answering", who);
	return value;
}

long sharers_call_others(sharer_fn fn, long arg)
{
	long sum = 0;
	int who;

	for (who = 1; who < nr_sharers; who++)
		if (sharers[who].pid)
			sum += sharer_call(who, fn, arg);
	return sum;
}

long sharers_call(sharer_fn fn, long arg)
{
	return sharer_call(0, fn, arg) + sharers_call_others(fn, arg);
}

void sharer_end(int who)
{
	struct sharer *s = &sharers[who];
	pid_t pid = s->pid;

	close(s->order);
	close(s->answer);
	s->pid = 0;
	child_join(pid);
}

void sharers_end(void)
{
	int who;

	for (who = 1; who < nr_sharers; who++)
		if (sharers[who].pid)
			sharer_end(who);
}

/* -- what they map at one address ------------------------------------------- */

static const char *page_at(const void *addr, int i)
{
	return (const char *)addr + i * PAGE_SIZE;
}

static uint64_t seen[MAX_SHARERS][MAX_PAGES];	/* pagemap, by look() */

static void look(const void *addr, int nr)
{
	int who;

	require(nr <= MAX_PAGES, "%d pages", nr);
	for (who = 0; who < nr_sharers; who++)
		if (pid_of(who))
			pagemap_entries_of(pid_of(who), addr, nr, seen[who]);
}

int sharers_count(const void *addr, int nr, bool (*is)(uint64_t pagemap))
{
	int who, i, n = 0;

	look(addr, nr);
	for (who = 0; who < nr_sharers; who++)
		for (i = 0; pid_of(who) && i < nr; i++)
			n += is(seen[who][i]);
	return n;
}

static int mapping(int i, uint64_t pfn)
{
	int who, n = 0;

	for (who = 0; who < nr_sharers; who++)
		n += pid_of(who) && is_present(seen[who][i]) &&
		     PM_PFN(seen[who][i]) == pfn;
	return n;
}

int sharers_mapping(const void *addr, uint64_t pfn)
{
	look(addr, 1);
	return mapping(0, pfn);
}

int sharers_agreeing(const void *addr, int nr)
{
	int who, i, n = 0;

	look(addr, nr);
	for (i = 0; i < nr; i++) {
		bool same = true;

		for (who = 1; who < nr_sharers; who++)
			same &= !pid_of(who) ||
				!PM_PFN(seen[who][i] ^ seen[0][i]);
		n += same;
	}
	return n;
}

static int living(void)
{
	int who, n = 0;

	for (who = 0; who < nr_sharers; who++)
		n += !!pid_of(who);
	return n;
}

void check_shared_by_all(const void *addr, int nr)
{
	int i, n, shared = 0, right = 0;
	struct page_facts p;

	postmortem_pages("shared", addr, nr);
	look(addr, nr);
	for (i = 0; i < nr; i++) {
		p = page_facts(page_at(addr, i));
		n = p.pfn ? mapping(i, p.pfn) : 0;
		shared += n == living();
		right += (int)p.count == n;
		if (n != living() || (int)p.count != n) {
			diag("%d of %d sharers map", n, living());
			print_page(i, &p);
		}
	}
	check_eq("pages that all sharers map", shared, nr);
	check_eq("pages with a mapcount of as many", right, nr);
}

static int shared_nr;

static long read_shared(int who, long addr)
{
	int n = intact_pages((void *)addr, shared_nr);

	if (n != shared_nr)
		diag("sharer %d: %d of %d pages intact", who, n, shared_nr);
	return n;
}

/* shared_nr is set in every process: it travels with an order of its own. */
static long set_shared_nr(int who, long nr)
{
	(void)who;
	shared_nr = nr;
	return 0;
}

void check_intact_in_all(const void *addr, int nr)
{
	sharers_call(set_shared_nr, nr);
	check_eq("pages intact, of all sharers",
		 sharers_call(read_shared, (long)addr), (long)nr * living());
}

#define SEED_OF(who)	(1000 * ((who) + 1))

static long write_own(int who, long addr)
{
	int i;

	for (i = 0; i < shared_nr; i++)
		page_fill((char *)addr + i * PAGE_SIZE, SEED_OF(who) + i);
	return 0;
}

static long read_own(int who, long addr)
{
	int i, n = 0;

	for (i = 0; i < shared_nr; i++)
		n += page_intact(page_at((void *)addr, i), SEED_OF(who) + i);
	return n;
}

void check_writes_are_private(const void *addr, int nr)
{
	sharers_call(set_shared_nr, nr);
	sharer_call(0, write_own, (long)addr);
	check_eq("pages intact after sharer 0 wrote, of the others",
		 sharers_call_others(read_shared, (long)addr),
		 (long)nr * (living() - 1));
	sharers_call_others(write_own, (long)addr);
	check_eq("pages with their own sharer's data",
		 sharers_call(read_own, (long)addr), (long)nr * living());
}

int sharers_own_intact(const void *addr, int nr)
{
	sharers_call(set_shared_nr, nr);
	return sharers_call(read_own, (long)addr);
}

/* -- filled memory, and PFNs ------------------------------------------------- */

void pages_fill(void *addr, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		page_fill((char *)addr + i * PAGE_SIZE, i);
}

struct pfns pfns_of(const void *addr, int nr)
{
	struct pfns pfns = { .nr = nr };
	int i;

	require(nr <= MAX_PAGES, "%d pages", nr);
	for (i = 0; i < nr; i++) {
		pfns.pfn[i] = page_facts(page_at(addr, i)).pfn;
		require(pfns.pfn[i], "page %d is not present", i);
		watch_pfn(pfns.pfn[i]);
	}
	return pfns;
}

int pfns_kept(const struct pfns *before, const void *addr)
{
	int i, n = 0;

	for (i = 0; i < before->nr; i++)
		n += page_facts(page_at(addr, i)).pfn == before->pfn[i];
	return n;
}
