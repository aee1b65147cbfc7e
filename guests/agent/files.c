// SPDX-License-Identifier: GPL-2.0
/*
 * Files read for the lab: by name ("read"), or as a sample, whose files are
 * opened once ("hold") and then read again and again ("sample").  A clone of a
 * guest that holds them has nothing to look up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event.h"
#include "files.h"
#include "protocol.h"

#define MAX_HELD	1024
/* An event that has so much content is sent: memory stays bounded. */
#define FULL_EVENT	(32 * 1024)

static struct {
	char *path;
	int fd;
} held[MAX_HELD];
static int nr_held;

/* -- events ------------------------------------------------------------- */

static bool in_event;
static size_t event_size;

static void end_event(void)
{
	if (!in_event)
		return;
	event_close();
	event_raw(KEY_ERRORS, "{}");
	event_bool(KEY_LAST, false);
	event_end();
	in_event = false;
}

static void send_content(long id, const char *path, const char *content,
			 size_t len)
{
	if (!in_event) {
		event_begin(EVENT_FILES, id);
		event_open(KEY_FILES);
		in_event = true;
		event_size = 0;
	}
	event_text(path, content, len);
	event_size += len;
	if (event_size >= FULL_EVENT)
		end_event();
}

static void send_errno(long id, const char *path, int err)
{
	end_event();
	event_begin(EVENT_FILES, id);
	event_raw(KEY_FILES, "{}");
	event_open(KEY_ERRORS);
	event_int(path, err);
	event_close();
	event_bool(KEY_LAST, false);
	event_end();
}

static void send_last(long id)
{
	end_event();
	event_begin(EVENT_FILES, id);
	event_raw(KEY_FILES, "{}");
	event_raw(KEY_ERRORS, "{}");
	event_bool(KEY_LAST, true);
	event_end();
}

/* -- content ------------------------------------------------------------ */

static int open_file(const char *path)
{
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static char content[FILE_BYTES];

/* Returns the content's length, or -errno.  What cannot seek is read on. */
static ssize_t slurp(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n = 0;

	while (len < size) {
		n = pread(fd, buf + len, size - len, len);
		if (n < 0 && errno == ESPIPE)
			n = read(fd, buf + len, size - len);
		if (n <= 0)
			break;
		len += n;
	}
	return n < 0 ? -errno : (ssize_t)len;
}

static void send_open_file(long id, const char *path, int fd)
{
	ssize_t len = slurp(fd, content, sizeof(content));

	if (len < 0)
		send_errno(id, path, -len);
	else
		send_content(id, path, content, len);
}

static void send_file(long id, const char *path)
{
	int fd = open_file(path);

	if (fd < 0) {
		send_errno(id, path, errno);
		return;
	}
	send_open_file(id, path, fd);
	close(fd);
}

/* A word without a wildcard is a file, there or not. */
static void each_file(long id, const char *pattern,
		      void (*visit)(long id, const char *path))
{
	glob_t found;
	size_t i;

	if (!strpbrk(pattern, "*?[")) {
		visit(id, pattern);
		return;
	}
	if (glob(pattern, GLOB_NOSORT, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++)
		visit(id, found.gl_pathv[i]);
	globfree(&found);
}

/* -- requests ----------------------------------------------------------- */

void files_read(const struct request *rq)
{
	int i;

	for (i = 1; i < rq->nr; i++)
		each_file(rq->id, rq->word[i].s, send_file);
	send_last(rq->id);
}

static void hold_file(long id, const char *path)
{
	int fd = open_file(path);

	if (fd < 0) {
		send_errno(id, path, errno);
		return;
	}
	if (nr_held < MAX_HELD)
		held[nr_held].path = strdup(path);
	if (nr_held == MAX_HELD || !held[nr_held].path) {
		close(fd);
		send_errno(id, path, ENOMEM);
		return;
	}
	held[nr_held++].fd = fd;
}

static void let_go(void)
{
	while (nr_held) {
		nr_held--;
		close(held[nr_held].fd);
		free(held[nr_held].path);
	}
}

void files_hold(const struct request *rq)
{
	int i;

	let_go();
	for (i = 1; i < rq->nr; i++)
		each_file(rq->id, rq->word[i].s, hold_file);
	send_last(rq->id);
}

/* Reading this one folds counters: it would not leave the guest as it was. */
#define REFRESH		"/stat_refresh"

void files_rehearse(const struct request *rq)
{
	int i;

	for (i = 0; i < nr_held; i++)
		if (!strstr(held[i].path, REFRESH))
			slurp(held[i].fd, content, sizeof(content));
	event_begin(EVENT_REHEARSED, rq->id);
	event_end();
}

void files_sample(const struct request *rq)
{
	int i;

	for (i = 0; i < nr_held; i++)
		send_open_file(rq->id, held[i].path, held[i].fd);
	send_last(rq->id);
}
