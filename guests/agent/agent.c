// SPDX-License-Identifier: GPL-2.0
/*
 * rmaplab's agent: PID 1 of a fast guest.  It mounts the pseudo file systems,
 * brings mm's background threads to rest, and serves the lab's requests on a
 * virtio-serial port for ever: docs/protocol.md.
 *
 * There is no shell, no udev and no other program in a fast guest than the
 * testcases.  In a virtme guest the agent is started by virtme-ng's init, as
 * root, beside a distribution's programs: it leaves alone what is there.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent.h"

#define THP	"/sys/kernel/mm/transparent_hugepage"

bool is_init;

static int kmsg_fd = -1;

static const struct {
	const char *type, *target, *options;
	unsigned long magic;	/* 0: a distribution has something there */
} mounts[] = {
	{ "devtmpfs", "/dev", "mode=0755", TMPFS_MAGIC },
	{ "proc", "/proc", NULL, PROC_SUPER_MAGIC },
	{ "sysfs", "/sys", NULL, SYSFS_MAGIC },
	{ "debugfs", "/sys/kernel/debug", NULL, DEBUGFS_MAGIC },
	{ "tmpfs", "/tmp", "mode=1777", 0 },
	{ "cgroup2", "/sys/fs/cgroup", NULL, CGROUP2_SUPER_MAGIC },
};

/*
 * Nothing may move, merge or collapse a test's pages behind its back.  A lab
 * whose settings want one of them writes so afterwards.  Files of features
 * that are not configured do not exist.
 */
static const struct {
	const char *path, *value;
} neutral[] = {
	{ "/proc/sys/kernel/numa_balancing", "0" },
	{ "/sys/kernel/mm/ksm/run", "0" },
	{ THP "/khugepaged/scan_sleep_millisecs", "3600000" },
	{ THP "/khugepaged/alloc_sleep_millisecs", "3600000" },
	/* What a workload meets shall not depend on where its stack begins. */
	{ "/proc/sys/kernel/randomize_va_space", "0" },
	/* Our marks have to survive a workload that floods /dev/kmsg. */
	{ "/proc/sys/kernel/printk_devkmsg", "on\n" },
	{ "/sys/fs/cgroup/cgroup.subtree_control", "+memory" },
};

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	if (close(fd) || n != (ssize_t)strlen(text))
		return false;
	return true;
}

const char *reread(int fd)
{
	static char text[65536];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1) {
		n = pread(fd, text + len, sizeof(text) - 1 - len, len);
		if (n <= 0)
			break;
		len += n;
	}
	text[len] = '\0';
	return text;
}

const char *read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *text = reread(fd);

	if (fd >= 0)
		close(fd);
	return text;
}

/* To the console, for what cannot be said over the port. */
void complain(const char *what, int err)
{
	dprintf(STDERR_FILENO, "rmaplab-agent: %s: %s\n", what, strerror(err));
}

/*
 * One line into the kernel log, and so among the kernel's own lines on the
 * console.  KERN_ERR, because "quiet" hides everything from KERN_WARNING on.
 */
void kmsg_mark(const char *what, const char *text)
{
	char line[512];
	char *s;

	if (kmsg_fd < 0)
		return;
	snprintf(line, sizeof(line) - 1, "<3>rmaplab: %s%s", what, text ? text : "");
	for (s = line; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
	/*
	 * Without a newline the record may still be continued, and the console
	 * gets it when the next one comes (vprintk_store(), prb_commit()).
	 */
	*s++ = '\n';
	if (write(kmsg_fd, line, s - line) < 0)
		complain("/dev/kmsg", errno);
}

/* The initramfs has no device nodes: so PID 1 may start without a console. */
static void open_console(void)
{
	int fd;

	if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
		return;
	fd = open("/dev/console", O_RDWR | O_NOCTTY);
	/* Descriptors 0 to 2 must not become pipes or the port. */
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		return;
	while (fd < STDERR_FILENO)
		fd = dup(fd);
	dup2(fd, STDIN_FILENO);
}

/*
 * Whether a distribution's init has mounted it.  The root of a fast guest is a
 * tmpfs itself, so PID 1 does not ask.
 */
static bool is_mounted(size_t i)
{
	struct statfs fs;

	if (is_init)
		return false;
	return !mounts[i].magic ||
	       (!statfs(mounts[i].target, &fs) &&
		(unsigned long)fs.f_type == mounts[i].magic);
}

static void mount_all(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mounts); i++) {
		if (is_mounted(i))
			continue;
		mkdir(mounts[i].target, 0755);
		if (!mount(mounts[i].type, mounts[i].target, mounts[i].type,
			   MS_NOSUID, mounts[i].options)) {
			if (!i)
				open_console();
			continue;
		}
		/* The kernel may have mounted devtmpfs (DEVTMPFS_MOUNT). */
		if (errno != EBUSY)
			complain(mounts[i].target, errno);
	}
	kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

/* Of this process and its forks. */
void spare_from_oom(bool spare)
{
	if (!write_file("/proc/self/oom_score_adj", spare ? "-1000" : "0"))
		complain("/proc/self/oom_score_adj", errno);
}

static void come_to_rest(void)
{
	struct sched_param param = { .sched_priority = 1 };
	size_t i;

	/*
	 * A heartbeat that does not come shall mean a stuck guest, not one
	 * with many runnable processes.  musl refuses sched_setscheduler().
	 */
	if (syscall(SYS_sched_setscheduler, 0,
		    SCHED_FIFO | SCHED_RESET_ON_FORK, &param))
		complain("SCHED_FIFO", errno);

	spare_from_oom(true);
	for (i = 0; i < ARRAY_SIZE(neutral); i++)
		if (!write_file(neutral[i].path, neutral[i].value) &&
		    errno != ENOENT)
			complain(neutral[i].path, errno);
}

/* The numbers of the online nodes; a kernel without NUMA has node 0. */
static void list_nodes(char *json, size_t size)
{
	DIR *dir = opendir("/sys/devices/system/node");
	struct dirent *entry;
	size_t len = 0;
	int node;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "node%d", &node) != 1)
			continue;
		len += snprintf(json + len, size - len, "%s%d",
				len ? "," : "[", node);
		if (len + 16 > size)
			break;
	}
	if (dir)
		closedir(dir);
	snprintf(json + len, size - len, len ? "]" : "[0]");
}

/*
 * Fault in every buffer now, so that no sample of nr_anon_pages differs from
 * another by the agent's own pages.  Nothing stays locked: nr_mlock is for the
 * tests.
 */
static void touch_memory(void)
{
	if (mlockall(MCL_CURRENT) || munlockall())
		complain("mlockall", errno);
}

static void say_ready(void)
{
	struct utsname uts;
	struct sysinfo si;
	char nodes[256];

	uname(&uts);
	sysinfo(&si);
	list_nodes(nodes, sizeof(nodes));
	event_begin("ready", NO_ID);
	event_int("protocol", PROTOCOL_VERSION);
	event_bool("init", is_init);
	event_string("release", uts.release);
	event_int("cpus", sysconf(_SC_NPROCESSORS_ONLN));
	event_raw("nodes", nodes);
	event_int("memory_kb", (long long)si.totalram * si.mem_unit / 1024);
	event_end();
}

/* A distribution's init ends the guest when the agent is gone. */
void __noreturn power_off(int status)
{
	sync();
	if (is_init)
		reboot(RB_POWER_OFF);
	_exit(status);
}

static void __noreturn give_up(const char *what)
{
	complain(what, errno);
	power_off(1);
}

static void serve_requests(void)
{
	static char line[MAX_REQUEST];

	if (port_line_too_long())
		event_error(NO_ID, "a request longer than 64 KB");
	while (port_line(line, workload_running() ? request_is_urgent : NULL))
		request_serve(line);
}

int main(void)
{
	is_init = getpid() == 1;
	umask(022);
	mount_all();
	open_console();
	come_to_rest();
	if (!workload_init())
		give_up("signalfd");
	if (!port_open())
		give_up("no virtio port named org.rmaplab.agent");
	audit_init();
	touch_memory();
	/* What the kernel says from here on is not the boot's any more. */
	kmsg_mark("ready", NULL);
	say_ready();
	for (;;) {
		if (!workload_is_mute()) {
			port_service();
			serve_requests();
		}
		workload_poll();
	}
}
