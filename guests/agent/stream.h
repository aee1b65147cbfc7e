/* SPDX-License-Identifier: GPL-2.0 */
/* A workload's standard output or error. */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"

struct stream {
	const char *event;
	long id;		/* of the run */
	int fd;
	char line[LINE_BYTES];
	size_t len;		/* of the line so far, may exceed LINE_BYTES */
	size_t total;
	size_t dropped;
};

void stream_open(struct stream *s, int fd);
/* Returns true when the pipe is empty for now. */
bool stream_read(struct stream *s);
/* Whether the port's buffer takes what one read can become. */
bool stream_has_room(void);
void stream_close(struct stream *s);
void stream_report_flood(const struct stream *s);

#endif /* AGENT_STREAM_H */
