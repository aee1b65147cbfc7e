/* SPDX-License-Identifier: GPL-2.0 */
/* Events to the lab: one JSON object a line. */
#ifndef AGENT_EVENT_H
#define AGENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define NO_ID	(-1L)	/* of an event that belongs to no request */

void event_begin(const char *name, long id);
void event_int(const char *key, long long value);
void event_bool(const char *key, bool value);
void event_time(const char *key, const struct timespec *t);
/* Any bytes: one character for each. */
void event_text(const char *key, const char *s, size_t len);
void event_string(const char *key, const char *s);
void event_raw(const char *key, const char *json);
void event_open(const char *key);
void event_close(void);
void event_list(const char *key);
void event_item(void);		/* an object in a list; event_close() ends it */
void event_list_end(void);
void event_end(void);
void event_error(long id, const char *message);

#endif /* AGENT_EVENT_H */
