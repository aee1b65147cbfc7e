/* SPDX-License-Identifier: GPL-2.0 */
/* The request "stat": of what kind files are. */
#ifndef AGENT_STAT_H
#define AGENT_STAT_H

#include "request.h"

void stat_request(const struct request *rq);

#endif /* AGENT_STAT_H */
