# SPDX-License-Identifier: GPL-2.0
"""Hostile workloads in C for real guests: each says first that it passed, and does harm then.

A body runs as UID 0 of the guest, behind a whole KTAP report of a pass. It says by ``ran()`` that
its harm is done, or about to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rmaplab.model import Verdict

PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR

PROLOGUE = r"""
#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-result"
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static void ran(const char *what)
{
	printf("# ran: %s\n", what);
	fflush(stdout);
	put("/dev/kmsg", "hostile: it ran");
	usleep(300000);
}

static __attribute__((unused)) void harm(const char *what)
{
	printf("# HARM: %s\n", what);
	fflush(stdout);
}

int main(void)
{
	puts("KTAP version 1\n1..1\nok 1 honest");
	fflush(stdout);
"""
EPILOGUE = "\n\treturn 0;\n}\n"


@dataclass(frozen=True)
class HostileGuest:
    """One attempt: the body of a C program, and the verdicts that are right for its cell."""

    name: str
    verdicts: frozenset[Verdict]
    body: str
    limit_s: float = 10.0

    @property
    def source(self) -> str:
        """The whole program."""
        return f"// SPDX-License-Identifier: GPL-2.0{PROLOGUE}{self.body}{EPILOGUE}"


def _one(name: str, verdicts: str, body: str, **more: float) -> HostileGuest:
    known: Mapping[str, Verdict] = {"pass": PASS, "fail": FAIL, "error": ERROR}
    return HostileGuest(name, frozenset(known[word] for word in verdicts.split()), body, **more)


_TAINT = 'put("/proc/sys/kernel/tainted", "64");'

GUESTS = (
    _one("fork-1000", "fail", 'for (int i = 0; i < 1000; i++) if (!fork()) { setsid(); pause(); }'
         ' ran("forks");'),
    _one("fork-without-end", "fail error", 'ran("fork bomb"); signal(SIGTERM, SIG_IGN);'
         ' for (;;) fork();'),
    _one("fill-tmpfs", "fail error", 'char *b = malloc(1 << 20); memset(b, 1, 1 << 20);'
         ' int fd = open("/tmp/full", O_CREAT | O_WRONLY, 0600); ran("fill");'
         ' while (write(fd, b, 1 << 20) > 0);'),
    _one("eat-memory-unkillable", "fail error", 'put("/proc/self/oom_score_adj", "-1000");'
         ' ran("eat"); for (;;) { char *b = malloc(1 << 20); if (b) memset(b, 1, 1 << 20); }'),
    _one("flood-console", "pass fail error", 'int fd = open("/dev/kmsg", O_WRONLY); char b[900];'
         ' memset(b, 120, sizeof(b)); ran("flood"); for (int i = 0; i < 3000; i++)'
         ' if (write(fd, b, sizeof(b)) < 0) break;'),
    _one("flood-output", "error", 'ran("flood"); char b[4000]; memset(b, 120, 4000);'
         ' b[3999] = 10; for (int i = 0; i < 25000; i++) if (write(1, b, 4000) < 0) break;'),
    _one("forge-end-then-taint", "fail error",
         'put("/dev/kmsg", "rmaplab: end /bin/hostile/forge-end-then-taint"); ran("forged");'
         + _TAINT),
    _one("forge-splat-end", "fail error", 'put("/dev/kmsg", "<0>------------[ cut here ]-------");'
         'put("/dev/kmsg", "<0>WARNING: CPU: 0 PID: 1 at mm/rmap.c:1 evil+0x1/0x2"); ran("splat");'
         'put("/dev/kmsg", "<0>---[ end trace 0000000000000000 ]---");' + _TAINT),
    _one("kill-all", "pass fail error", 'ran("kill"); kill(-1, SIGKILL); sleep(1);'),
    _one("kill-agent", "pass", 'int s[] = { SIGKILL, SIGTERM, SIGINT, SIGSEGV, SIGSTOP, SIGHUP,'
         ' SIGUSR1, SIGPIPE, SIGALRM }; ran("kill"); for (int i = 0; i < 9; i++) kill(1, s[i]);'),
    _one("taint-and-hide-proc", "fail error", _TAINT + 'ran("hide");'
         ' if (mount("none", "/proc", "tmpfs", 0, NULL)) harm("mount");'
         ' mkdir("/proc/sys", 0755); mkdir("/proc/sys/kernel", 0755);'
         ' close(creat("/proc/sys/kernel/tainted", 0644));'
         ' put("/proc/sys/kernel/tainted", "0\\n");'),
    _one("unmount-everything", "pass fail error", 'ran("unmount"); umount2("/proc", MNT_DETACH);'
         ' umount2("/sys/fs/cgroup", MNT_DETACH); umount2("/sys", MNT_DETACH);'
         ' umount2("/dev", MNT_DETACH); umount2("/tmp", MNT_DETACH);'),
    _one("clock-forward", "pass", 'struct timespec t = { 4102444800, 0 }; ran("clock");'
         ' if (clock_settime(CLOCK_REALTIME, &t)) return 1;'),
    _one("clock-backward", "pass", 'struct timespec t = { 86400, 0 }; ran("clock");'
         ' if (clock_settime(CLOCK_REALTIME, &t)) return 1;'),
    _one("panic-after-pass", "fail", 'ran("panic"); put("/proc/sysrq-trigger", "c"); sleep(5);'),
    _one("reboot-after-pass", "fail error", 'ran("reboot"); sync(); reboot(RB_AUTOBOOT);'),
    _one("power-off-after-pass", "fail error", 'ran("off"); reboot(RB_POWER_OFF);'),
    _one("halt-after-pass", "fail error", 'ran("halt"); reboot(RB_HALT_SYSTEM);'),
    _one("reset-by-port", "fail error", 'int fd = open("/dev/port", O_RDWR); ran("port");'
         ' if (fd < 0) return 1; pwrite(fd, "\\x06", 1, 0xcf9); sleep(1);'),
    _one("kexec", "pass fail", 'ran("kexec"); if (!syscall(SYS_kexec_load, 0, 0, NULL, 0)'
         ' && !reboot(0x45584543)) harm("kexec");'),
    _one("write-disks", "pass", 'const char *d[] = { "/dev/vda", "/dev/sda", "/dev/hda",'
         ' "/dev/nvme0n1", "/dev/mtd0", "/dev/pmem0", "/dev/sr0", "/dev/fd0" }; ran("disks");'
         ' for (int i = 0; i < 8; i++) if (put(d[i], "evil")) harm(d[i]);'),
    _one("leave-the-cgroup", "fail", 'mkdir("/sys/fs/cgroup/mine", 0755); if (!fork()) {'
         ' setsid(); put("/sys/fs/cgroup/mine/cgroup.procs", "0"); pause(); } ran("left");'),
    _one("starve-the-cpu", "fail error", 'struct sched_param p = { 99 }; ran("starve");'
         ' put("/proc/sys/kernel/sched_rt_runtime_us", "-1");'
         ' syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p); for (;;);'),
    _one("silence-the-console", "fail error", 'ran("silence"); klogctl(6, NULL, 0);' + _TAINT),
    _one("change-settings", "pass", 'ran("settings");'
         ' put("/sys/kernel/mm/transparent_hugepage/enabled", "never");'),
    _one("leak-pages", "fail", 'int fd = memfd_create("x", 0); ran("leak");'
         ' mkdir("/tmp/keep", 0700); int k = open("/tmp/keep/f", O_CREAT | O_RDWR, 0600);'
         ' (void)fd; if (ftruncate(k, 8 << 20)) return 1; char *m = mmap(NULL, 8 << 20,'
         ' PROT_WRITE, MAP_SHARED, k, 0); memset(m, 1, 8 << 20);'),
    _one("swap-off", "pass fail error", 'ran("swapoff"); put("/proc/sys/vm/swappiness", "0");'
         ' syscall(SYS_swapoff, "/dev/zram0");'),
    _one("freeze-itself", "fail error", 'ran("freeze");'
         ' put("/sys/fs/cgroup/cell/cgroup.freeze", "1"); pause();', limit_s=4),
    _one("a-name-for-a-terminal", "pass", 'puts("# \\x1b[2J\\xe2\\x80\\xae</script><script>");'
         ' ran("bytes");'),
    _one("honest", "pass", 'ran("nothing");'),
)  # fmt: skip

YAML = """\
# SPDX-License-Identifier: GPL-2.0
id: H{number}
summary: a hostile workload
kind: selftest
walkers: []
requires: {{}}
settings: [thp-madvise]
limit_s: {limit_s:g}
args: []
"""
LAB = """\
# SPDX-License-Identifier: GPL-2.0
name: hostile
kernels:
  - name: base
    tree: debian:linux-source-6.12
    config: [guest, mm, device]
guests: [q35]
settings: [thp-madvise]
testcases:
"""
