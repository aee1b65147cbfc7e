/* SPDX-License-Identifier: GPL-2.0 */
/* A request of the lab's: a line of percent-encoded words, "NUMBER NAME WORD..." */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"

struct word {
	char *s;	/* decoded, with a NUL behind it */
	size_t len;
};

struct request {
	long id;
	int nr;		/* words behind the number; the first is the name */
	struct word word[MAX_WORDS];
};

/* Parse LINE in place; returns what is wrong with it, or NULL. */
const char *request_parse(char *line, struct request *rq);
/* An absolute path without a NUL. */
bool is_path(const struct word *w);
/* A decimal number from 0 to MAX and nothing else. */
bool parse_number(const char *s, long max, long *value);

#endif /* AGENT_REQUEST_H */
