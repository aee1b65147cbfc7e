/* SPDX-License-Identifier: GPL-2.0 */
/* The request "khugepaged": bring its first scan about. */
#ifndef AGENT_KHUGEPAGED_H
#define AGENT_KHUGEPAGED_H

#include "request.h"

void khugepaged_request(const struct request *rq);

#endif /* AGENT_KHUGEPAGED_H */
