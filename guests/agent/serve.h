/* SPDX-License-Identifier: GPL-2.0 */
/* Serving requests: the table of them, and those that take a few lines. */
#ifndef AGENT_SERVE_H
#define AGENT_SERVE_H

#include <stdbool.h>

/* Carry out a request's line, which is parsed in place. */
void serve(char *line);
/* Whether a line is answered while a workload runs. */
bool is_urgent(const char *line);

#endif /* AGENT_SERVE_H */
