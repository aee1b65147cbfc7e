// SPDX-License-Identifier: GPL-2.0
/* Parsing of requests. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "request.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Decode a word in place; it only gets shorter. */
static bool decode_word(struct word *w)
{
	char *in = w->s, *out = w->s;

	if (!*in)
		return false;
	if (!strcmp(in, "%"))
		in++;
	while (*in) {
		if (*in <= ' ' || *in > '~')
			return false;
		if (*in != '%') {
			*out++ = *in++;
			continue;
		}
		if (hex_digit(in[1]) < 0 || hex_digit(in[2]) < 0)
			return false;
		*out++ = hex_digit(in[1]) << 4 | hex_digit(in[2]);
		in += 3;
	}
	*out = '\0';
	w->len = out - w->s;
	return true;
}

bool parse_number(const char *s, long max, long *value)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*value = strtol(s, &end, 10);
	return !errno && !*end && *value <= max;
}

const char *request_parse(char *line, struct request *rq)
{
	char *s = line;

	rq->id = NO_ID;
	rq->nr = 0;
	if (!parse_number(strsep(&s, " "), LONG_MAX, &rq->id)) {
		rq->id = NO_ID;
		return "a request starts with its number";
	}
	while (s) {
		if (rq->nr == MAX_WORDS)
			return "too many words";
		rq->word[rq->nr].s = strsep(&s, " ");
		if (!decode_word(&rq->word[rq->nr]))
			return "a word that is not percent-encoded";
		rq->nr++;
	}
	return rq->nr ? NULL : "a request without a name";
}

bool is_path(const struct word *w)
{
	return w->s[0] == '/' && strlen(w->s) == w->len;
}
