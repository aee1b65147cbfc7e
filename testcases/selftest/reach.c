// SPDX-License-Identifier: GPL-2.0
/*
 * For testing the lab: what a workload of UID 0 may try to speak in the agent's
 * place, or to change what the agent sees.  A subtest passes if all its attempts
 * are refused; each family has an attempt at something of its own, which has to
 * succeed, or nothing was tried.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmaplab.h"

#define AGENT		1
#define MAX_FD		256
#define HELPED		"/tmp/reach-helped"
#define HIERARCHY	"/tmp/reach-hierarchy"
#define HELPER_WAIT_MS	10000

#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd	438
#endif

/* How many of a process's descriptors come to us. */
static int steal_descriptors(pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), fd, got, n = 0;

	require_errno(pidfd >= 0, "pidfd_open of %d", pid);
	for (fd = 0; fd < MAX_FD; fd++) {
		got = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		if (got >= 0) {
			n++;
			close(got);
		}
	}
	close(pidfd);
	return n;
}

static pid_t sleeping_child(void)
{
	pid_t pid = fork();

	require_errno(pid >= 0, "fork");
	if (!pid) {
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_descriptors(void)
{
	pid_t own = sleeping_child();

	check(steal_descriptors(own) >= 3, "pidfd_getfd of a child's works");
	end(own);
	check_eq("descriptors taken from the agent", steal_descriptors(AGENT), 0);
}

/* 0 or the errno of opening a file of a process. */
static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void test_proc_files(void)
{
	static const char *const files[] = {
		"mem", "fd/0", "fd/1", "fd/3", "fd/4", "fd/5", "fd/6", "root",
		"cwd", "ns/mnt", "pagemap", "environ", "exe", "auxv",
	};
	size_t i;

	check_eq("own mem", open_of(getpid(), "mem", O_RDWR), 0);
	for (i = 0; i < ARRAY_SIZE(files); i++)
		check(open_of(AGENT, files[i], O_RDONLY),
		      "the agent's %s can be opened", files[i]);
	check(open_of(AGENT, "mem", O_RDWR), "the agent's mem can be written");
}

static void test_ptrace(void)
{
	pid_t own = sleeping_child();

	check(!ptrace(PTRACE_SEIZE, own, 0, 0), "ptrace of a child works");
	end(own);
	check(ptrace(PTRACE_SEIZE, AGENT, 0, 0), "ptrace of the agent works");
	check(ptrace(PTRACE_ATTACH, AGENT, 0, 0), "ptrace of the agent works");
}

static char remote = 1;

static ssize_t write_memory(pid_t pid)
{
	char byte = 2;
	struct iovec from = { &byte, 1 }, to = { &remote, 1 };

	return process_vm_writev(pid, &from, 1, &to, 1, 0);
}

static void test_memory(void)
{
	pid_t own = sleeping_child();
	ssize_t n = write_memory(own);

	end(own);
	if (n < 0)
		skip("process_vm_writev: %s", strerror(errno));
	check_eq("bytes written to a child", n, 1);
	check_eq("bytes written to the agent", write_memory(AGENT), -1);
	check_eq("errno", errno, EPERM);
}

static void try_nodes(const char *pattern, int *n)
{
	glob_t found;
	size_t i;
	int fd;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		fd = open(found.gl_pathv[i],
			  O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			continue;
		diag("%s can be opened", found.gl_pathv[i]);
		close(fd);
		(*n)++;
	}
	globfree(&found);
}

/* The device numbers of the agent's port and of the console's. */
static void try_numbers(const char *pattern, int *n)
{
	unsigned int major, minor;
	char text[32];
	glob_t found;
	size_t i;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		if (!read_text(found.gl_pathv[i], text, sizeof(text)) ||
		    sscanf(text, "%u:%u", &major, &minor) != 2)
			continue;
		(*n)++;
		check(mknod("/tmp/reach", S_IFCHR | 0600, makedev(major, minor)),
		      "a node of %s can be made", found.gl_pathv[i]);
		unlink("/tmp/reach");
	}
	globfree(&found);
}

static void test_devices(void)
{
	int opened = 0, numbers = 0, null = open("/dev/null", O_RDWR);

	check(null >= 0, "/dev/null can be opened");
	try_nodes("/dev/vport*", &opened);
	try_nodes("/dev/ttyS*", &opened);
	try_nodes("/dev/console", &opened);
	try_nodes("/dev/hvc*", &opened);
	try_nodes("/dev/mem", &opened);
	try_nodes("/dev/kmem", &opened);
	try_nodes("/dev/port", &opened);
	check_eq("devices opened", opened, 0);
	try_numbers("/sys/class/virtio-ports/*/dev", &numbers);
	try_numbers("/sys/class/tty/ttyS*/dev", &numbers);
	try_numbers("/sys/class/tty/console/dev", &numbers);
	check(numbers > 1, "the port and the console have numbers");
	/* devtmpfs is one: mounted again it has no other nodes. */
	mkdir("/tmp/reach-dev", 0700);
	check(!mount("dev", "/tmp/reach-dev", "devtmpfs", 0, NULL),
	      "devtmpfs can be mounted");
	try_nodes("/tmp/reach-dev/vport*", &opened);
	try_nodes("/tmp/reach-dev/ttyS*", &opened);
	check_eq("devices opened", opened, 0);
	umount("/tmp/reach-dev");
	rmdir("/tmp/reach-dev");
}

static void test_kernel_memory(void)
{
	int fd = open("/proc/kcore", O_RDONLY | O_CLOEXEC);

	check(fd < 0 && errno == EPERM, "/proc/kcore: %s",
	      fd < 0 ? strerror(errno) : "can be opened");
	check(ioperm(0x3f8, 8, 1), "the serial port's registers can be written");
	check(iopl(3), "all ports can be written");
	check_eq("init_module", syscall(SYS_init_module, "", 0UL, ""), -1);
}

/* PID 1 has no handlers: none of these reaches it. */
static void test_signals(void)
{
	static const int signals[] = {
		SIGKILL, SIGSTOP, SIGSEGV, SIGTERM, SIGCHLD, SIGTSTP, SIGABRT,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		check(!kill(AGENT, signals[i]), "signal %d: %s", signals[i],
		      strerror(errno));
}

static void test_namespaces(void)
{
	int pidfd = syscall(SYS_pidfd_open, AGENT, 0);

	check(pidfd >= 0, "pidfd_open of the agent");
	check(setns(pidfd, CLONE_NEWNS), "setns() into the agent's mounts works");
	close(pidfd);
}

/* What the agent reads by name: of which it must go on seeing the real one. */
static void test_mounts(void)
{
	static const char *const places[] = {
		"/sys/fs/cgroup", "/sys", "/proc", "/dev", "/tmp",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		check(!mount("fake", places[i], "tmpfs", 0, NULL),
		      "a tmpfs over %s: %s", places[i], strerror(errno));
	/* What was below the first goes with that. */
	for (i = 1; i < ARRAY_SIZE(places); i++)
		check(!umount2(places[i], MNT_DETACH), "umount of %s: %s",
		      places[i], strerror(errno));
	check(!umount2("/proc", MNT_DETACH), "umount of the real /proc: %s",
	      strerror(errno));
}

static void test_inherited(void)
{
	struct dirent *entry;
	int fd, mark = -1, n = 0;
	const char *audit = getenv("RMAPLAB_AUDIT");
	DIR *dir = opendir("/proc/self/fd");

	require_errno(dir, "/proc/self/fd");
	if (audit)
		mark = atoi(audit);
	while ((entry = readdir(dir))) {
		/* "." and ".." are 0. */
		fd = atoi(entry->d_name);
		if (fd <= 2 || fd == mark || fd == dirfd(dir))
			continue;
		diag("descriptor %d was inherited", fd);
		n++;
	}
	closedir(dir);
	check_eq("descriptors inherited", n, 0);
}

/*
 * The release agent of a cgroup is started by the kernel, which has every
 * capability: this program again, with the cgroup's path.
 */
static void test_helper(void)
{
	char text[16] = "";
	int waited = 0;
	pid_t pid;

	mkdir(HIERARCHY, 0700);
	if (mount("none", HIERARCHY, "cgroup", 0, "none,name=reach"))
		skip("no cgroup hierarchy: %s", strerror(errno));
	unlink(HELPED);
	check_eq("release_agent",
		 write_text(HIERARCHY "/release_agent", "/bin/selftest/reach"), 0);
	mkdir(HIERARCHY "/one", 0700);
	check_eq("notify_on_release",
		 write_text(HIERARCHY "/one/notify_on_release", "1"), 0);
	pid = fork();
	if (!pid) {
		write_text(HIERARCHY "/one/cgroup.procs", "0");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	while (!read_text(HELPED, text, sizeof(text)) || !*text)
		if (!wait_again(&waited, HELPER_WAIT_MS))
			break;
	rmdir(HIERARCHY "/one");
	umount2(HIERARCHY, MNT_DETACH);
	rmdir(HIERARCHY);
	unlink(HELPED);
	check(*text, "the kernel started the helper");
	check(!strcmp(text, "0"), "the helper took descriptors: %s", text);
}

static int help(void)
{
	int n = steal_descriptors(AGENT);
	FILE *file = fopen(HELPED, "w");

	if (!file)
		return 1;
	fprintf(file, "%d\n", n);
	return fclose(file);
}

int main(int argc, char **argv)
{
	static const struct subtest tests[] = {
		{ .name = "inherited", .run = test_inherited },
		{ .name = "descriptors", .run = test_descriptors },
		{ .name = "proc-files", .run = test_proc_files },
		{ .name = "ptrace", .run = test_ptrace },
		{ .name = "memory", .run = test_memory },
		{ .name = "devices", .run = test_devices },
		{ .name = "kernel-memory", .run = test_kernel_memory },
		{ .name = "signals", .run = test_signals },
		{ .name = "namespaces", .run = test_namespaces },
		{ .name = "helper", .run = test_helper },
		{ .name = "mounts", .run = test_mounts },
	};

	if (argc > 1 && argv[1][0] == '/')
		return help();
	return ktap_run(tests, ARRAY_SIZE(tests));
}
