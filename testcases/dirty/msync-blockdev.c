// SPDX-License-Identifier: GPL-2.0
/*
 * Writes through shared mappings of a block device reach the device, also those
 * after a msync().
 *
 * Writeback makes every PTE of a page clean and read-only (folio_mkclean()), in
 * each of 1, 2, 16 or 64 processes: else a later write would not be noticed.  So
 * after a msync() each process's next write to a page is a minor fault, and the
 * next msync() writes it: read back with O_DIRECT, the device has it.
 *
 * tmpfs has no writeback; a zram device of its own has.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sharers.h"

#define NR	4
#define PAGES	64	/* of the device; page 0 is its swap header */

static char *addr;

/* Writes all pages of the mapping; the faults that this took. */
static long write_all(int who, long seed)
{
	long faults = minor_faults();
	int i;

	(void)who;
	for (i = 0; i < NR; i++)
		page_fill(addr + i * PAGE_SIZE, seed + i);
	return minor_faults() - faults;
}

static int pages_on(int direct, int seed)
{
	static char buf[2 * MAX_PAGE_SIZE];
	char *on_device = ptr_align(buf, PAGE_SIZE);	/* for O_DIRECT */
	int i, n = 0;

	for (i = 0; i < NR; i++) {
		require_errno(pread(direct, on_device, PAGE_SIZE,
				    (i + 1) * PAGE_SIZE) ==
			      (ssize_t)PAGE_SIZE,
			      "O_DIRECT read");
		n += page_intact(on_device, seed + i);
	}
	return n;
}

static void sync_all(void)
{
	require_errno(!msync(addr, NR * PAGE_SIZE, MS_SYNC), "msync");
}

static void test_msync(void)
{
	int fd, direct, who, noticed = 0, written = 0, id;
	char device[32];

	id = zram_add(PAGES, device, sizeof(device));
	fd = open(device, O_RDWR | O_CLOEXEC);
	direct = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	require_errno(fd >= 0 && direct >= 0, "%s", device);
	addr = mmap(NULL, NR * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    fd, PAGE_SIZE);
	require_errno(addr != MAP_FAILED, "mmap of %s", device);
	sharers_fork(subtest_arg());
	sharers_call(write_all, 1);
	check_shared_by_all(addr, NR);
	sync_all();
	check_eq("pages on the device", pages_on(direct, 1), NR);

	for (who = 0; who < sharers_nr(); who++) {
		noticed += sharer_call(who, write_all, 100 * (who + 2)) >= NR;
		sync_all();
		written += pages_on(direct, 100 * (who + 2));
	}
	check_eq("sharers whose writes were noticed", noticed, sharers_nr());
	check_eq("pages on the device, after each", written,
		 NR * sharers_nr());
	write_all(0, 7);
	check_eq("faults for a second write", write_all(0, 8), 0);
	sharers_end();
	require_errno(!munmap(addr, NR * PAGE_SIZE), "munmap");
	close(fd);
	close(direct);
	zram_remove(id);
}

int main(void)
{
	static const struct subtest tests[] = {
		SHARED_BY(1, "msync", test_msync),
		SHARED_BY(2, "msync", test_msync),
		SHARED_BY(16, "msync", test_msync),
		SHARED_BY(64, "msync", test_msync),
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
