// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: a line of percent-encoded words, "NUMBER NAME WORD...".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "agent.h"

#define ZRAM_SYSFS	"/sys/block/zram0"
#define ZRAM_DEVICE	"/dev/zram0"

/* -- parsing ------------------------------------------------------------ */

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

static bool parse_number(const char *s, long max, long *value)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*value = strtol(s, &end, 10);
	return !errno && !*end && *value <= max;
}

static const char *parse_request(char *line, struct request *rq)
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

/* What is answered while a workload runs. */
bool request_is_urgent(const char *line)
{
	const char *name = strchr(line, ' ');

	return name && (!strcmp(name, " ping") || !strcmp(name, " stop"));
}

static bool is_path(const struct word *w)
{
	return w->s[0] == '/' && strlen(w->s) == w->len;
}

/* -- small requests ----------------------------------------------------- */

static void serve_ping(const struct request *rq)
{
	event_begin("pong", rq->id);
	event_end();
}

static void serve_mark(const struct request *rq)
{
	kmsg_mark(rq->word[1].s, NULL);
	event_begin("marked", rq->id);
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
	event_begin("wrote", rq->id);
	event_int("errno", err);
	event_end();
}

static const char *file_kind(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return "missing";
	if (S_ISCHR(st.st_mode))
		return "chr";
	if (S_ISBLK(st.st_mode))
		return "blk";
	if (S_ISREG(st.st_mode))
		return "reg";
	if (S_ISDIR(st.st_mode))
		return "dir";
	return "other";
}

static void serve_stat(const struct request *rq)
{
	int i;

	event_begin("stats", rq->id);
	event_open("stats");
	for (i = 1; i < rq->nr; i++)
		event_string(rq->word[i].s, file_kind(rq->word[i].s));
	event_close();
	event_end();
}

static void serve_quit(const struct request *rq)
{
	event_begin("bye", rq->id);
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
	static char line[MAX_REQUEST];
	size_t len = 0;
	int fd, err;
	ssize_t n;

	if (!is_path(&rq->word[1])) {
		event_error(rq->id, "await: not an absolute path");
		return;
	}
	fd = open(rq->word[1].s, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? errno : 0;
	workload_near_the_mark();
	event_begin("awaiting", rq->id);
	event_int("errno", err);
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
		request_serve(line);
	else
		event_error(rq->id, "await: the file has no request");
}

/* -- swap --------------------------------------------------------------- */

/* The header that mkswap writes, include/linux/swap.h union swap_header. */
static bool write_swap_header(int fd, long megabytes)
{
	static char page[4096];
	uint32_t *info = (uint32_t *)(page + 1024);

	info[0] = 1;					/* version */
	info[1] = (megabytes << 20) / sizeof(page) - 1;	/* last_page */
	memcpy(page + sizeof(page) - 10, "SWAPSPACE2", 10);
	return pwrite(fd, page, sizeof(page), 0) == sizeof(page);
}

static const char *set_up_swap(long megabytes)
{
	char size[32];
	bool ok;
	int fd;

	snprintf(size, sizeof(size), "%ldM", megabytes);
	if (!write_file(ZRAM_SYSFS "/disksize", size))
		return "disksize";
	fd = open(ZRAM_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return "open";
	ok = write_swap_header(fd, megabytes) && !fsync(fd);
	close(fd);
	if (!ok)
		return "header";
	return swapon(ZRAM_DEVICE, 0) ? "swapon" : NULL;
}

static void serve_swap(const struct request *rq)
{
	const char *step;
	long megabytes;
	int err;

	if (!parse_number(rq->word[1].s, 1 << 20, &megabytes) || !megabytes) {
		event_error(rq->id, "swap: not a number of megabytes");
		return;
	}
	errno = 0;
	step = set_up_swap(megabytes);
	err = errno;
	event_begin("swapped", rq->id);
	event_int("errno", step ? (err ? err : EIO) : 0);
	event_string("step", step ? step : "");
	event_end();
}

/* -- the table ---------------------------------------------------------- */

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
	{ "stat", 1, MAX_WORDS, serve_stat },
	{ "swap", 1, 1, serve_swap },
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

void request_serve(char *line)
{
	static struct request rq;
	const char *problem;
	size_t i;

	/* A host that connects may end another's unfinished line first. */
	if (!*line)
		return;
	problem = parse_request(line, &rq);
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
