// SPDX-License-Identifier: GPL-2.0
/*
 * The one running workload: a process in a cgroup of its own, its standard
 * output and error on pipes.
 *
 *	IDLE -> RUNNING (the process lives) -> ENDING (kill what it left behind,
 *	drain the pipes, remove the cgroup) -> IDLE
 *
 * The agent never waits for a workload: workload_advance() takes each step when
 * it is possible.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "cell.h"
#include "console.h"
#include "event.h"
#include "exact.h"
#include "init.h"
#include "limit.h"
#include "port.h"
#include "protocol.h"
#include "stage.h"
#include "stream.h"
#include "util.h"
#include "workload.h"

#define BEAT_ROOM	4096

enum phase { IDLE, RUNNING, ENDING };

static struct {
	enum phase phase;
	long id;
	pid_t pid;		/* 0 when it is gone */
	char program[PATH_MAX];
	int status;
	bool mute;		/* nothing goes through the port until the end */
	bool staged;		/* the process waits for what to execute */
	struct staged process;
	struct limit limit;
	struct timespec start, end;
	long long next_beat;	/* ms */
	struct stream out, err;
} w = {
	.out = { .event = EVENT_OUT, .fd = -1 },
	.err = { .event = EVENT_ERR, .fd = -1 },
};

static int child_fd = -1;	/* signalfd of SIGCHLD */

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
	return child_fd >= 0;
}

bool workload_running(void)
{
	return w.phase != IDLE;
}

long workload_id(void)
{
	return w.id;
}

bool workload_is_mute(void)
{
	return w.phase != IDLE && w.mute && stream_has_room();
}

/* -- start -------------------------------------------------------------- */

/* Returns what failed, or NULL. */
static const char *stage(void)
{
	const char *problem = stage_process(&w.process);

	if (problem)
		return problem;
	w.pid = w.process.pid;
	w.staged = true;
	stream_open(&w.out, w.process.out_fd);
	stream_open(&w.err, w.process.err_fd);
	return NULL;
}

void workload_stage(const struct request *rq)
{
	const char *problem = w.staged ? "there is one already" : stage();

	if (problem) {
		event_error(rq->id, problem);
		return;
	}
	event_begin(EVENT_STAGED, rq->id);
	event_int(KEY_PID, w.pid);
	event_end();
}

/* LIMIT_MS UID PROGRAM ARG... */
static void start(const struct request *rq, bool mute)
{
	const char *problem;
	long limit, uid;

	if (!parse_number(rq->word[1].s, LIMIT_MS, &limit) || !limit ||
	    !parse_number(rq->word[2].s, 65534, &uid)) {
		event_error(rq->id, "run: LIMIT_MS or UID out of range");
		return;
	}
	problem = w.staged ? NULL : stage();
	if (problem) {
		event_error(rq->id, problem);
		return;
	}
	snprintf(w.program, sizeof(w.program), "%s", rq->word[3].s);
	w.id = rq->id;
	w.out.id = rq->id;
	w.err.id = rq->id;
	if (mute) {
		/*
		 * Before the wait: how long the serial port takes for a line is
		 * not exact.
		 */
		kmsg_mark(MARK_BEGIN, w.program);
		exact_wait_for_the_mark();
	}
	w.staged = false;
	w.mute = mute;
	w.phase = RUNNING;
	w.next_beat = now_ms() + BEAT_MS;
	limit_begin(&w.limit, limit);
	event_begin(EVENT_START, w.id);
	event_int(KEY_PID, w.pid);
	event_end();
	if (!mute)
		kmsg_mark(MARK_BEGIN, w.program);
	clock_gettime(CLOCK_MONOTONIC, &w.start);
	/* If that fails the process is gone, and its exit says so. */
	if (!stage_go(&w.process, rq, uid, mute))
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

void workload_stop(void)
{
	if (w.pid)
		limit_kill(&w.limit, w.pid);
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
	event_begin(EVENT_EXIT, w.id);
	event_int(KEY_STATUS, WIFEXITED(w.status) ? WEXITSTATUS(w.status) : -1);
	event_int(KEY_SIGNAL, WIFSIGNALED(w.status) ? WTERMSIG(w.status) : 0);
	event_bool(KEY_TIMEOUT, w.limit.timeout);
	event_int(KEY_LEFT, w.limit.left);
	event_int(KEY_RMDIR, rmdir_errno);
	event_time(KEY_START_T, &w.start);
	event_time(KEY_END_T, &w.end);
	event_end();
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
	kmsg_mark(MARK_END, w.program);
	console_flush();
	report_exit(cell_remove());
	w.phase = IDLE;
	return true;
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
	event_begin(EVENT_BEAT, NO_ID);
	event_end();
}

void workload_advance(void)
{
	long long now;
	bool alone;

	if (w.phase == IDLE)
		return;
	alone = reap();
	now = now_ms();
	stream_read(&w.out);
	stream_read(&w.err);
	if (w.phase == RUNNING && !w.pid) {
		w.phase = ENDING;
		limit_clear(&w.limit);
	}
	if (w.phase == ENDING && alone && finish())
		return;
	if (w.phase == RUNNING)
		limit_enforce(&w.limit, w.pid, now);
	if (w.phase == ENDING ? !alone : w.limit.kill)
		limit_kill_again(&w.limit, w.phase == ENDING, now);
	beat(now);
}

/* -- what the event loop waits for --------------------------------------- */

int workload_sleep_ms(void)
{
	long long now = now_ms(), until = w.next_beat;

	if (w.phase == IDLE)
		return -1;
	if (w.phase == RUNNING && !w.limit.timeout && w.limit.deadline < until)
		until = w.limit.deadline;
	if (until - now > KILL_MS && (w.phase == ENDING || w.limit.kill))
		until = now + KILL_MS;
	return until > now ? until - now : 0;
}

struct workload_fds workload_fds(void)
{
	bool room = stream_has_room();

	return (struct workload_fds){
		.children = child_fd,
		.out = room ? w.out.fd : -1,
		.err = room ? w.err.fd : -1,
	};
}

void workload_child_event(void)
{
	struct signalfd_siginfo si;

	while (read(child_fd, &si, sizeof(si)) > 0)
		;
	/* While a workload runs, workload_advance() takes its children. */
	if (w.phase == IDLE)
		reap();
}
