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

#include "compiler.h"
#include "kernel_abi.h"

/* -- sizes.c: of pages, which the kernel is asked before main() ------------ */

/* In bytes.  Variables: arrays that hold a page have MAX_PAGE_SIZE bytes. */
extern unsigned long page_size, hpage_size;
/* Pages of a huge page that a PMD maps. */
extern int hpage_nr;

/* <limits.h> may have one that is a constant. */
#undef PAGE_SIZE
#define PAGE_SIZE	page_size
#define HPAGE_SIZE	hpage_size
#define HPAGE_NR	hpage_nr

/* -- ktap.c: subtests and their results --------------------------------- */

struct subtest {
	const char *name;
	void (*run)(void);	/* in a child */
	void (*after)(void);	/* in the parent, once that child is gone */
	long arg;		/* what subtest_arg() returns in run() */
};

long subtest_arg(void);

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

/* -- postmortem.c: what to look at when the guest has crashed ------------- */

/*
 * NR pages at ADDR of this process; what maps memory below says so by itself.
 * docs/postmortem.md
 */
void postmortem_pages(const char *name, const void *addr, unsigned long nr);

/* -- proc.c: numbers from procfs and sysfs ------------------------------ */

/* The number behind KEY at the start of a line; -1 if there is none. */
long long file_field(const char *path, const char *key);
long long vmstat(const char *key);
/* vmstat's nr_mlock, up to date. */
long long nr_mlock(void);
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
/* A pause of 1 ms between two looks at a condition; false after LIMIT_MS. */
bool wait_again(int *waited_ms, int limit_ms);
/* A file that is one number; -1 if it cannot be read. */
long long read_number(const char *path);
/* The first line of a file, without its newline; false if there is none. */
bool read_text(const char *path, char *text, size_t size);
/* One write(2) to an existing file: 0 or -errno. */
int write_text(const char *path, const char *text);
bool file_exists(const char *path);

/* -- pagemap.c: what the kernel says about a page ----------------------- */

/* PM_* and KPF_*, the bits of pagemap and kpageflags: kernel_abi.h */

struct page_facts {
	uint64_t pagemap;
	uint64_t pfn;		/* of a present or exclusive PTE, else 0 */
	uint64_t count;		/* /proc/kpagecount: the page's mapcount */
	uint64_t flags;		/* /proc/kpageflags */
};

/* iomem.c: the PFN behind all RAM; whether any of some page frames is RAM. */
uint64_t ram_end(void);
bool has_ram(uint64_t first, uint64_t last);

uint64_t pagemap_entry(const void *addr);
/* The same of another process, for NR pages. */
void pagemap_entries_of(int pid, const void *addr, int nr, uint64_t *entry);
uint64_t pagemap_entry_of(int pid, const void *addr);
struct page_facts page_facts(const void *addr);
struct page_facts pfn_facts(uint64_t pfn);
void print_page(int i, const struct page_facts *p);
bool is_present(uint64_t pagemap);
bool is_exclusive(uint64_t pagemap);
bool is_device_private(uint64_t pagemap);
bool is_soft_dirty(uint64_t pagemap);
bool is_swapped(uint64_t pagemap);
/* How many PTEs of NR pages at ADDR satisfy what is_*() asks. */
int count_ptes(const void *addr, int nr, bool (*is)(uint64_t pagemap));

/*
 * The swap types of device-exclusive and device-private entries, for
 * dmirror_open() and dmirror_open_private().
 */
struct exclusive_sample;
void learn_exclusive_types(const struct exclusive_sample *sample);
void learn_private_type(uint64_t pagemap, uint64_t pfn);

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
bool page_is_zero(const void *page);
/* Minor faults of this process so far. */
long minor_faults(void);

/* -- shmem.c: memory of a tmpfs file -------------------------------------- */

/* A new file of that size, without a page yet. */
int shmem_file(size_t size);
/* The first SIZE bytes of it, shared, for reading and writing. */
char *shmem_map(int file, size_t size);
/*
 * NR huge pages of it from huge page FIRST on, shared, at an address that PMDs
 * could map; without a page yet.
 */
char *shmem_map_aligned(int file, int first, int nr);
/*
 * From now on tmpfs gets huge pages, or none, wherever they fit; skips on
 * kernels without them.
 */
void shmem_allow_thp(bool allow);
/*
 * Fill NR huge pages of a mapping from shmem_map_aligned(), page i with seed i:
 * they are huge pages of tmpfs afterwards, and mapped by PMDs; else skips.
 */
void shmem_thp_populate(char *head, int nr);
/* shmem_map_aligned() and shmem_thp_populate(). */
char *shmem_thp_map(int file, int first, int nr);
/*
 * Whether the data of that page of the file, mapped at ADDR, is in swap and not
 * in memory.  is_swapped() does not hold then: such a page has no entry in a page
 * table.
 */
bool is_swapped_file(int file, int page, const void *addr);
/* Of how many of NR pages that holds, from page FIRST of the file on. */
int count_swapped_file(int file, int first, const void *addr, int nr);

/* -- device.c: lib/test_hmm ---------------------------------------------- */

/*
 * Open the mirror of this process (a fork needs its own) and learn which swap
 * types pagemap shows for exclusive entries.
 */
int dmirror_open(void);
/* The same, and learn the swap types of its device private memory. */
int dmirror_open_private(void);
/* A device whose memory the CPU can access; skips without one. */
int dmirror_open_coherent(void);
/* Where the device copies NPAGES pages to, which nobody reads. */
void *dmirror_buffer(unsigned long npages);
/* 0 or -errno */
int dmirror_exclusive(int dev, const void *addr, unsigned long npages);
int dmirror_read(int dev, const void *addr, void *buf, uint64_t *faults);
int dmirror_write(int dev, void *addr, const void *buf);
/* To the device's memory and back.  0 does not say that a page moved. */
int dmirror_to_device(int dev, void *addr, unsigned long npages);
int dmirror_to_system(int dev, void *addr, unsigned long npages);
/* What HMM sees, without a fault: lib/test_hmm_uapi.h, HMM_DMIRROR_PROT_*. */
#define DMIRROR_READABLE	0x01
#define DMIRROR_WRITABLE	0x02
#define DMIRROR_WHERE		0x70
#define DMIRROR_PRIVATE		0x20
#define DMIRROR_COHERENT	0x40
unsigned int dmirror_prot(int dev, const void *addr);
/* Whether the page is in this device's memory. */
bool dmirror_has_page(int dev, const void *addr);
/* Whether the device still has exclusive access, by its own page table. */
bool dmirror_has_exclusive(int dev, const void *addr);
/* Whether the device reads the pattern of SEED; FAULTS may be NULL. */
bool dmirror_page_intact(int dev, const void *addr, uint64_t seed,
			 uint64_t *faults);

/* -- exclusive.c: memory that a device has exclusive access to ------------- */

/*
 * Spaced pages: order-0 pages of MADV_NOHUGEPAGE memory, a pattern in each,
 * made exclusive one by one.  In front of each lies one that is never touched:
 * dmirror_do_update()'s end is inclusive, so invalidating a page, or unmapping
 * what is below the VMA, also drops the mirror of the next page.
 */
struct spaced {
	char *base;	/* of the VMA, which is 2 * nr pages long */
	int nr;
	int dev;
};

struct spaced spaced_map(int nr);
struct spaced spaced_map_for(int dev, int nr);
void spaced_make_exclusive(struct spaced *e);
/* Migrate all pages to the device's memory; confirmed by the device. */
void spaced_to_device(struct spaced *e);
int spaced_on_device(const struct spaced *e);
/* The subtest's argument, for tests of the memory of either device. */
enum device_memory { DEVICE_PRIVATE, DEVICE_COHERENT };
/* The device of that kind, with NR pages, which are in its memory. */
struct spaced spaced_map_on_device(enum device_memory kind, int nr);
/* Counts pages in device memory by their PTEs. */
int spaced_device_ptes(const struct spaced *e, enum device_memory kind);
char *spaced_page(const struct spaced *e, int i);
struct page_facts spaced_facts(const struct spaced *e, int i);
void spaced_print(const struct spaced *e);
/* Counts over all pages; spaced_intact() is a CPU access and revokes. */
int spaced_count(const struct spaced *e, bool (*is)(uint64_t pagemap));
int spaced_mapcounts(const struct spaced *e);
int spaced_flagged(const struct spaced *e, uint64_t flag);
int spaced_mirrored(const struct spaced *e);
int spaced_intact(const struct spaced *e);
/* mlock the pages, and not the untouched ones between them. */
void spaced_mlock(const struct spaced *e);
void spaced_munlock(const struct spaced *e);

/*
 * A partly exclusive THP: every PTE of it was made exclusive, then the CPU read
 * page 0.  So one PTE is present and all others are exclusive.  The seed of
 * page i is i.
 */
char *partial_thp_map(int dev);
/* The same of a THP from thp_map(). */
void partial_thp_make(int dev, char *head);

/* -- thp.c ---------------------------------------------------------------- */

/* Anonymous memory that one huge page could map, without a page yet. */
char *hpage_area(void);
/* Address space for NR huge pages, with no access, to map something into. */
char *hpage_hole(int nr);
/* A populated, PMD-mapped THP, page i filled with seed i; else skips. */
char *thp_map(void);
/* One folio of the size of a PMD, whether a PMD or PTEs map it. */
bool is_thp(const void *addr);
/* Whether a PMD maps the huge page at ADDR, of any kind of memory. */
bool is_pmd_mapped(const void *addr);
/* A file of hugepages-*kB in /sys/kernel/mm/transparent_hugepage. */
const char *thp_path(unsigned long size, const char *file);
/* A counter of the huge pages of a PMD's size; -1 on kernels without it. */
long long thp_stat(const char *name);
/* How many of NR pages still have the pattern of their number. */
int intact_pages(const void *base, int nr);
/* debugfs split_huge_pages, of the whole system or to ORDER (0: pages). */
int split_all_thps(void);
int split_thps(const void *addr, size_t size, int order);
/*
 * MADV_COLLAPSE: 0 or -errno.  EAGAIN is tried again a few times: a page that
 * somebody has locked at that moment is enough for it.
 */
int collapse(void *addr, size_t size);

/* -- memcg.c -------------------------------------------------------------- */

/* A field of memory.stat of our cgroup, not older than this call. */
long long memcg_stat(const char *key);
int memcg_write(const char *file, const char *text);
/* A file of our cgroup that is one number. */
long long memcg_number(const char *file);
void require_memcg(void);
/* One round of proactive reclaim from our cgroup, anonymous memory first. */
int memcg_reclaim_anon(unsigned long bytes);

/* -- swap.c ---------------------------------------------------------------- */

void require_swap(void);
/*
 * MADV_PAGEOUT: reclaim NR pages at ADDR now, unless somebody holds them; first
 * the batches of pages on their way to the LRU are drained.  Reclaim may refuse
 * a page: see what became of them by is_swapped() or count_swapped_file().
 */
void pageout(const void *addr, int nr);
/* How many there are, and the first one's device. */
int swap_areas(char *first, size_t size);
/* 0 or -errno */
int swap_off(const char *device);
int swap_on(const char *device);
/* A zram device with a swap header: its number, and its name in DEVICE. */
int zram_add(unsigned int pages, char *device, size_t size);
void zram_remove(int id);

/* -- numa.c ---------------------------------------------------------------- */

void require_node(int node);
/* The node of a page after move_pages(2), or -errno. */
int move_page(void *page, int node);
int node_of(const void *page);
/* The only CPU that this thread runs on. */
void stay_on(int cpu);
/* Where this process's new pages come from. */
void allocate_on(int node);
void allocate_anywhere(void);
/* mbind(2) with MPOL_MF_MOVE | MPOL_MF_STRICT: 0 or -errno */
int bind_range(void *addr, size_t size, int node);
/* Free blocks of order 9 and above. */
unsigned long free_huge_blocks(int node);

/* -- memblock.c: memory that comes and goes -------------------------------- */

uint64_t memory_block_pages(void);
unsigned long memory_block_of(uint64_t pfn);
/* Whether a file of the block, such as state or valid_zones, has that text. */
bool memory_block_is(unsigned long block, const char *file, const char *text);
/* "offline", "online_movable", ...: 0 or -errno */
int memory_block_set(unsigned long block, const char *state);

/* -- poison.c: memory failure ---------------------------------------------- */

/* 0 or -errno */
int hwpoison_pfn(uint64_t pfn);
/* The same, which has to leave the page poisoned. */
void poison_pfn(uint64_t pfn);
int soft_offline_pfn(uint64_t pfn);
/* Give poisoned pages back, for subtest.after: now nobody owns them. */
void unpoison_watched(void);

/* -- signal.c --------------------------------------------------------------- */

/*
 * The signal that reading a byte gets, or writing 0 to it: 0, SIGSEGV or
 * SIGBUS.
 */
int access_signal(void *addr, bool write);

/* -- uffd.c: write protection by userfaultfd ------------------------------- */

/* A userfaultfd with the range registered; skips on kernels without it. */
int uffd_open_wp(void *addr, size_t size);
/* Writes lift the protection by themselves, for PAGEMAP_SCAN. */
int uffd_open_wp_async(void *addr, size_t size);
void uffd_protect(int uffd, void *addr, size_t size, bool protect);
/* Whether a write-protection event for the page at ADDR comes. */
bool uffd_event(int uffd, const void *addr);
bool is_uffd_wp(uint64_t pagemap);
/* Pages written since they were protected; and protect those (again). */
long pagemap_scan_written(void *addr, size_t size, bool protect);

/* -- gup.c: pins, by mm/gup_test.c ------------------------------------------ */

#define GUP_PIN_WRITE	1
#define GUP_PIN_FAST	2

int gup_open(void);
/* Pin and unpin: the pages pinned, or -errno. */
long gup_pin_once(int gup, const void *addr, size_t size, bool write);
/* Pin for long, with GUP_PIN_*: 0 or -errno.  One range at a time. */
int gup_pin(int gup, const void *addr, size_t size, unsigned int flags);
/* What the kernel reads through the pins. */
int gup_read(int gup, void *buf);
void gup_unpin(int gup);

/* -- damon.c, uprobe.c ------------------------------------------------------ */

/* Sample NR pages of physical memory every millisecond. */
void damon_start(uint64_t start_pfn, uint64_t nr, unsigned int regions);
void damon_stop(void);
/* A probe that is on until the descriptor is closed; or -errno. */
int uprobe_open(const char *path, uint64_t offset);

#endif /* RMAPLAB_H */
