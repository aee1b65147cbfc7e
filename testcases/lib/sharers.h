/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes that share memory.
 *
 * Sharer 0 is the process that calls sharers_fork(), sharers 1 to N - 1 are
 * forked from it and wait for calls.  A call runs a function in one of them and
 * returns what it returned; so a test reads from top to bottom, and between two
 * calls every sharer is asleep.  A sharer that dies ends the subtest as failed;
 * one that failed a check makes it fail when it ends.
 *
 * Their page tables are read from outside, by /proc/PID/pagemap: looking does
 * not touch.
 */
#ifndef SHARERS_H
#define SHARERS_H

#include "rmaplab.h"

#define MAX_SHARERS	64
#define MAX_PAGES	512	/* that are looked at in one call */

/* Runs in sharer WHO. */
typedef long (*sharer_fn)(int who, long arg);

/* This process and NR - 1 forks of it; once in a subtest.  Before, NR is 1. */
void sharers_fork(int nr);
int sharers_nr(void);
int sharer_pid(int who);
long sharer_call(int who, sharer_fn fn, long arg);
/* In each, one after the other; the sum of what they returned. */
long sharers_call(sharer_fn fn, long arg);
/* In each but this process. */
long sharers_call_others(sharer_fn fn, long arg);
/* Let sharer WHO (not 0) exit, and wait until it is gone. */
void sharer_end(int who);
void sharers_end(void);

/* Subtest "LABEL-NR": run FN, for which subtest_arg() is NR. */
#define SHARED_BY(nr, label, fn)					\
	{ .name = label "-" #nr, .run = fn, .arg = nr }

/* -- what they map at one address, as memory that was there before the fork -- */

/* Over the NR pages at ADDR of all sharers, how many PTEs is_*() holds for. */
int sharers_count(const void *addr, int nr, bool (*is)(uint64_t pagemap));
/* How many sharers map the page with that PFN at ADDR. */
int sharers_mapping(const void *addr, uint64_t pfn);
/* How many of NR pages have one PFN, or swap entry, for all sharers. */
int sharers_agreeing(const void *addr, int nr);
/*
 * The NR pages at ADDR are present in every sharer, under one PFN each, and
 * the mapcount of each is the number of sharers.
 */
void check_shared_by_all(const void *addr, int nr);
/* Page i at ADDR has the pattern of seed i, for every sharer (who reads it). */
void check_intact_in_all(const void *addr, int nr);
/*
 * The NR pages at ADDR are private memory: sharer 0 writes, then the others do,
 * and each sees its own data only.
 */
void check_writes_are_private(const void *addr, int nr);
/* After that: over all sharers, how many pages have what their sharer wrote. */
int sharers_own_intact(const void *addr, int nr);

/* -- filled memory, and PFNs before and after -------------------------------- */

struct pfns {
	uint64_t pfn[MAX_PAGES];
	int nr;
};

/* Seed i into page i. */
void pages_fill(void *addr, int nr);
/* The PFNs of NR present pages of this process; they are watched. */
struct pfns pfns_of(const void *addr, int nr);
/* How many of the pages at ADDR still have the PFN they had. */
int pfns_kept(const struct pfns *before, const void *addr);

#endif /* SHARERS_H */
