// SPDX-License-Identifier: GPL-2.0
/* The pseudo file systems. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "compiler.h"
#include "console.h"
#include "mount.h"

static const struct {
	const char *type, *target, *options;
	unsigned long magic;	/* 0: a distribution has something there */
} mounts[] = {
	{ "devtmpfs", "/dev", "mode=0755", TMPFS_MAGIC },
	/* For shm_open(). */
	{ "tmpfs", "/dev/shm", "mode=1777", TMPFS_MAGIC },
	{ "proc", "/proc", NULL, PROC_SUPER_MAGIC },
	{ "sysfs", "/sys", NULL, SYSFS_MAGIC },
	{ "debugfs", "/sys/kernel/debug", NULL, DEBUGFS_MAGIC },
	{ "tmpfs", "/tmp", "mode=1777", 0 },
	{ "cgroup2", "/sys/fs/cgroup", NULL, CGROUP2_SUPER_MAGIC },
};

/* Whether a distribution's init has mounted it. */
static bool is_mounted(size_t i)
{
	struct statfs fs;

	return !mounts[i].magic ||
	       (!statfs(mounts[i].target, &fs) &&
		(unsigned long)fs.f_type == mounts[i].magic);
}

void mount_all(bool is_init)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mounts); i++) {
		/* The root of a fast guest is a tmpfs itself. */
		if (!is_init && is_mounted(i))
			continue;
		mkdir(mounts[i].target, 0755);
		if (!mount(mounts[i].type, mounts[i].target, mounts[i].type,
			   MS_NOSUID, mounts[i].options)) {
			if (!i)
				console_open();
			continue;
		}
		/* The kernel may have mounted devtmpfs (DEVTMPFS_MOUNT). */
		if (errno != EBUSY)
			complain(mounts[i].target, errno);
	}
}
