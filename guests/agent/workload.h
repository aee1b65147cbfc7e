/* SPDX-License-Identifier: GPL-2.0 */
/* The one running workload. */
#ifndef AGENT_WORKLOAD_H
#define AGENT_WORKLOAD_H

#include <stdbool.h>

#include "request.h"

struct workload_fds {
	int children;		/* readable when a child has ended */
	int out, err;		/* -1 if they are not to be read now */
};

bool workload_init(void);
/* Requests: stage, run, run-exact. */
void workload_stage(const struct request *rq);
void workload_start(const struct request *rq);
void workload_start_exact(const struct request *rq);
/* End it early; its exit event is the answer. */
void workload_stop(void);

bool workload_running(void);
/* Its request's number. */
long workload_id(void);
/* The port is to be left alone: instructions are counted. */
bool workload_is_mute(void);
/* Take the steps that are possible now. */
void workload_advance(void);
/* How long nothing has to be done, in ms; -1: until something happens. */
int workload_sleep_ms(void);
struct workload_fds workload_fds(void);
/* A child has ended: one of the workload's, or an orphan of an earlier one. */
void workload_child_event(void);

#endif /* AGENT_WORKLOAD_H */
