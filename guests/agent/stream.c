// SPDX-License-Identifier: GPL-2.0
/*
 * A workload's standard output or error: lines become events, and memory stays
 * bounded whatever it prints.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "event.h"
#include "port.h"
#include "protocol.h"
#include "stream.h"

#define CHUNK		1024
#define PIPE_CHUNKS	64
/*
 * Room for the events that CHUNK bytes can become: a line of its own for each
 * byte, or the end of a line of LINE_BYTES bytes, six characters for each.
 */
#define CHUNK_ROOM	(CHUNK * 80 + LINE_BYTES * 6)

void stream_open(struct stream *s, int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	s->fd = fd;
	s->len = 0;
	s->total = 0;
	s->dropped = 0;
}

static void emit_line(struct stream *s)
{
	event_begin(s->event, s->id);
	event_text(KEY_TEXT, s->line, s->len < LINE_BYTES ? s->len : LINE_BYTES);
	event_end();
	s->len = 0;
}

static void take_bytes(struct stream *s, const char *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (s->total == STREAM_BYTES) {
			s->dropped += n - i;
			return;
		}
		s->total++;
		if (bytes[i] == '\n') {
			emit_line(s);
			continue;
		}
		if (s->len < LINE_BYTES)
			s->line[s->len] = bytes[i];
		s->len++;
	}
}

void stream_close(struct stream *s)
{
	if (s->len)
		emit_line(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

bool stream_has_room(void)
{
	return port_room() >= CHUNK_ROOM;
}

/*
 * What the host is too slow for stays in the pipe, and the workload waits.
 * A workload on another CPU may write as fast as we read: so read no more than
 * a pipe's content at a time.  Returns true when the pipe is empty for now.
 */
bool stream_read(struct stream *s)
{
	char chunk[CHUNK];
	ssize_t n;
	int i;

	for (i = 0; i < PIPE_CHUNKS && s->fd >= 0; i++) {
		if (!stream_has_room())
			return false;
		n = read(s->fd, chunk, sizeof(chunk));
		if (n < 0)
			return errno == EAGAIN;
		if (n)
			take_bytes(s, chunk, n);
		else
			stream_close(s);
	}
	return s->fd < 0;
}

void stream_report_flood(const struct stream *s)
{
	if (!s->dropped)
		return;
	event_begin(EVENT_FLOOD, s->id);
	event_string(KEY_STREAM, s->event);
	event_int(KEY_DROPPED, s->dropped);
	event_end();
}
