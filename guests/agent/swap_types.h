/* SPDX-License-Identifier: GPL-2.0 */
/* The swap types of device-exclusive entries. */
#ifndef AGENT_SWAP_TYPES_H
#define AGENT_SWAP_TYPES_H

#include <stdint.h>

/* Learn them, if that was not tried before.  Forks. */
void exclusive_types_learn(void);
/*
 * 0: they are known.  -EAGAIN: not learned yet.  -ENODEV: no device, so no such
 * entries.  -EIO: learning failed.
 */
int exclusive_types_state(void);
/* A bit for each type. */
uint32_t exclusive_types(void);

#endif /* AGENT_SWAP_TYPES_H */
