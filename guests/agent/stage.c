// SPDX-License-Identifier: GPL-2.0
/*
 * The process of a workload, in two steps.  stage_process() makes the cgroup
 * and forks; the child joins the cgroup and waits.  stage_go() tells the child
 * what to execute.  A guest that is saved in between has the dear part behind
 * it, and its clones need not do it again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "cell.h"
#include "init.h"
#include "privilege.h"
#include "protocol.h"
#include "sizes.h"
#include "stage.h"

#define FIRST_WORD	3	/* of a run request: the program */

/* What goes through the pipe, followed by LEN bytes: NR words, each with NUL. */
struct go {
	uid_t uid;
	bool exact;
	int nr;
	size_t len;
};

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

static void __noreturn child_exec(int go_read, char *audit)
{
	static char words[MAX_REQUEST], *argv[MAX_WORDS + 1];
	const char *env[6], **next = env;
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
	*next++ = is_init ? INIT_PATH : HOST_PATH;
	*next++ = "TMPDIR=/tmp";
	*next++ = sizes_environment();
	if (audit)
		*next++ = audit;
	if (go.exact)
		*next++ = ENV_EXACT "=1";
	*next = NULL;
	execve(argv[0], argv, (char **)env);
	child_fail(argv[0]);
}

static void __noreturn child_wait(int go_read, int ready, int out, int err,
				  int marks)
{
	char *audit = audit_environment(marks);
	int null = open("/dev/null", O_RDONLY);

	if (dup2(err, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(127);
	if (dup2(null, STDIN_FILENO) < 0)
		child_fail("/dev/null");
	if (null > STDERR_FILENO)
		close(null);
	if (marks >= 0 && !audit)
		child_fail("descriptor for audits");
	if (!cell_join())
		child_fail("cgroup.procs");
	if (!privilege_drop())
		child_fail("privileges");
	setsid();
	close(ready);
	child_exec(go_read, audit);
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

static bool spawn(struct staged *s)
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
	s->pid = audit_open(&marks) ? fork() : -1;
	if (!s->pid) {
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
	if (s->pid < 0) {
		close(pipes[GO][1]);
		close(pipes[READY][0]);
		close(pipes[OUT][0]);
		close(pipes[ERR][0]);
		return false;
	}
	wait_until_ready(pipes[READY][0]);
	s->go_fd = pipes[GO][1];
	s->out_fd = pipes[OUT][0];
	s->err_fd = pipes[ERR][0];
	return true;
}

const char *stage_process(struct staged *s)
{
	if (!cell_make())
		return "cannot make the cgroup";
	if (spawn(s))
		return NULL;
	cell_remove();
	return "pipe or fork failed";
}

bool stage_go(struct staged *s, const struct request *rq, uid_t uid, bool exact)
{
	struct go go = { .uid = uid, .exact = exact, .nr = rq->nr - FIRST_WORD };
	static char words[MAX_REQUEST];
	size_t len;
	bool ok;
	int i;

	for (i = FIRST_WORD; i < rq->nr; i++) {
		/* Up to the first NUL, as execve() would. */
		len = strlen(rq->word[i].s) + 1;
		memcpy(words + go.len, rq->word[i].s, len);
		go.len += len;
	}
	ok = move_all(write_some, s->go_fd, &go, sizeof(go)) &&
	     move_all(write_some, s->go_fd, words, go.len);
	close(s->go_fd);
	s->go_fd = -1;
	return ok;
}
