/* SPDX-License-Identifier: GPL-2.0 */
/* The request "swap": a zram device as swap. */
#ifndef AGENT_SWAP_H
#define AGENT_SWAP_H

#include "request.h"

void swap_request(const struct request *rq);

#endif /* AGENT_SWAP_H */
