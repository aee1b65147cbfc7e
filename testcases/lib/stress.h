/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations against each other on the same pages, each in a thread of its
 * own, for a number of rounds.  Which page an operation takes in a round comes
 * from the seed, which is printed and can be given back as the first argument,
 * the rounds as the second: then every thread does the same again, though the
 * threads may meet in another order.
 *
 * The data is known all the time: what changes a page's content does it under
 * that page's lock and notes what is in it now; what only moves pages about
 * takes no lock.
 */
#ifndef RMAPLAB_STRESS_H
#define RMAPLAB_STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stress;

/* One round of an operation on page I; false: it was refused or had no effect. */
typedef bool (*stress_op)(struct stress *s, int i, uint64_t random);

/* The operations; those with * change or check content. */
bool stress_write(struct stress *s, int i, uint64_t random);	/* * */
bool stress_check(struct stress *s, int i, uint64_t random);	/* * */
bool stress_zap(struct stress *s, int i, uint64_t random);	/* * */
/* A read that does not look at what it gets. */
bool stress_touch(struct stress *s, int i, uint64_t random);
bool stress_exclusive(struct stress *s, int i, uint64_t random);
bool stress_device_read(struct stress *s, int i, uint64_t random);
bool stress_migrate(struct stress *s, int i, uint64_t random);
bool stress_pageout(struct stress *s, int i, uint64_t random);
bool stress_mprotect(struct stress *s, int i, uint64_t random);
/* A child that checks all pages of its copy and writes to them: * */
bool stress_fork(struct stress *s, int i, uint64_t random);

struct stress_actor {
	const char *name;
	stress_op op;
};

/* main()'s arguments; without them a seed of its own. */
void stress_arguments(int argc, char **argv, unsigned long rounds);
/* Only the first NR pages are operated on; by default all. */
void stress_on(int nr);
/* The body of a subtest: run the actors, then check everything. */
void stress_run(const struct stress_actor *actors, size_t nr);

#endif /* RMAPLAB_STRESS_H */
