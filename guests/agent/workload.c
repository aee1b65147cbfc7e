// SPDX-License-Identifier: GPL-2.0
/*
 * The one running workload: a process in the cgroup /sys/fs/cgroup/cell, its
 * standard output and error on pipes.
 *
 *	IDLE -> RUNNING (the process lives) -> ENDING (kill what it left behind,
 *	drain the pipes, remove the cgroup) -> IDLE
 *
 * The agent never waits for a workload: each step is taken by workload_poll()
 * when it is possible.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define CELL		"/sys/fs/cgroup/cell"
#define BEAT_MS		500
#define KILL_MS		100	/* between two attempts to kill what is left */
#define MAX_LINE	4096
#define MAX_STREAM	(1 << 20)
#define MAX_LIMIT_MS	(24L * 3600 * 1000)
#define CHUNK		1024
/*
 * Room for the events that CHUNK bytes can become: a line of its own for each
 * byte, or the end of a line of MAX_LINE bytes, six characters for each.
 */
#define CHUNK_ROOM	(CHUNK * 80 + MAX_LINE * 6)

enum phase { IDLE, RUNNING, ENDING };

struct stream {
	const char *event;
	int fd;
	char line[MAX_LINE];
	size_t len;		/* of the line so far, may exceed MAX_LINE */
	size_t total;
	size_t dropped;
};

static struct {
	enum phase phase;
	long id;
	pid_t pid;
	const char *program;
	char program_buf[PATH_MAX];
	int status;
	bool timeout;
	bool kill;		/* at the limit, or by a stop */
	int left;
	struct timespec start, end;
	long long deadline, next_beat, next_kill;	/* ms */
	struct stream out, err;
} w = {
	.out = { .event = "out", .fd = -1 },
	.err = { .event = "err", .fd = -1 },
};

static int child_fd = -1;	/* signalfd of SIGCHLD */

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

bool workload_running(void)
{
	return w.phase != IDLE;
}

bool workload_init(void)
{
	sigset_t set;

	/* Nothing reaches a PID 1 that has no handler; this is for SIGCHLD. */
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	child_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return child_fd >= 0;
}

/* -- the cgroup --------------------------------------------------------- */

/* Visit the processes of a cgroup and of those below it; returns how many. */
static int each_process(const char *cgroup, void (*visit)(pid_t pid))
{
	char path[PATH_MAX];
	struct dirent *entry;
	int pid, n = 0;
	FILE *procs;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	procs = fopen(path, "re");
	if (procs) {
		for (; fscanf(procs, "%d", &pid) == 1; n++)
			if (visit)
				visit(pid);
		fclose(procs);
	}
	dir = opendir(cgroup);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", cgroup, entry->d_name);
		n += each_process(path, visit);
	}
	if (dir)
		closedir(dir);
	return n;
}

static void kill_process(pid_t pid)
{
	kill(pid, SIGKILL);
}

static void kill_cell(void)
{
	/* cgroup.kill came with Linux 5.14. */
	if (!write_file(CELL "/cgroup.kill", "1"))
		each_process(CELL, kill_process);
}

/* A workload may have made cgroups of its own: remove those first. */
static int remove_cgroup(const char *cgroup)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(cgroup);

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", cgroup, entry->d_name);
		remove_cgroup(path);
	}
	if (dir)
		closedir(dir);
	return rmdir(cgroup) ? errno : 0;
}

static bool make_cell(void)
{
	if (mkdir(CELL, 0755) && errno != EEXIST)
		return false;
	/* A cgroup that an earlier run left has that run's counters. */
	if (errno == EEXIST && (remove_cgroup(CELL) || mkdir(CELL, 0755)))
		return false;
	return true;
}

/* -- start -------------------------------------------------------------- */

static void __noreturn child_fail(const char *what)
{
	dprintf(STDERR_FILENO, "rmaplab-agent: %s: %s\n", what, strerror(errno));
	_exit(127);
}

static void __noreturn child_exec(char **argv, uid_t uid, int out, int err)
{
	static char *const env[] = { "PATH=/bin", "TMPDIR=/tmp", NULL };
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	if (dup2(err, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(127);
	if (dup2(null, STDIN_FILENO) < 0)
		child_fail("/dev/null");
	if (null > STDERR_FILENO)
		close(null);
	if (!write_file(CELL "/cgroup.procs", "0"))
		child_fail(CELL "/cgroup.procs");
	/* The agent is not for the OOM killer, what it starts is. */
	write_file("/proc/self/oom_score_adj", "0");
	setsid();
	if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
		child_fail("setuid");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(argv[0], argv, env);
	child_fail(argv[0]);
}

static void stream_open(struct stream *s, int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	s->fd = fd;
	s->len = 0;
	s->total = 0;
	s->dropped = 0;
}

static bool spawn(char **argv, uid_t uid)
{
	int out[2], err[2];

	if (pipe2(out, O_CLOEXEC))
		return false;
	if (pipe2(err, O_CLOEXEC)) {
		close(out[0]);
		close(out[1]);
		return false;
	}
	clock_gettime(CLOCK_MONOTONIC, &w.start);
	w.pid = fork();
	if (!w.pid)
		child_exec(argv, uid, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	if (w.pid < 0) {
		close(out[0]);
		close(err[0]);
		return false;
	}
	stream_open(&w.out, out[0]);
	stream_open(&w.err, err[0]);
	return true;
}

static bool parse_long(const char *s, long max, long *value)
{
	char *end;

	*value = strtol(s, &end, 10);
	return end != s && !*end && *value >= 0 && *value <= max;
}

/* run LIMIT_MS UID PROGRAM ARG... */
void workload_start(const struct request *rq)
{
	static char *argv[MAX_WORDS + 1];
	long limit, uid;
	int i;

	if (!parse_long(rq->word[1].s, MAX_LIMIT_MS, &limit) || !limit ||
	    !parse_long(rq->word[2].s, 65534, &uid)) {
		event_error(rq->id, "run: LIMIT_MS or UID out of range");
		return;
	}
	for (i = 3; i < rq->nr; i++)
		argv[i - 3] = rq->word[i].s;
	argv[i - 3] = NULL;
	snprintf(w.program_buf, sizeof(w.program_buf), "%s", argv[0]);
	w.program = w.program_buf;

	if (!make_cell()) {
		event_error(rq->id, "run: cannot make " CELL);
		return;
	}
	kmsg_mark("begin ", w.program);
	if (!spawn(argv, uid)) {
		remove_cgroup(CELL);
		event_error(rq->id, "run: pipe or fork failed");
		return;
	}
	w.phase = RUNNING;
	w.id = rq->id;
	w.timeout = false;
	w.kill = false;
	w.left = 0;
	w.next_kill = 0;
	w.next_beat = now_ms() + BEAT_MS;
	w.deadline = now_ms() + limit;
	event_begin("start", w.id);
	event_int("pid", w.pid);
	event_end();
}

/* -- output ------------------------------------------------------------- */

static void emit_line(struct stream *s)
{
	event_begin(s->event, w.id);
	event_text("text", s->line, s->len < MAX_LINE ? s->len : MAX_LINE);
	event_end();
	s->len = 0;
}

static void take_bytes(struct stream *s, const char *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (s->total == MAX_STREAM) {
			s->dropped += n - i;
			return;
		}
		s->total++;
		if (bytes[i] == '\n') {
			emit_line(s);
			continue;
		}
		if (s->len < MAX_LINE)
			s->line[s->len] = bytes[i];
		s->len++;
	}
}

static void stream_close(struct stream *s)
{
	if (s->len)
		emit_line(s);
	close(s->fd);
	s->fd = -1;
}

/*
 * What the host is too slow for stays in the pipe, and the workload waits.
 * Returns true when the pipe is empty for now.
 */
static bool stream_read(struct stream *s)
{
	char chunk[CHUNK];
	ssize_t n;

	while (s->fd >= 0) {
		if (port_room() < CHUNK_ROOM)
			return false;
		n = read(s->fd, chunk, sizeof(chunk));
		if (n < 0)
			return errno == EAGAIN;
		if (n)
			take_bytes(s, chunk, n);
		else
			stream_close(s);
	}
	return true;
}

static void report_flood(const struct stream *s)
{
	if (!s->dropped)
		return;
	event_begin("flood", w.id);
	event_string("stream", s->event);
	event_int("dropped", s->dropped);
	event_end();
}

/* -- end ---------------------------------------------------------------- */

/* Returns true when no child is left, not even an orphan that came to PID 1. */
static bool reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != w.pid)
			continue;
		w.status = status;
		w.pid = 0;
		clock_gettime(CLOCK_MONOTONIC, &w.end);
	}
	return pid < 0;
}

static void report_exit(int rmdir_errno)
{
	report_flood(&w.out);
	report_flood(&w.err);
	event_begin("exit", w.id);
	event_int("status", WIFEXITED(w.status) ? WEXITSTATUS(w.status) : -1);
	event_int("signal", WIFSIGNALED(w.status) ? WTERMSIG(w.status) : 0);
	event_bool("timeout", w.timeout);
	event_int("left", w.left);
	event_int("rmdir", rmdir_errno);
	event_time("start_t", &w.start);
	event_time("end_t", &w.end);
	event_end();
}

static void begin_ending(void)
{
	int left = each_process(CELL, NULL);

	w.phase = ENDING;
	if (!w.kill)
		w.left = left;
	if (left)
		kill_cell();
	w.next_kill = now_ms() + KILL_MS;
}

/*
 * All children are gone and with them every writer of the pipes, even one that
 * had moved itself to another cgroup.
 */
static bool finish(void)
{
	if (!stream_read(&w.out) || !stream_read(&w.err))
		return false;
	if (w.out.fd >= 0)
		stream_close(&w.out);
	if (w.err.fd >= 0)
		stream_close(&w.err);
	kmsg_mark("end ", w.program);
	report_exit(remove_cgroup(CELL));
	w.phase = IDLE;
	return true;
}

static void kill_workload(void)
{
	int others = each_process(CELL, NULL) - 1;

	/* Under way to exec, the process may not be in the cgroup yet. */
	if (!w.kill && others > 0)
		w.left = others;
	w.kill = true;
	kill(w.pid, SIGKILL);
	kill_cell();
	w.next_kill = now_ms() + KILL_MS;
}

void workload_stop(void)
{
	if (w.pid)
		kill_workload();
}

static void enforce_limit(long long now)
{
	if (now < w.deadline || w.timeout)
		return;
	w.timeout = true;
	kill_workload();
}

/*
 * As PID 1 we can kill every process but ourselves: also those that left the
 * cgroup, which only a workload of UID 0 can do.
 */
static void kill_again(long long now)
{
	if (now < w.next_kill)
		return;
	w.next_kill = now + KILL_MS;
	if (w.phase == RUNNING) {
		kill_cell();
		return;
	}
	kill(-1, SIGKILL);
	if (!w.left)
		w.left = 1;
}

static void beat(long long now)
{
	if (now < w.next_beat)
		return;
	w.next_beat = now + BEAT_MS;
	if (port_room() < CHUNK_ROOM)
		return;
	event_begin("beat", NO_ID);
	event_end();
}

static void advance(void)
{
	bool alone = reap();
	long long now = now_ms();

	stream_read(&w.out);
	stream_read(&w.err);
	if (w.phase == RUNNING && !w.pid)
		begin_ending();
	if (w.phase == ENDING && alone && finish())
		return;
	if (w.phase == RUNNING)
		enforce_limit(now);
	if (w.phase == ENDING ? !alone : w.kill)
		kill_again(now);
	beat(now);
}

/* How long nothing has to be done, in ms; -1: until something happens. */
static int sleep_time(void)
{
	long long now = now_ms(), until = w.next_beat;

	if (w.phase == IDLE)
		return -1;
	if (w.phase == RUNNING && !w.timeout && w.deadline < until)
		until = w.deadline;
	if (until - now > KILL_MS && (w.phase == ENDING || w.kill))
		until = now + KILL_MS;
	return until > now ? until - now : 0;
}

/* Sleep until there is something to do, for a workload or for the port. */
void workload_poll(void)
{
	struct signalfd_siginfo si;
	bool room, input;
	struct pollfd pfd[4];

	if (workload_running()) {
		advance();
		/* Requests that came meanwhile wait to be served now. */
		if (!workload_running())
			return;
	}
	/*
	 * Only write here: a request that was read now would lie in the buffer,
	 * its edge taken, while we sleep.
	 */
	port_write();
	input = port_has_input();
	room = port_room() >= CHUNK_ROOM;
	pfd[0] = (struct pollfd){ .fd = port_poll_fd(), .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = child_fd, .events = POLLIN };
	pfd[2] = (struct pollfd){ .fd = room ? w.out.fd : -1, .events = POLLIN };
	pfd[3] = (struct pollfd){ .fd = room ? w.err.fd : -1, .events = POLLIN };
	poll(pfd, 4, input ? 0 : sleep_time());
	while (read(child_fd, &si, sizeof(si)) > 0)
		;
	/* An orphan of an earlier run, or of no run. */
	if (!workload_running())
		reap();
}
