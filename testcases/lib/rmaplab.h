/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the testcases share.
 *
 * A testcase is a list of subtests.  Each runs in a process of its own, so
 * that one that dies takes no other with it, and so that the exit of a process
 * with exclusive entries is part of every test: afterwards no page that it
 * watched may still be anonymous memory.
 *
 * In a subtest, check*() records a failure and goes on; require*() and skip()
 * end it.  A helper that cannot do its work ends the subtest as failed, with
 * errno: no helper's failure can become a pass.
 */
#ifndef RMAPLAB_H
#define RMAPLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef PAGE_SIZE
#define PAGE_SIZE	4096UL
#endif
#define HPAGE_SIZE	(2UL << 20)
#define HPAGE_NR	512

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __printf(f, a)	__attribute__((format(printf, f, a)))
#define __noreturn	__attribute__((noreturn))
#define __aligned(n)	__attribute__((aligned(n)))

/* -- ktap.c: subtests and their results --------------------------------- */

struct subtest {
	const char *name;
	void (*run)(void);	/* in a child */
	void (*after)(void);	/* in the parent, once that child is gone */
};

int ktap_run(const struct subtest *tests, size_t nr);
void diag(const char *fmt, ...) __printf(1, 2);
void check(bool ok, const char *fmt, ...) __printf(2, 3);
void check_eq(const char *what, long long got, long long expected);
void require(bool ok, const char *fmt, ...) __printf(2, 3);
void require_errno(bool ok, const char *fmt, ...) __printf(2, 3);
void skip(const char *fmt, ...) __printf(1, 2) __noreturn;
void bail_out(const char *fmt, ...) __printf(1, 2) __noreturn;
/* End a process that a subtest forked, with what it has checked so far. */
void child_done(void) __noreturn;
/* Its parent: wait, and take over its failures. */
void child_join(int pid);

/* -- measure.c: guest instructions, in exact mode -------------------------- */

/*
 * What is between these counts; without them the whole subtest does, but for
 * its exit.  ktap_run() calls the latter two.
 */
void measure_begin(void);
void measure_end(void);
void measure_whole_begin(void);
void measure_whole_end(void);

/* -- audit.c: recounts of the reverse map, by the agent ------------------- */

/*
 * Say that our memory is at rest, and wait until the agent has audited it:
 * docs/audit.md.  Each subtest's exit is a mark, this is for others.
 */
void audit_mark(const char *name);
void audit_at_exit(const char *name);

/* -- proc.c: numbers from procfs and sysfs ------------------------------ */

/* The number behind KEY at the start of a line; -1 if there is none. */
long long file_field(const char *path, const char *key);
long long vmstat(const char *key);
long long status_kb(const char *key);
/* A field of the VMA in /proc/self/smaps that starts at ADDR. */
long long smaps_kb(const void *addr, const char *key);
/*
 * RssAnon, a counter, is present + exclusive anonymous PTEs, for which
 * smaps_rollup walks the page tables.
 */
bool kernel_at_least(int version, int patchlevel);
bool rss_is_exact(void);
void check_rss_anon(void);
/* A file that is one number; -1 if it cannot be read. */
long long read_number(const char *path);
/* One write(2) to an existing file: 0 or -errno. */
int write_text(const char *path, const char *text);
bool file_exists(const char *path);

/* -- pagemap.c: what the kernel says about a page ----------------------- */

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_PFN_MASK		((1ULL << 55) - 1)
#define PM_SOFT_DIRTY		(1ULL << 55)
#define PM_MMAP_EXCLUSIVE	(1ULL << 56)
#define PM_UFFD_WP		(1ULL << 57)
#define PM_SWAP			(1ULL << 62)
#define PM_PRESENT		(1ULL << 63)

/* include/uapi/linux/kernel-page-flags.h */
#define PF_MMAP			(1ULL << 11)
#define PF_ANON			(1ULL << 12)
#define PF_SWAPCACHE		(1ULL << 13)
#define PF_COMPOUND_HEAD	(1ULL << 15)
#define PF_COMPOUND_TAIL	(1ULL << 16)
#define PF_HWPOISON		(1ULL << 19)
#define PF_THP			(1ULL << 22)

struct page_facts {
	uint64_t pagemap;
	uint64_t pfn;		/* of a present or exclusive PTE, else 0 */
	uint64_t count;		/* /proc/kpagecount: the page's mapcount */
	uint64_t flags;		/* /proc/kpageflags */
};

uint64_t pagemap_entry(const void *addr);
struct page_facts page_facts(const void *addr);
struct page_facts pfn_facts(uint64_t pfn);
void print_page(int i, const struct page_facts *p);
bool is_present(uint64_t pagemap);
bool is_exclusive(uint64_t pagemap);
bool is_swapped(uint64_t pagemap);
/* How many PTEs of NR pages at ADDR satisfy what is_*() asks. */
int count_ptes(const void *addr, int nr, bool (*is)(uint64_t pagemap));

/* The swap types of device-exclusive entries, see dmirror_open(). */
void learn_exclusive_type(uint64_t pagemap, uint64_t pfn);

/* -- watch.c: pages that must be free once the subtest's process is gone - */

void watch_pfn(uint64_t pfn);
uint64_t watched_pfn(int i);	/* 0 behind the last one */
void watch_reset(void);
bool watched_pfns_are_free(void);
/* Put pages that were just faulted in, on all CPUs, onto the LRU. */
void drain_lru_caches(void);

/* -- anon.c: anonymous memory ------------------------------------------- */

/* A private anonymous mapping, with one madvise() (0: none). */
char *anon_map(size_t size, int advice);
/* A pattern of its own for each seed, in every word of the page. */
void page_fill(void *page, uint64_t seed);
bool page_intact(const void *page, uint64_t seed);
/* Minor faults of this process so far. */
long minor_faults(void);

/* -- device.c: lib/test_hmm ---------------------------------------------- */

/*
 * Open the mirror of this process (a fork needs its own) and learn which swap
 * types pagemap shows for exclusive entries.
 */
int dmirror_open(void);
/* 0 or -errno */
int dmirror_exclusive(int dev, const void *addr, unsigned long npages);
int dmirror_read(int dev, const void *addr, void *buf, uint64_t *faults);
/* Whether the device still has exclusive access, by its own page table. */
bool dmirror_has_exclusive(int dev, const void *addr);
/* Whether the device reads the pattern of SEED; FAULTS may be NULL. */
bool dmirror_page_intact(int dev, const void *addr, uint64_t seed,
			 uint64_t *faults);

/* -- exclusive.c: E0 and ET of docs/kernel-notes.md ----------------------- */

/*
 * E0: order-0 pages of MADV_NOHUGEPAGE memory, a pattern in each, made
 * exclusive one by one.  In front of each lies one that is never touched:
 * dmirror_do_update()'s end is inclusive, so invalidating a page, or unmapping
 * what is below the VMA, also drops the mirror of the next page.
 */
struct e0 {
	char *base;	/* of the VMA, which is 2 * nr pages long */
	int nr;
	int dev;
};

struct e0 e0_map(int nr);
void e0_make_exclusive(struct e0 *e);
char *e0_page(const struct e0 *e, int i);
struct page_facts e0_facts(const struct e0 *e, int i);
void e0_print(const struct e0 *e);
/* Counts over all pages; e0_intact() is a CPU access and revokes. */
int e0_count(const struct e0 *e, bool (*is)(uint64_t pagemap));
int e0_mapcounts(const struct e0 *e);
int e0_flagged(const struct e0 *e, uint64_t flag);
int e0_mirrored(const struct e0 *e);
int e0_intact(const struct e0 *e);

/*
 * ET: a 2M THP of which every PTE was made exclusive; then the CPU read page
 * 0: 1 present PTE and 511 exclusive ones.  The seed of page i is i.
 */
char *et_map(int dev);

/* -- thp.c ---------------------------------------------------------------- */

/* A populated, PMD-mapped 2M THP, page i filled with seed i; else skips. */
char *thp_map(void);
bool is_thp(const void *addr);
/* A counter of hugepages-2048kB/stats; -1 on kernels without it. */
long long thp_stat(const char *name);

/* -- memcg.c -------------------------------------------------------------- */

/* A field of memory.stat of our cgroup, not older than this call. */
long long memcg_stat(const char *key);
int memcg_write(const char *file, const char *text);
void require_memcg(void);
/* One round of proactive reclaim from our cgroup, anonymous memory first. */
int memcg_reclaim_anon(unsigned long bytes);
void require_swap(void);

#endif /* RMAPLAB_H */
