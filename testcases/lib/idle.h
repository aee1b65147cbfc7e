/* SPDX-License-Identifier: GPL-2.0 */
/* Documentation/admin-guide/mm/idle_page_tracking.rst */
#ifndef IDLE_H
#define IDLE_H

#include "rmaplab.h"

void require_page_idle(void);
/* Mark NR pages of ours idle, present or exclusive, which are on the LRU. */
void idle_set(const void *addr, int nr);
/* Nobody touched the page since: reading the bitmap walks its mappings. */
bool page_is_idle(const void *addr);

#endif /* IDLE_H */
