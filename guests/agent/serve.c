// SPDX-License-Identifier: GPL-2.0
/* Serving requests: the table of them, and those that take a few lines. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "compiler.h"
#include "console.h"
#include "drain.h"
#include "event.h"
#include "exact.h"
#include "files.h"
#include "init.h"
#include "khugepaged.h"
#include "port.h"
#include "protocol.h"
#include "request.h"
#include "serve.h"
#include "stat.h"
#include "swap.h"
#include "workload.h"

static void serve_ping(const struct request *rq)
{
	event_begin(EVENT_PONG, rq->id);
	event_end();
}

static void serve_mark(const struct request *rq)
{
	kmsg_mark(rq->word[1].s, NULL);
	event_begin(EVENT_MARKED, rq->id);
	event_end();
}

static int write_once(const char *path, const struct word *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	int err = 0;
	ssize_t n;

	if (fd < 0)
		return errno;
	n = write(fd, text->s, text->len);
	if (n < 0)
		err = errno;
	else if ((size_t)n != text->len)
		err = EIO;
	close(fd);
	return err;
}

static void serve_write(const struct request *rq)
{
	int err;

	if (!is_path(&rq->word[1])) {
		event_error(rq->id, "write: not an absolute path");
		return;
	}
	err = write_once(rq->word[1].s, &rq->word[2]);
	event_begin(EVENT_WROTE, rq->id);
	event_int(KEY_ERRNO, err);
	event_end();
}

static void serve_quit(const struct request *rq)
{
	event_begin(EVENT_BYE, rq->id);
	event_end();
	port_flush();
	power_off(0);
}

static void serve_stop(const struct request *rq)
{
	/* The workload's exit is the answer. */
	if (workload_running())
		workload_stop();
	else
		event_error(rq->id, "stop: nothing runs");
}

/*
 * Serve the request that a file gets, as soon as it has one; until then its
 * first byte is NUL.  Where the host chooses the file's content before the
 * guest runs on, as QEMU's fw_cfg lets it do, nothing of when the request
 * arrives is chance: no interrupt, no other thread of QEMU has a part in it.
 */
static void serve_await(const struct request *rq)
{
	static char line[REQUEST_BYTES + 1];
	size_t len = 0;
	int fd, err;
	ssize_t n;

	if (!is_path(&rq->word[1])) {
		event_error(rq->id, "await: not an absolute path");
		return;
	}
	fd = open(rq->word[1].s, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? errno : 0;
	exact_near_the_mark();
	event_begin(EVENT_AWAITING, rq->id);
	event_int(KEY_ERRNO, err);
	event_end();
	if (err)
		return;
	port_flush();
	do {
		n = pread(fd, line, 1, 0);
	} while (n > 0 && !*line);
	/* A file of sysfs gives a page at a time. */
	while (len < sizeof(line) - 1) {
		n = pread(fd, line + len, sizeof(line) - 1 - len, len);
		if (n <= 0)
			break;
		len += n;
	}
	close(fd);
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (*line)
		serve(line);
	else
		event_error(rq->id, "await: the file has no request");
}

static const struct {
	const char *name;
	int min, max;		/* words behind the name */
	void (*serve)(const struct request *rq);
} requests[] = {
	{ "ping", 0, 0, serve_ping },
	{ "mark", 1, 1, serve_mark },
	{ "write", 2, 2, serve_write },
	{ "read", 1, MAX_WORDS, files_read },
	{ "hold", 1, MAX_WORDS, files_hold },
	{ "sample", 0, 0, files_sample },
	{ "rehearse", 0, 0, files_rehearse },
	{ "stat", 1, MAX_WORDS, stat_request },
	{ "swap", 1, 1, swap_request },
	{ "stage", 0, 0, workload_stage },
	{ "await", 1, 1, serve_await },
	{ "audit", 1, 2, audit_request },
	{ "drain", 0, 1, drain_request },
	{ "khugepaged", 0, 0, khugepaged_request },
	{ "run", 3, MAX_WORDS, workload_start },
	{ "run-exact", 3, MAX_WORDS, workload_start_exact },
	{ "stop", 0, 0, serve_stop },
	{ "quit", 0, 0, serve_quit },
};

void serve(char *line)
{
	static struct request rq;
	const char *problem;
	size_t i;

	/* A host that connects may end another's unfinished line first. */
	if (!*line)
		return;
	problem = request_parse(line, &rq);
	if (problem) {
		event_error(rq.id, problem);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		if (strcmp(requests[i].name, rq.word[0].s))
			continue;
		if (rq.nr - 1 < requests[i].min || rq.nr - 1 > requests[i].max)
			event_error(rq.id, "wrong number of words");
		else
			requests[i].serve(&rq);
		return;
	}
	event_error(rq.id, "no such request");
}

bool is_urgent(const char *line)
{
	const char *name = strchr(line, ' ');

	return name && (!strcmp(name, " ping") || !strcmp(name, " stop"));
}
