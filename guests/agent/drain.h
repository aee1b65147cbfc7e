/* SPDX-License-Identifier: GPL-2.0 */
/* The request "drain": bring counters to rest. */
#ifndef AGENT_DRAIN_H
#define AGENT_DRAIN_H

#include "request.h"

void drain_request(const struct request *rq);

#endif /* AGENT_DRAIN_H */
