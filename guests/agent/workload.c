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
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define BEAT_MS		500
#define BEAT_ROOM	4096
#define KILL_MS		100	/* between two attempts to kill what is left */
#define MAX_LIMIT_MS	(24L * 3600 * 1000)

enum phase { IDLE, RUNNING, ENDING };

static struct {
	enum phase phase;
	long id;
	pid_t pid;
	const char *program;
	char program_buf[PATH_MAX];
	int status;
	bool mute;		/* nothing goes through the port until the end */
	bool staged;		/* the process waits for what to execute */
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
static int consoles_fd = -1;	/* /proc/consoles, see flush_console() */

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

	/* A workload's orphans come to us, not to a distribution's init. */
	if (!is_init && prctl(PR_SET_CHILD_SUBREAPER, 1))
		return false;
	/* Nothing reaches a PID 1 that has no handler; this is for SIGCHLD. */
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	child_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	consoles_fd = open("/proc/consoles", O_RDONLY | O_CLOEXEC);
	return child_fd >= 0;
}

/* -- start -------------------------------------------------------------- */

/*
 * The workload's process is made in two steps.  workload_stage() makes the
 * cgroup and forks; the child joins the cgroup and waits.  workload_start()
 * tells it what to execute.  A guest that is saved in between has the dear
 * part behind it, and its clones need not do it again.
 */

/* What goes through the pipe, followed by LEN bytes: NR words, each with NUL. */
struct go {
	uid_t uid;
	bool exact;
	int nr;
	size_t len;
};

static int go_fd = -1;

static void __noreturn child_fail(const char *what)
{
	dprintf(STDERR_FILENO, "rmaplab-agent: %s: %s\n", what, strerror(errno));
	_exit(127);
}

static bool move_all(ssize_t (*move)(int fd, void *buf, size_t len), int fd,
		     void *buf, size_t len)
{
	ssize_t n;

	for (; len; len -= n, buf = (char *)buf + n) {
		n = move(fd, buf, len);
		if (n <= 0)
			return false;
	}
	return true;
}

static ssize_t write_some(int fd, void *buf, size_t len)
{
	return write(fd, buf, len);
}

#define INIT_PATH "PATH=/bin"
#define HOST_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void __noreturn child_exec(int go_read, char *marked)
{
	const char *env[5] = { is_init ? INIT_PATH : HOST_PATH, "TMPDIR=/tmp" };
	static char words[MAX_REQUEST], *argv[MAX_WORDS + 1];
	sigset_t none;
	struct go go;
	char *word;
	int i;

	if (!move_all(read, go_read, &go, sizeof(go)) ||
	    !move_all(read, go_read, words, go.len))
		_exit(127);
	for (i = 0, word = words; i < go.nr; i++, word += strlen(word) + 1)
		argv[i] = word;
	if (go.uid && (setgroups(0, NULL) || setgid(go.uid) || setuid(go.uid)))
		child_fail("setuid");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	env[2] = marked;
	env[marked ? 3 : 2] = go.exact ? "RMAPLAB_EXACT=1" : NULL;
	execve(argv[0], argv, (char **)env);
	child_fail(argv[0]);
}

static void __noreturn child_wait(int go_read, int ready, int out, int err,
				  int marks)
{
	char *marked = audit_environment(marks);
	int null = open("/dev/null", O_RDONLY);

	if (dup2(err, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(127);
	if (dup2(null, STDIN_FILENO) < 0)
		child_fail("/dev/null");
	if (null > STDERR_FILENO)
		close(null);
	if (marks >= 0 && !marked)
		child_fail("descriptor for audits");
	if (!cell_join())
		child_fail("cgroup.procs");
	setsid();
	close(ready);
	child_exec(go_read, marked);
}

static void close_pair(int *pair)
{
	close(pair[0]);
	close(pair[1]);
}

/*
 * Or a guest that is saved now would have the child's part before it still.
 * The child closes its end when it is ready, and if it dies.
 */
static void wait_until_ready(int ready)
{
	char none;

	while (read(ready, &none, sizeof(none)) < 0 && errno == EINTR)
		;
	close(ready);
}

static bool spawn(void)
{
	enum { GO, READY, OUT, ERR, NR_PIPES };
	int pipes[NR_PIPES][2], marks, i;

	for (i = 0; i < NR_PIPES; i++) {
		if (!pipe2(pipes[i], O_CLOEXEC))
			continue;
		while (i--)
			close_pair(pipes[i]);
		return false;
	}
	/*
	 * The agent is not for the OOM killer, what it starts is.  The child
	 * itself must not look into /proc/self: the kernel would have to take
	 * that out of its caches when the child is gone.
	 */
	spare_from_oom(false);
	/* Without its marks the workload would run on unaudited. */
	w.pid = audit_open(&marks) ? fork() : -1;
	if (!w.pid) {
		/* Or it would wait for ever if the agent closed its end. */
		close(pipes[GO][1]);
		child_wait(pipes[GO][0], pipes[READY][1], pipes[OUT][1],
			   pipes[ERR][1], marks);
	}
	spare_from_oom(true);
	close(pipes[GO][0]);
	close(pipes[READY][1]);
	close(pipes[OUT][1]);
	close(pipes[ERR][1]);
	if (marks >= 0)
		close(marks);
	if (w.pid < 0) {
		close(pipes[GO][1]);
		close(pipes[READY][0]);
		close(pipes[OUT][0]);
		close(pipes[ERR][0]);
		w.pid = 0;
		return false;
	}
	wait_until_ready(pipes[READY][0]);
	go_fd = pipes[GO][1];
	stream_open(&w.out, pipes[OUT][0]);
	stream_open(&w.err, pipes[ERR][0]);
	return true;
}

/* Returns what failed, or NULL. */
static const char *stage(void)
{
	if (!cell_make())
		return "cannot make the cgroup";
	if (spawn()) {
		w.staged = true;
		return NULL;
	}
	cell_remove();
	return "pipe or fork failed";
}

void workload_stage(const struct request *rq)
{
	const char *problem = w.staged ? "there is one already" : stage();

	if (problem) {
		event_error(rq->id, problem);
		return;
	}
	event_begin("staged", rq->id);
	event_int("pid", w.pid);
	event_end();
}

/* Send PROGRAM ARG... on their way. */
static bool let_go(const struct request *rq, uid_t uid)
{
	struct go go = { .uid = uid, .exact = w.mute, .nr = rq->nr - 3 };
	static char words[MAX_REQUEST];
	size_t len;
	bool ok;
	int i;

	for (i = 3; i < rq->nr; i++) {
		/* Up to the first NUL, as execve() would. */
		len = strlen(rq->word[i].s) + 1;
		memcpy(words + go.len, rq->word[i].s, len);
		go.len += len;
	}
	clock_gettime(CLOCK_MONOTONIC, &w.start);
	ok = move_all(write_some, go_fd, &go, sizeof(go)) &&
	     move_all(write_some, go_fd, words, go.len);
	close(go_fd);
	go_fd = -1;
	return ok;
}

static bool parse_long(const char *s, long max, long *value)
{
	char *end;

	*value = strtol(s, &end, 10);
	return end != s && !*end && *value >= 0 && *value <= max;
}

/*
 * Where in a second instructions begin to be counted: not when a whole one is
 * over, when the kernel's own work comes up, nor on a tick.  So a workload
 * meets the same interrupts whichever kernel it runs on.
 */
#define MARK_NS		502000000L
#define NEAR_NS		12000000L	/* before the mark */
#define SPINS		500		/* between two looks at the clock */

static void next_after(long ns, struct timespec *t)
{
	clock_gettime(CLOCK_MONOTONIC, t);
	t->tv_sec += t->tv_nsec >= ns;
	t->tv_nsec = ns;
}

/* Sleep until the mark is near. */
void workload_near_the_mark(void)
{
	struct timespec t;

	next_after(MARK_NS - NEAR_NS, &t);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

/*
 * The last part is not slept: QEMU lets the time of an idle guest jump to the
 * next timer, and if its main loop does that just when the vCPU falls idle, it
 * jumps too far by what the vCPU executed last (icount_start_warp_timer()).
 */
static void wait_for_the_mark(void)
{
	struct timespec now, mark;
	volatile int spin;

	next_after(MARK_NS, &mark);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (mark.tv_sec > now.tv_sec || now.tv_nsec < MARK_NS - NEAR_NS)
		workload_near_the_mark();
	do {
		for (spin = 0; spin < SPINS; spin++)
			;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < mark.tv_sec || now.tv_nsec < mark.tv_nsec);
}

/* LIMIT_MS UID PROGRAM ARG... */
static void start(const struct request *rq, bool mute)
{
	const char *problem;
	long limit, uid;

	if (!parse_long(rq->word[1].s, MAX_LIMIT_MS, &limit) || !limit ||
	    !parse_long(rq->word[2].s, 65534, &uid)) {
		event_error(rq->id, "run: LIMIT_MS or UID out of range");
		return;
	}
	problem = w.staged ? NULL : stage();
	if (problem) {
		event_error(rq->id, problem);
		return;
	}
	snprintf(w.program_buf, sizeof(w.program_buf), "%s", rq->word[3].s);
	w.program = w.program_buf;
	w.id = rq->id;
	w.out.id = rq->id;
	w.err.id = rq->id;
	if (mute) {
		/*
		 * Before the wait: how long the serial port takes for a line is
		 * not exact.
		 */
		kmsg_mark("begin ", rq->word[3].s);
		wait_for_the_mark();
	}
	w.staged = false;
	w.mute = mute;
	w.phase = RUNNING;
	w.timeout = false;
	w.kill = false;
	w.left = 0;
	w.next_kill = 0;
	w.next_beat = now_ms() + BEAT_MS;
	w.deadline = now_ms() + limit;
	event_begin("start", w.id);
	event_int("pid", w.pid);
	event_end();
	if (!mute)
		kmsg_mark("begin ", w.program);
	/* If that fails the process is gone, and its exit says so. */
	if (!let_go(rq, uid))
		complain("the staged process", errno);
}

void workload_start(const struct request *rq)
{
	start(rq, false);
}

/*
 * The host must not be heard while instructions are counted: each byte that
 * goes to it ends in an interrupt at a time of its own.
 */
void workload_start_exact(const struct request *rq)
{
	start(rq, true);
}

bool workload_is_mute(void)
{
	return w.phase != IDLE && w.mute && stream_has_room();
}

/* -- end ---------------------------------------------------------------- */

/* Returns true when no child is left, not even an orphan that came to us. */
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
	stream_report_flood(&w.out);
	stream_report_flood(&w.err);
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
	int left = cell_count();

	w.phase = ENDING;
	if (!w.kill)
		w.left = left;
	if (left)
		cell_kill();
	w.next_kill = now_ms() + KILL_MS;
}

/*
 * A CPU that fell idle after the workload keeps its last mm, until it runs
 * another process: only then does the kernel check that mm's counters ("Bad
 * rss-counter state", __mmdrop()).  So run on each CPU once.
 */
static void drop_lazy_mms(void)
{
	cpu_set_t all, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) == 1)
		return;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	sched_setaffinity(0, sizeof(all), &all);
}

/*
 * Another CPU may still be printing what the kernel said before.  Reading this
 * file takes the console lock, and giving that back prints what is left.
 */
static void flush_console(void)
{
	reread(consoles_fd);
}

/*
 * All children are gone and with them every writer of the pipes, even one that
 * had moved itself to another cgroup.
 */
static bool finish(void)
{
	if (!stream_read(&w.out) || !stream_read(&w.err))
		return false;
	stream_close(&w.out);
	stream_close(&w.err);
	drop_lazy_mms();
	audit_close();
	if (audit_wanted())
		audit_end(w.id);
	kmsg_mark("end ", w.program);
	flush_console();
	report_exit(cell_remove());
	w.phase = IDLE;
	return true;
}

static void kill_workload(void)
{
	int others = cell_count() - 1;

	/* Under way to exec, the process may not be in the cgroup yet. */
	if (!w.kill && others > 0)
		w.left = others;
	w.kill = true;
	kill(w.pid, SIGKILL);
	cell_kill();
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

/* The children that came to us, PROC_CHILDREN; theirs come when those are dead. */
static void kill_children(void)
{
	char path[64];
	FILE *children;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	if (!children) {
		complain(path, errno);
		return;
	}
	while (fscanf(children, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(children);
}

/*
 * As PID 1 we can kill every process but ourselves: also those that left the
 * cgroup, which only a workload of UID 0 can do.  Beside a distribution's
 * programs we kill what descends from us.
 */
static void kill_again(long long now)
{
	if (now < w.next_kill)
		return;
	w.next_kill = now + KILL_MS;
	if (w.phase == RUNNING) {
		cell_kill();
		return;
	}
	if (is_init)
		kill(-1, SIGKILL);
	else
		kill_children();
	if (!w.left)
		w.left = 1;
}

static void beat(long long now)
{
	if (now < w.next_beat)
		return;
	w.next_beat = now + BEAT_MS;
	if (w.mute)
		return;
	/* Streams leave room for it; a host that takes nothing needs none. */
	if (port_room() < BEAT_ROOM)
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
	struct pollfd pfd[5];

	if (workload_running()) {
		advance();
		/* Requests that came meanwhile wait to be served now. */
		if (!workload_running())
			return;
	}
	if (workload_is_mute()) {
		input = false;
	} else {
		/*
		 * Only write here: a request that was read now would lie in
		 * the buffer, its edge taken, while we sleep.
		 */
		port_write();
		input = port_has_input();
	}
	room = stream_has_room();
	pfd[0] = (struct pollfd){ .events = POLLIN };
	pfd[0].fd = workload_is_mute() ? -1 : port_poll_fd();
	pfd[1] = (struct pollfd){ .fd = child_fd, .events = POLLIN };
	pfd[2] = (struct pollfd){ .fd = room ? w.out.fd : -1, .events = POLLIN };
	pfd[3] = (struct pollfd){ .fd = room ? w.err.fd : -1, .events = POLLIN };
	pfd[4] = (struct pollfd){ .fd = audit_fd(), .events = POLLIN };
	poll(pfd, 5, input ? 0 : sleep_time());
	if (pfd[4].revents & POLLIN)
		audit_serve_marks(w.id);
	else if (pfd[4].revents)
		audit_close();
	while (read(child_fd, &si, sizeof(si)) > 0)
		;
	/* An orphan of an earlier run, or of no run. */
	if (!workload_running())
		reap();
}
