// SPDX-License-Identifier: GPL-2.0
/*
 * Events: one JSON object a line.  Text keeps its bytes: what is not printable
 * ASCII becomes \u00XX, one character for one byte (latin-1).
 */
#include <stdio.h>
#include <string.h>

#include "event.h"
#include "port.h"
#include "protocol.h"

static bool first_key;

static void put(const char *s)
{
	port_put(s, strlen(s));
}

static void put_quoted(const char *s, size_t len)
{
	char esc[8];
	size_t plain;

	put("\"");
	while (len) {
		for (plain = 0; plain < len; plain++)
			if (s[plain] < 0x20 || s[plain] > 0x7e ||
			    s[plain] == '"' || s[plain] == '\\')
				break;
		port_put(s, plain);
		s += plain;
		len -= plain;
		if (!len)
			break;
		if (*s == '"' || *s == '\\')
			snprintf(esc, sizeof(esc), "\\%c", *s);
		else
			snprintf(esc, sizeof(esc), "\\u%04x", (unsigned char)*s);
		put(esc);
		s++;
		len--;
	}
	put("\"");
}

static void put_key(const char *key)
{
	if (!first_key)
		put(",");
	first_key = false;
	put_quoted(key, strlen(key));
	put(":");
}

void event_time(const char *key, const struct timespec *t)
{
	char text[40];

	snprintf(text, sizeof(text), "%lld.%06ld", (long long)t->tv_sec,
		 t->tv_nsec / 1000);
	event_raw(key, text);
}

void event_begin(const char *name, long id)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	put("{");
	first_key = true;
	event_time(KEY_TIME, &now);
	event_string(KEY_EVENT, name);
	if (id != NO_ID)
		event_int(KEY_ID, id);
}

void event_int(const char *key, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	event_raw(key, text);
}

void event_bool(const char *key, bool value)
{
	event_raw(key, value ? "true" : "false");
}

void event_text(const char *key, const char *s, size_t len)
{
	put_key(key);
	put_quoted(s, len);
}

void event_string(const char *key, const char *s)
{
	event_text(key, s, strlen(s));
}

void event_raw(const char *key, const char *json)
{
	put_key(key);
	put(json);
}

void event_open(const char *key)
{
	event_raw(key, "{");
	first_key = true;
}

void event_close(void)
{
	put("}");
	first_key = false;
}

void event_list(const char *key)
{
	event_raw(key, "[");
	first_key = true;
}

void event_item(void)
{
	if (!first_key)
		put(",");
	put("{");
	first_key = true;
}

void event_list_end(void)
{
	put("]");
	first_key = false;
}

void event_end(void)
{
	put("}");
	port_end_line();
}

void event_error(long id, const char *message)
{
	event_begin(EVENT_ERROR, id);
	event_string(KEY_MESSAGE, message);
	event_end();
}
