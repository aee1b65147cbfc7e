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
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "audit.h"
#include "console.h"
#include "event.h"
#include "init.h"
#include "loop.h"
#include "mount.h"
#include "port.h"
#include "privilege.h"
#include "probe.h"
#include "protocol.h"
#include "sizes.h"
#include "workload.h"

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

static void say_ready(void)
{
	struct utsname uts;
	struct sysinfo si;
	char nodes[256];

	uname(&uts);
	sysinfo(&si);
	list_nodes(nodes, sizeof(nodes));
	event_begin(EVENT_READY, NO_ID);
	event_int(KEY_PROTOCOL, PROTOCOL);
	event_bool(KEY_INIT, is_init);
	event_string(KEY_RELEASE, uts.release);
	event_int(KEY_CPUS, sysconf(_SC_NPROCESSORS_ONLN));
	event_raw(KEY_NODES, nodes);
	event_int(KEY_MEMORY_KB, (long long)si.totalram * si.mem_unit / 1024);
	event_open(KEY_PROBES);
	event_bool(KEY_VVAR_COUNTED, probes.vvar_counted);
	event_bool(KEY_HOLE_IS_NOPAGE, probes.hole_is_nopage);
	event_bool(KEY_HOLE_HAS_NO_FLAGS, probes.hole_has_no_flags);
	event_close();
	event_end();
}

static void __noreturn give_up(const char *what)
{
	complain(what, errno);
	power_off(1);
}

int main(void)
{
	is_init = getpid() == 1;
	umask(022);
	mount_all(is_init);
	console_open();
	console_init();
	sizes_init();
	come_to_rest();
	if (!workload_init())
		give_up("signalfd");
	if (!port_open())
		give_up("no virtio port named " AGENT_PORT);
	privilege_init();
	probe_init();
	audit_init();
	touch_memory();
	/* What the kernel says from here on is not the boot's any more. */
	kmsg_mark(MARK_READY, NULL);
	say_ready();
	loop_run();
}
