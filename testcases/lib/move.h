/* SPDX-License-Identifier: GPL-2.0 */
/* Ways to make the kernel move shared pages, and to take them away. */
#ifndef MOVE_H
#define MOVE_H

#include "rmaplab.h"

/* Anonymous, order-0 memory whose NR pages lie on NODE, page i filled with i. */
char *anon_map_on(int node, int nr);
/* One page, whoever else maps it: its node then, or -errno. */
int move_shared_page(void *page, int node);
/* NR pages of PAGE_SIZE; how many arrived.  Says why another did not. */
int move_shared_pages(void *addr, int nr, int node);

/*
 * Rounds of proactive reclaim from our cgroup, until the NR pages at ADDR are
 * swapped out for every sharer: whether that came about.
 */
bool reclaim_shared(const void *addr, int nr);
/* The same until DONE() holds. */
bool reclaim_until(bool (*done)(const void *addr, int nr), const void *addr,
		   int nr);
/* The classic lists (false) or the multi-generational LRU; else skips. */
void choose_lru(bool generations);

/* A reference to each of NR pages, held by a pipe: as a reader of it would. */
int hold_references(const void *addr, int nr);
void drop_references(int pipe);

#endif /* MOVE_H */
