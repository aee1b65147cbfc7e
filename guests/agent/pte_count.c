// SPDX-License-Identifier: GPL-2.0
/* How many page table entries map each page: see pte_count.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compiler.h"
#include "kernel_abi.h"
#include "probe.h"
#include "pte_count.h"
#include "ram.h"
#include "sizes.h"
#include "swap_types.h"

#define CHUNK		4096	/* pagemap entries a read */
#define MAX_PROCESSES	4096
#define CACHED_PIDS	32768

struct pte_counts pte_counts = { .page = MAP_FAILED };

static unsigned long boot_pfns;		/* what was prefaulted at boot */
static uint8_t kernel_thread[CACHED_PIDS / 8];
static long special_vmas;		/* of the present walk */

/* -- memory for the counts ---------------------------------------------- */

static size_t page_bytes(unsigned long pfns)
{
	return pfns * sizeof(*pte_counts.page);
}

static void *reserve(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* khugepaged would change how many pages the agent itself has. */
	if (at != MAP_FAILED)
		madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}

static bool set_size(unsigned long pfns)
{
	void *page = reserve(page_bytes(pfns));
	void *block = reserve(pfns / BLOCK_PAGES);

	if (page == MAP_FAILED || block == MAP_FAILED)
		return false;
	if (pte_counts.nr_pfns) {
		munmap(pte_counts.page, page_bytes(pte_counts.nr_pfns));
		munmap(pte_counts.block, pte_counts.nr_pfns / BLOCK_PAGES);
	}
	pte_counts.page = page;
	pte_counts.block = block;
	pte_counts.nr_pfns = pfns;
	return true;
}

static unsigned long wanted_pfns(void)
{
	return (ram_look() + BLOCK_PAGES - 1) / BLOCK_PAGES * BLOCK_PAGES;
}

/* Memory may have been plugged in since boot. */
static bool grow(void)
{
	unsigned long pfns = wanted_pfns();

	return pfns <= pte_counts.nr_pfns || set_size(pfns);
}

/* Where pages were found stays known: those that are gone are looked at too. */
static void forget_pages(void)
{
	unsigned long b, nr = pte_counts.nr_pfns / BLOCK_PAGES;

	for (b = 0; b < nr; b++)
		if (pte_counts.block[b])
			memset(pte_counts.page + b * BLOCK_PAGES, 0,
			       page_bytes(BLOCK_PAGES));
	pte_counts.processes = 0;
	pte_counts.ptes = 0;
	pte_counts.exclusive = 0;
	pte_counts.device = 0;
	pte_counts.unlearned = 0;
	pte_counts.unknown = 0;
}

void pte_count_forget_blocks(void)
{
	forget_pages();
	memset(pte_counts.block, 0, pte_counts.nr_pfns / BLOCK_PAGES);
}

/* -- entries ------------------------------------------------------------- */

/* The order of the types is known, the exclusive ones are learned. */
static bool is_migration(uint64_t entry)
{
	uint32_t types = exclusive_types();
	int lowest;

	if (!types)
		return false;
	lowest = __builtin_ctz(types) - SWAP_TYPES_PRIVATE - SWAP_TYPES_MIGRATION;
	return (int)PM_SWAP_TYPE(entry) >= lowest &&
	       (int)PM_SWAP_TYPE(entry) < lowest + SWAP_TYPES_MIGRATION;
}

bool pte_page(uint64_t entry, uint64_t *pfn, uint32_t *how)
{
	*how = 0;
	if (entry & PM_PRESENT) {
		*pfn = PM_PFN(entry);
		return true;
	}
	if (!(entry & PM_SWAP) || PM_SWAP_OFFSET(entry) < SWAP_MARKER_OFFSETS)
		return false;
	/* Swap areas take the types from 0 up. */
	if (!PM_SWAP_TYPE(entry))
		return false;
	switch (exclusive_types_state()) {
	case 0:
		break;
	case -ENODEV:
		return false;
	case -EAGAIN:
		pte_counts.unlearned++;
		return false;
	default:
		pte_counts.unknown++;
		return false;
	}
	*pfn = PM_SWAP_OFFSET(entry);
	if (exclusive_types() & (1U << PM_SWAP_TYPE(entry)))
		*how = PTES_EXCLUSIVE;
	else if (is_migration(entry))
		*how = PTES_MIGRATION;
	else
		return false;
	return true;
}

static void count_entry(const struct mapping *m)
{
	uint64_t entry = m->entry;
	uint64_t pfn;
	uint32_t how;

	if (!pte_page(entry, &pfn, &how)) {
		/* Private device memory lies beyond all RAM. */
		pte_counts.device += PM_SWAP_OFFSET(entry) >= pte_counts.nr_pfns &&
				 PM_SWAP_TYPE(entry);
		return;
	}
	if (pfn >= pte_counts.nr_pfns) {
		pte_counts.device++;
		return;
	}
	if (m->anon)
		how |= PTES_ANON;
	if (m->shared)
		how |= PTES_SHARED;
	pte_counts.page[pfn] |= how;
	if (!(how & PTES_MIGRATION))
		pte_counts.page[pfn]++;
	pte_counts.block[pfn / BLOCK_PAGES] = 1;
	pte_counts.ptes++;
	pte_counts.exclusive += !!(how & PTES_EXCLUSIVE);
}

/* -- VMAs ---------------------------------------------------------------- */

static void visit_range(int pagemap, struct mapping *m, unsigned long end,
			void (*visit)(const struct mapping *m))
{
	static uint64_t entry[CHUNK];
	unsigned long page = m->addr >> page_shift, last = end >> page_shift;
	ssize_t i, n;

	for (; page < last; page += n) {
		n = last - page < CHUNK ? last - page : CHUNK;
		n = pread(pagemap, entry, n * sizeof(entry[0]),
			  page * sizeof(entry[0]));
		n /= (ssize_t)sizeof(entry[0]);
		if (n <= 0)
			break;
		for (i = 0; i < n; i++) {
			if (!(entry[i] & (PM_PRESENT | PM_SWAP)))
				continue;
			m->addr = (page + i) << page_shift;
			m->entry = entry[i];
			visit(m);
		}
	}
}

/*
 * Frames without a struct page of their own, or that a driver put there: what
 * is mapped by remap_pfn_range() and vmf_insert_pfn() has no mapcount.
 */
static bool is_special(const char *name)
{
	if (!strcmp(name, "[vvar]"))
		return !probes.vvar_counted;
	if (!strncmp(name, "[vvar", 5) || !strcmp(name, "[vsyscall]"))
		return true;
	/* Shared anonymous memory is "/dev/zero (deleted)". */
	return !strncmp(name, "/dev/", 5) && strncmp(name, "/dev/zero", 9) &&
	       strncmp(name, "/dev/shm/", 9);
}

/* One line of /proc/PID/maps: START-END PERMS OFFSET DEV INODE NAME */
static void visit_vma(int pagemap, pid_t pid, char *line,
		      void (*visit)(const struct mapping *m))
{
	struct mapping m = { .pid = pid };
	unsigned long end, inode;
	char *s = line, *name;
	int field;

	m.addr = strtoul(s, &s, 16);
	end = strtoul(s + 1, &s, 16);
	m.shared = s[4] == 's';
	for (field = 0; field < 3 && s; field++)
		s = strchr(s + 1, ' ');		/* PERMS, OFFSET, DEV */
	if (!s)
		return;
	inode = strtoul(s, &name, 10);
	name += strspn(name, " ");
	if (is_special(name)) {
		special_vmas++;
		return;
	}
	m.anon = !m.shared && !inode && strcmp(name, "[vdso]") &&
		 strcmp(name, "[vvar]");
	visit_range(pagemap, &m, end, visit);
}

static void visit_vmas(int maps, int pagemap, pid_t pid,
		       void (*visit)(const struct mapping *m))
{
	static char buf[16384];
	char *line, *nl;
	size_t len = 0;
	ssize_t n;

	while ((n = read(maps, buf + len, sizeof(buf) - 1 - len)) > 0) {
		len += n;
		buf[len] = '\0';
		for (line = buf; (nl = strchr(line, '\n')); line = nl + 1) {
			*nl = '\0';
			visit_vma(pagemap, pid, line, visit);
		}
		len = buf + len - line;
		memmove(buf, line, len);
	}
}

/* -- processes ----------------------------------------------------------- */

/*
 * One of each set of processes that share an mm (vfork, CLONE_VM): kcmp()
 * orders them.  Without it (no CONFIG_KCMP) every process counts.
 */
static pid_t mms[MAX_PROCESSES];
static int nr_mms;

static bool is_new_mm(pid_t pid)
{
	int low = 0, high = nr_mms, mid;
	long order;

	if (nr_mms == MAX_PROCESSES)
		return true;
	while (low < high) {
		mid = (low + high) / 2;
		order = syscall(SYS_kcmp, pid, mms[mid], KCMP_VM, 0, 0);
		if (!order)
			return false;
		if (order == 1)
			high = mid;
		else
			low = mid + 1;
	}
	memmove(mms + low + 1, mms + low, (nr_mms - low) * sizeof(mms[0]));
	mms[low] = pid;
	nr_mms++;
	return true;
}

static pid_t number(const char *name)
{
	char *end;
	long pid = strtol(name, &end, 10);

	return *end || end == name ? 0 : pid;
}

/*
 * The numbers among the names of a directory.  Not with opendir(): what it
 * allocates would come and go between the count and what it is compared with.
 */
static int list_numbers(const char *path, pid_t *list, int max)
{
	static char buf[32768] __aligned(8);
	struct dirent *entry;
	int fd, nr = 0;
	long n, at;
	pid_t pid;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n; at += entry->d_reclen) {
			entry = (struct dirent *)(buf + at);
			pid = number(entry->d_name);
			if (pid && nr < max)
				list[nr++] = pid;
		}
	}
	close(fd);
	return nr;
}

/* False: the task has no memory: a kernel thread, a zombie, or gone. */
static bool visit_task(pid_t pid, pid_t tid,
		       void (*visit)(const struct mapping *m))
{
	int maps, pagemap;
	bool has_mm;
	char path[64], byte;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", pid, tid);
	maps = open(path, O_RDONLY | O_CLOEXEC);
	if (maps < 0)
		return false;
	has_mm = pread(maps, &byte, 1, 0) == 1;
	if (has_mm && is_new_mm(tid)) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/pagemap", pid,
			 tid);
		pagemap = open(path, O_RDONLY | O_CLOEXEC);
		visit_vmas(maps, pagemap, pid, visit);
		if (pagemap >= 0)
			close(pagemap);
	}
	close(maps);
	return has_mm;
}

/* The leader of a process may have exited before its other threads. */
static void visit_other_threads(pid_t pid,
				void (*visit)(const struct mapping *m))
{
	static pid_t tids[MAX_PROCESSES];
	char path[64];
	int i, nr;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	nr = list_numbers(path, tids, MAX_PROCESSES);
	for (i = 0; i < nr; i++)
		if (tids[i] != pid && visit_task(pid, tids[i], visit))
			return;
}

static bool is_kernel_thread(pid_t pid)
{
	return pid < CACHED_PIDS && kernel_thread[pid / 8] & (1 << pid % 8);
}

/*
 * Skipping the kernel threads that were there at boot saves most of the walk.
 * It is safe until a PID comes again: so do not do it when in doubt.
 */
void each_pte(void (*visit)(const struct mapping *m), bool trust_kernel_threads)
{
	static pid_t pids[MAX_PROCESSES];
	int i, nr = list_numbers("/proc", pids, MAX_PROCESSES);

	nr_mms = 0;
	special_vmas = 0;
	for (i = 0; i < nr; i++) {
		if (trust_kernel_threads && is_kernel_thread(pids[i]))
			continue;
		if (!visit_task(pids[i], pids[i], visit))
			visit_other_threads(pids[i], visit);
	}
}

/* Learning forks, so it is not done in the midst of a walk. */
bool pte_count(bool trust_kernel_threads)
{
	if (!grow())
		return false;
	forget_pages();
	each_pte(count_entry, trust_kernel_threads);
	if (pte_counts.unlearned) {
		exclusive_types_learn();
		forget_pages();
		each_pte(count_entry, trust_kernel_threads);
	}
	pte_counts.processes = nr_mms;
	pte_counts.special = special_vmas;
	return true;
}

static void note_nothing(const struct mapping *m)
{
	(void)m;
}

/* What has no memory at boot is a kernel thread. */
static void note_kernel_threads(void)
{
	static pid_t pids[MAX_PROCESSES];
	int i, nr = list_numbers("/proc", pids, MAX_PROCESSES);

	nr_mms = 0;
	for (i = 0; i < nr; i++)
		if (pids[i] < CACHED_PIDS &&
		    !visit_task(pids[i], pids[i], note_nothing))
			kernel_thread[pids[i] / 8] |= 1 << pids[i] % 8;
}

/* The agent's own memory has to be what it was, for the ledger. */
void pte_count_shrink(void)
{
	if (pte_counts.nr_pfns == boot_pfns || !set_size(boot_pfns))
		return;
	memset(pte_counts.page, 0, page_bytes(boot_pfns));
	memset(pte_counts.block, 0, boot_pfns / BLOCK_PAGES);
}

bool pte_count_init(void)
{
	if (!set_size(wanted_pfns()))
		return false;
	boot_pfns = pte_counts.nr_pfns;
	note_kernel_threads();
	return boot_pfns != 0;
}
