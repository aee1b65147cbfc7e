/* SPDX-License-Identifier: GPL-2.0 */
/* Requests for the content of files. */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include "request.h"

void files_read(const struct request *rq);
void files_hold(const struct request *rq);
void files_sample(const struct request *rq);
void files_rehearse(const struct request *rq);

#endif /* AGENT_FILES_H */
