// SPDX-License-Identifier: GPL-2.0
/*
 * Exclusive pages under fork with copy on write, mprotect and a write that gets
 * SIGSEGV, mremap, MADV_DONTNEED, munmap, exit and a uffd-wp event.
 *
 * Exclusive pages are treated like ordinary memory, on either kernel:
 * protection and data are kept, and RssAnon is present + exclusive anonymous
 * PTEs at each step.  After the process is gone no page is mapped (lib/ktap.c),
 * and the kernel has no "Bad rss-counter" or "Bad page" to report (the lab).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rmaplab.h"

#define NR		8
#define SIZE		(NR * 2 * PAGE_SIZE)

static struct spaced spaced_exclusive(void)
{
	struct spaced e = spaced_map(NR);

	spaced_make_exclusive(&e);
	check_rss_anon();
	return e;
}

static void test_fork_cow(void)
{
	struct spaced e = spaced_exclusive();
	pid_t pid;
	int i;

	pid = fork();
	require_errno(pid >= 0, "fork");
	if (!pid) {
		check_eq("child: pages intact", spaced_intact(&e), NR);
		for (i = 0; i < NR; i++)
			page_fill(spaced_page(&e, i), 1000 + i);
		for (i = 0; i < NR; i++)
			check(page_intact(spaced_page(&e, i), 1000 + i),
			      "child: its own write to page %d is lost", i);
		child_done();
	}
	child_join(pid);
	check_eq("PTEs exclusive after fork", spaced_count(&e, is_exclusive), 0);
	check_eq("pages still mirrored", spaced_mirrored(&e), 0);
	check_eq("parent: pages intact", spaced_intact(&e), NR);
	check_eq("parent: sum of mapcounts", spaced_mapcounts(&e), NR);
	for (i = 0; i < NR; i++)
		page_fill(spaced_page(&e, i), i);
	check_eq("parent: pages intact after a write", spaced_intact(&e), NR);
	check_rss_anon();
}

static void test_mprotect_segv(void)
{
	struct spaced e = spaced_exclusive();
	int i, segv = 0;

	require_errno(!mprotect(e.base, SIZE, PROT_READ), "mprotect(R)");
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	for (i = 0; i < NR; i++)
		segv += access_signal(spaced_page(&e, i), true) == SIGSEGV;
	check_eq("writes that got SIGSEGV", segv, NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	/* Also when the entry is gone already. */
	for (i = 0, segv = 0; i < NR; i++)
		segv += access_signal(spaced_page(&e, i), true) == SIGSEGV;
	check_eq("writes that got SIGSEGV, after a read", segv, NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	require_errno(!mprotect(e.base, SIZE, PROT_READ | PROT_WRITE),
		      "mprotect(RW)");
	for (i = 0; i < NR; i++)
		check(!access_signal(spaced_page(&e, i), true),
		      "page %d is not writable again", i);
}

static void test_mremap(void)
{
	struct spaced e = spaced_exclusive();
	char *target, *moved;
	uint64_t pfn[NR];
	int i;

	for (i = 0; i < NR; i++)
		pfn[i] = spaced_facts(&e, i).pfn;
	target = anon_map(SIZE, MADV_NOHUGEPAGE);
	moved = mremap(e.base, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       target);
	require_errno(moved == target, "mremap");
	e.base = moved;
	postmortem_pages("exclusive, moved", moved, 2 * NR);
	check_eq("PTEs exclusive at the new address",
		 spaced_count(&e, is_exclusive), NR);
	check_rss_anon();
	for (i = 0; i < NR; i++)
		check(spaced_facts(&e, i).pfn == pfn[i], "page %d: other PFN", i);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_eq("PTEs present", spaced_count(&e, is_present), NR);
	check_rss_anon();
}

static void test_dontneed(void)
{
	struct spaced e = spaced_exclusive();
	int i;

	require_errno(!madvise(e.base, SIZE, MADV_DONTNEED), "MADV_DONTNEED");
	for (i = 0; i < NR; i++)
		check(!pagemap_entry(spaced_page(&e, i)) ||
		      pagemap_entry(spaced_page(&e, i)) == PM_SOFT_DIRTY,
		      "page %d: pagemap=%#llx", i,
		      (unsigned long long)pagemap_entry(spaced_page(&e, i)));
	check_rss_anon();
	check_eq("pages still mirrored", spaced_mirrored(&e), 0);
	for (i = 0; i < NR; i++)
		check(!*(volatile char *)spaced_page(&e, i),
		      "page %d does not read as zero", i);
}

static void test_munmap(void)
{
	struct spaced e = spaced_exclusive();

	require_errno(!munmap(e.base, SIZE), "munmap");
	check_rss_anon();
	check_eq("pages still mirrored", spaced_mirrored(&e), 0);
}

/* The process ends with its pages exclusive. */
static void test_exit(void)
{
	struct spaced e = spaced_exclusive();

	check_eq("PTEs exclusive at exit", spaced_count(&e, is_exclusive), NR);
}

/* -- userfaultfd write protection ---------------------------------------- */

static void *write_pages(void *arg)
{
	const struct spaced *e = arg;
	int i;

	for (i = 0; i < e->nr; i++)
		*(volatile uint64_t *)spaced_page(e, i) = ~0ULL;
	return NULL;
}

/* Reading does not lift the protection, and each first write is an event. */
static void test_uffd_wp(void)
{
	struct spaced e = spaced_exclusive();
	int i, uffd = uffd_open_wp(e.base, SIZE);
	pthread_t writer;

	uffd_protect(uffd, e.base, SIZE, true);
	check_eq("PTEs exclusive", spaced_count(&e, is_exclusive), NR);
	check_eq("PTEs uffd-wp, exclusive", spaced_count(&e, is_uffd_wp), NR);
	for (i = 0; i < NR / 2; i++)
		check(page_intact(spaced_page(&e, i), i), "page %d", i);
	check_eq("PTEs uffd-wp, half of them read", spaced_count(&e, is_uffd_wp),
		 NR);
	require(!pthread_create(&writer, NULL, write_pages, &e),
		"pthread_create");
	for (i = 0; i < NR; i++) {
		require(uffd_event(uffd, spaced_page(&e, i)),
			"no write-protection event for page %d", i);
		check(page_intact(spaced_page(&e, i), i),
		      "page %d was written before its event", i);
		uffd_protect(uffd, spaced_page(&e, i), PAGE_SIZE, false);
	}
	require(!pthread_join(writer, NULL), "pthread_join");
	for (i = 0; i < NR; i++)
		check(*(volatile uint64_t *)spaced_page(&e, i) == ~0ULL,
		      "the write to page %d is lost", i);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "fork-cow", .run = test_fork_cow },
		{ .name = "mprotect-segv", .run = test_mprotect_segv },
		{ .name = "mremap", .run = test_mremap },
		{ .name = "dontneed", .run = test_dontneed },
		{ .name = "munmap", .run = test_munmap },
		{ .name = "exit", .run = test_exit },
		{ .name = "uffd-wp", .run = test_uffd_wp },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
