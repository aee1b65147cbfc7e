// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps a workload from the agent and its channels.  A workload may be
 * root, since it has to poison memory, to swap and to use debugfs; but it needs
 * no way into another process, to the hardware, or to the kernel's memory.
 * docs/threat-model.md says what is left to it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <glob.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "compiler.h"
#include "console.h"
#include "init.h"
#include "privilege.h"
#include "util.h"

#define HELPERS_BSET	"/proc/sys/kernel/usermodehelper/bset"

/*
 * Into another process: ptrace, pidfd_getfd(), /proc/PID/fd and mem.  Past the
 * kernel: ports and memory of the hardware, modules, device nodes of one's own.
 * The level of messages that reach the console.
 */
static const int withheld[] = {
	CAP_SYS_PTRACE, CAP_SYS_RAWIO, CAP_SYS_MODULE, CAP_MKNOD, CAP_SYSLOG,
};

/* The channels, which the agent has open, and what reads and writes memory. */
static const char *const nodes[] = {
	"/dev/console", "/dev/tty[0-9]*", "/dev/ttyS*", "/dev/ttyAMA*",
	"/dev/hvc*", "/dev/vport*", "/dev/mem", "/dev/kmem", "/dev/port",
};

static void remove_nodes(void)
{
	glob_t found;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(nodes); i++) {
		if (glob(nodes[i], GLOB_NOSORT, NULL, &found))
			continue;
		for (j = 0; j < found.gl_pathc; j++)
			if (unlink(found.gl_pathv[j]))
				complain(found.gl_pathv[j], errno);
		globfree(&found);
	}
}

/*
 * Programs that the kernel starts, such as a cgroup's release agent, have what
 * workloads have: who can write their names shall not gain by that.  Two words
 * of capabilities, the lower one first; nothing can add to them again.
 */
static void bound_helpers(void)
{
	unsigned long low, high;
	char text[64];
	size_t i;

	if (sscanf(read_file(HELPERS_BSET, text, sizeof(text)), "%lu %lu", &low,
		   &high) != 2)
		return;
	for (i = 0; i < ARRAY_SIZE(withheld); i++) {
		if (withheld[i] < 32)
			low &= ~(1UL << withheld[i]);
		else
			high &= ~(1UL << (withheld[i] - 32));
	}
	snprintf(text, sizeof(text), "%lu %lu\n", low, high);
	if (!write_file(HELPERS_BSET, text))
		complain(HELPERS_BSET, errno);
}

void privilege_init(void)
{
	/* Not even a process with the agent's capabilities can look into it. */
	if (prctl(PR_SET_DUMPABLE, 0))
		complain("PR_SET_DUMPABLE", errno);
	/* A distribution's programs need their devices, and modprobe. */
	if (!is_init)
		return;
	remove_nodes();
	bound_helpers();
}

/*
 * With mounts of its own, what a workload mounts over /proc or takes away is
 * not what the agent reads, and goes when the workload is gone.
 */
bool privilege_drop(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(withheld); i++)
		if (prctl(PR_CAPBSET_DROP, withheld[i], 0, 0, 0))
			return false;
	return !unshare(CLONE_NEWNS) &&
	       !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}
