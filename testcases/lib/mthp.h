/* SPDX-License-Identifier: GPL-2.0 */
/* Large folios of the orders below a PMD: Documentation/admin-guide/mm/transhuge.rst */
#ifndef MTHP_H
#define MTHP_H

#include "rmaplab.h"

/*
 * One populated folio of 1 << ORDER pages, page i filled with seed i; no other
 * order is allowed meanwhile.  Skips if the kernel has no such order.
 */
char *mthp_map(int order);
/* Whether the 1 << ORDER pages at ADDR are one folio of that order. */
bool is_folio(const void *addr, int order);
/* A counter of hugepages-*kB/stats; -1 on kernels without it. */
long long mthp_stat(int order, const char *name);

/* A subtest for every order from 16 kB to 1 MB: what subtest_arg() says. */
#define OF_ORDER(order, label, fn)					\
	{ .name = label "-order-" #order, .run = fn, .arg = order }

#endif /* MTHP_H */
