# SPDX-License-Identifier: GPL-2.0
"""Hostile builds: what a Makefile or a program that it runs may try.

``@home@``, ``@port@`` and so on are the test's own places (``world.World.filled``). A script runs
as a target's recipe, in the source folder, with the build folder in ``$O``; it is bounded in bytes,
forks and seconds. It may print HARM if it reached what it must not reach, where that leaves no
trace.
"""

from __future__ import annotations

import enum
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field


class End(enum.Enum):
    """How the build ends for the lab."""

    BUILT = "it is built"
    FAULT = "the kernel's fault"
    EITHER = "either of them"


@dataclass(frozen=True)
class HostileBuild:
    """One attempt.

    ``says`` is in the error's message. ``control`` says that without the sandbox the script does
    harm; one that could harm this host has no control. ``makefile`` is put at the Makefile's end
    instead of a script, ``files`` are further files of the tree.
    """

    name: str
    script: str = ":"
    at: str = "tinyconfig"
    end: End = End.BUILT
    says: str = ""
    control: bool = False
    root: bool = False
    """Only root could do the harm."""
    makefile: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = 60.0


def _reach(name: str, script: str = ":", **more: object) -> HostileBuild:
    return HostileBuild(name, script, control=True, **more)  # type: ignore[arg-type]


_PERL_UNIX = "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(q({}))'"
_PERL_ABSTRACT = (
    "perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0); "
    "connect(S, pack_sockaddr_un(qq(\\x{0}@word@)))'"
)

REACH = (
    # Files of the user.
    _reach("print a password of the home", "cat @home@/.netrc"),
    _reach("print a key through /proc/self/root", "cat /proc/self/root@home@/.ssh/id_rsa"),
    _reach("print a password through another process's root",
           "for p in /proc/[0-9]*; do cat $p/root@home@/.netrc; done 2>&1"),
    _reach("print a password by a path with dots", "cat ../../../../../../../@home@/.netrc"),
    _reach("copy a password into a product", "cp @home@/.netrc $O/.config"),
    _reach("link a password into the build folder", "ln @home@/.netrc $O/hard && cat $O/hard"),
    _reach("read every descriptor", "for f in /proc/self/fd/* /proc/1/fd/*; do case $(readlink "
           "$f) in *@root@*netrc) cat $f;; esac; done; cat <&@fd@"),
    _reach("search the disk for the word", "grep -rs password.hunter2 @root@ /home"),
    _reach("append to .bashrc", "echo evil >> @home@/.bashrc"),
    _reach("append to .bashrc through a link",
           "ln -s @home@/.bashrc $O/rc; echo evil >> $O/rc"),
    _reach("make a file in the home", "touch @home@/.profile"),
    _reach("delete the home", "rm -rf @home@/.ssh"),
    _reach("change the modes of the home", "chmod -R 000 @home@/.ssh"),
    _reach("change times in the home", "touch -d 2001-01-01 @home@/.netrc"),
    _reach("move a key away", "mv @home@/.ssh/id_rsa $O/"),
    _reach("write into the user's tree", "echo evil >> @tree@/mm/ksm.c"),
    _reach("write into the source that is built", "echo evil >> mm/ksm.c; touch new.c"),
    _reach("change the times of the source that is built", "touch mm/ksm.c"),
    _reach("replace a folder of the source", "mv mm mm.old; mkdir mm"),
    _reach("poison a compiler cache", "mkdir -p @home@/.ccache; echo x > @home@/.ccache/@word@"),
    _reach("leave a file in /tmp", "touch /tmp/@word@"),
    _reach("leave a file in /var/tmp", "mkdir -p /var/tmp; touch /var/tmp/@word@"),
    _reach("leave a file in /dev/shm", "touch /dev/shm/@word@"),
    _reach("leave a file at the root of the file system", "touch /@word@", root=True),
    _reach("leave a program in /usr", "touch /usr/@word@", root=True),
    _reach("leave a set-user-id shell", "cp /bin/sh $O/sh; chmod 6755 $O/sh", root=True),
    # The lab's environment, descriptors and processes.
    _reach("print the environment", "env"),
    _reach("print every process's environment", "cat /proc/[0-9]*/environ; true"),
    _reach("print the lab's environment", "cat /proc/@lab@/environ "
           "/proc/$PPID/environ"),
    _reach("print make's variables",
           makefile="$(foreach v,$(.VARIABLES),$(info $($(v))))\n"),
    _reach("kill a process of the user", "kill -KILL @victim@"),
    _reach("kill a process of the user by name", "for p in /proc/[0-9]*; do "
           "[ ${p#/proc/} = @victim@ ] && kill -9 ${p#/proc/}; done; true"),
    _reach("leave a daemon", "WORD=@word@ setsid sleep 60.5 > /dev/null 2>&1 &"),
    _reach("leave a daemon that ignores signals",
           "(trap '' TERM INT HUP; WORD=@word@ exec setsid nohup sleep 60.5) > /dev/null 2>&1 &"),
    _reach("leave a daemon that forked twice",
           "( (WORD=@word@ setsid perl -e 'fork and exit; sleep 60' ) & ) > /dev/null 2>&1"),
    # Ports and sockets of the host.
    _reach("connect to a port of the host", "bash -c 'exec 3<>/dev/tcp/127.0.0.1/@port@'"),
    _reach("send a datagram to the host", "bash -c 'echo x > /dev/udp/127.0.0.1/@udp@'"),
    _reach("connect to an agent's socket", _PERL_UNIX.format("@socket@")),
    _reach("connect to an abstract socket", _PERL_ABSTRACT),
    # The host's settings: asked whether they could be written, never written.
    _reach("write to /proc/sys", "test -w /proc/sys/kernel/core_pattern && echo HARM", root=True),
    _reach("write to /sys", "test -w /sys/kernel/mm/ksm/run && echo HARM", root=True),
    # Functions of make itself, before any recipe.
    _reach("make prints a file", makefile="$(info $(file < @home@/.netrc))\n"),
    _reach("make runs a program", makefile="$(info $(shell cat @home@/.netrc))\n"),
    _reach("make writes a file", makefile="$(file > @home@/evil,evil)\n", end=End.EITHER),
    _reach("make includes a file of the home", makefile="$(info $(shell test -r "
           "@home@/.netrc && echo HARM))\n-include @home@/.netrc\n", end=End.EITHER),
    _reach("make prints what it was started with",
           makefile="$(info $(MAKEFLAGS) $(shell tr '\\0' ' ' < /proc/$$PPID/environ))\n"),
)  # fmt: skip
"""Ways to files, processes, sockets and settings of the host, which are not there."""


def _call(name: str, numbers: str) -> HostileBuild:
    """Return an attempt that makes a system call, by number: harm unless it is refused as such."""
    refused = "$!{EPERM} || $!{ENOSYS} || $!{EACCES}"
    return HostileBuild(
        name, f"perl -MErrno -e '$! = 0; syscall({numbers}); print qq(HARM $!\n) unless {refused}'"
    )


ESCAPE = (
    HostileBuild("mount over the source", "mount -t tmpfs none /kernel/source && echo HARM"),
    HostileBuild("mount the source again, writable",
                 "mount -o remount,rw,bind /kernel/source && echo HARM"),
    HostileBuild("make a user namespace", "unshare --user --map-root-user true && echo HARM"),
    HostileBuild("make a mount namespace", "unshare --mount true && echo HARM"),
    HostileBuild("enter the namespaces of process 1", "nsenter -t 1 -a true && echo HARM"),
    HostileBuild("make a block device", "mknod $O/sda b 8 0 && echo HARM"),
    HostileBuild("make a character device", "mknod $O/mem c 1 1 && echo HARM"),
    HostileBuild("become root by su", "echo | su -c true && echo HARM"),
    HostileBuild("become root by setuid", "perl -e '$< = $> = 0; exec q(sh), q(-c), "
                 "q(grep -q CapEff:.*[1-9a-f] /proc/self/status && echo HARM)'"),
    HostileBuild("give a file to root", "touch $O/x; chown 0:0 $O/x && [ $(id -u) != 0 ] && "
                 "echo HARM"),
    HostileBuild("give a program capabilities",
                 "cp /bin/sh $O/sh; setcap cap_sys_admin+ep $O/sh && echo HARM"),
    HostileBuild("raise a limit", "ulimit -H -c unlimited && echo HARM"),
    HostileBuild("lower its nice value", "nice -n -5 sh -c '[ $(nice) -lt 0 ]' && echo HARM"),
    HostileBuild("set the host's name", "hostname $(hostname) && echo HARM"),
    HostileBuild("write to the kernel's log", "echo evil-@word@ > /dev/kmsg && echo HARM"),
    HostileBuild("read the kernel's log", "dmesg > $O/dmesg 2>&1 && echo HARM"),
    HostileBuild("open the memory of process 1",
                 "perl -e 'open(F, q(+<), q(/proc/1/mem)) or exit 1' && echo HARM"),
    HostileBuild("change root", "chroot / true && echo HARM"),
    HostileBuild("configure the loopback device", "ip link set lo mtu 1000 && echo HARM"),
    HostileBuild("open a raw socket",
                 "perl -MSocket -e 'socket(S,AF_INET,SOCK_RAW,1) or exit 1' && echo HARM"),
    HostileBuild("use the terminal", "echo x > /dev/tty && echo HARM"),
)  # fmt: skip
"""Ways out of the sandbox itself. HARM is printed where one worked."""

_BUFFER = "my $b = qq(\\0) x 200"
# Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
CALLS = () if platform.machine() != "x86_64" else (
    _call("trace a process", "101, 0x4206, getppid, 0, 0"),  # PTRACE_SEIZE
    _call("mount", "165, my $a = q(none), my $d = q(/tmp), my $t = q(tmpfs), 0, 0"),
    _call("change the root", "155, my $a = q(/tmp), my $d = q(/tmp)"),
    _call("use a swap area", "167, my $a = q(/tmp/none), 0"),
    _call("load a module", "175, 0, 0, my $a = q()"),
    _call("load a module from a file", "313, -1, my $a = q(), 0"),
    _call("load a kernel", "246, 0, 0, 0, 0"),
    _call("use keyrings", "250, 0, -3, 1"),
    _call("add a key", "248, my $t = q(user), my $d = q(x), my $p = q(y), 1, -3"),
    _call("watch performance", f"298, {_BUFFER}, 0, -1, -1, 0"),
    _call("open a file by its handle", f"304, -100, {_BUFFER}, 0"),
    _call("read another process's memory", "310, getppid, 0, 0, 0, 0, 0"),
    _call("use bpf", f"321, 0, {_BUFFER}, 120"),
    _call("handle page faults", "323, 1"),
    _call("use io_uring", f"425, 1, {_BUFFER}"),
    _call("take a descriptor of another process", "438, -1, 0, 0"),
    _call("make a mount", "432, -1, 0"),
    _call("open a tree of mounts", "428, -100, my $a = q(/), 1"),
)  # fmt: skip
"""Calls of the host's kernel that no build needs and that had bugs. A filter refuses them."""

EXHAUST = (
    HostileBuild("never end", "sleep 50", end=End.FAULT, says="no end within", limit_s=1),
    HostileBuild("never end, and ignore signals", "trap '' TERM INT HUP; while :; do sleep 1; done",
                 end=End.FAULT, says="no end within", limit_s=1),
    HostileBuild("stop itself", "kill -STOP $$", end=End.FAULT, says="no end within", limit_s=1),
    HostileBuild("wait for a FIFO", "mkfifo $O/f; cat $O/f", end=End.FAULT, says="no end within",
                 limit_s=1),
    HostileBuild("a jobserver without tokens", makefile="MAKEFLAGS += --jobserver-auth=fifo:x\n",
                 end=End.EITHER, limit_s=5),
    HostileBuild("a make that calls itself", 'N=$((${N:-0} + 1)); export N; [ $N -gt 60 ] || '
                 '${MAKE:-make} O=$O tinyconfig', end=End.EITHER),
    HostileBuild("fork 1500 processes", "n=0; while [ $n -lt 1500 ]; do sleep 20 & n=$((n+1)); "
                 "done; true"),
    HostileBuild("print 30 MB", "yes noise | head -c 30000000"),
    HostileBuild("print one line of 10 MB", "head -c 10000000 /dev/zero | tr '\\0' x; false",
                 end=End.FAULT),
    HostileBuild("print NULs, escapes and bidi controls",
                 "printf '\\0\\033]0;x\\007\\033[2J\\342\\200\\256evil: error: x\\r\\n'; false",
                 end=End.FAULT),
    HostileBuild("a folder 3000 levels deep", "perl -e 'chdir $ENV{O}; "
                 "for (1..3000) { mkdir q(d); chdir q(d) or last }'"),
    HostileBuild("a name of each odd byte", "cd $O; perl -e 'for (1..255) { next if $_ == 47; "
                 "open(F, q(>), chr($_).q(x)); open(F, q(>), qq(\\xff).chr($_)) }'"),
    HostileBuild("20000 files", "mkdir $O/many; cd $O/many; seq 20000 | xargs touch"),
    HostileBuild("folders that nobody may enter",
                 "mkdir -p $O/a/b/c; touch $O/a/b/c/f; chmod 000 $O/a/b/c $O/a/b $O/a"),
    HostileBuild("a sparse file of 30 GB", "truncate -s 30G $O/sparse"),
    HostileBuild("FIFOs, sockets and links everywhere", "cd $O; mkfifo mm.o fifo; "
                 "ln -s / root; ln -s . loop; ln -s @home@ home; "
                 "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => q(s), Listen => 1)'"),
)  # fmt: skip
"""Builds that use up the host, or leave in their folder what hurts the lab later."""


def _left(name: str, script: str, says: str = "", at: str = "bzImage") -> HostileBuild:
    return HostileBuild(name, script, at=at, end=End.FAULT, says=says)


_IMAGE = "$O/arch/x86/boot/bzImage"
_RELEASE = "$O/include/config/kernel.release"

LEFT = (
    _left("a configuration that is a link", "ln -sf @home@/.netrc $O/.config", "link",
          "tinyconfig"),
    _left("a configuration that is a link to no file", "ln -sf @home@/new $O/.config", "link",
          "tinyconfig"),
    _left("a configuration that is a FIFO", "rm $O/.config; mkfifo $O/.config", "FIFO",
          "tinyconfig"),
    _left("a configuration that is a socket", "rm $O/.config; perl -MIO::Socket::UNIX -e "
          "'IO::Socket::UNIX->new(Local => qq($ENV{O}/.config), Listen => 1)'", "", "tinyconfig"),
    _left("a configuration that becomes a link", "ln -sf @home@/.netrc $O/.config", "link",
          "olddefconfig"),
    _left("a configuration that becomes /dev/zero", "ln -sf /dev/zero $O/.config", "link",
          "olddefconfig"),
    _left("a huge configuration", "truncate -s 20G $O/.config", "bytes", "olddefconfig"),
    _left("a configuration without what was asked", "echo '# CONFIG_FAKE=y' > $O/.config; "
          "echo '#CONFIG_FAKE=y' >> $O/.config; echo 'CONFIG_FAKE_=y' >> $O/.config", "dropped",
          "olddefconfig"),
    _left("a configuration of NULs", "tr '\\n' '\\0' < $O/.config > $O/x; mv $O/x $O/.config",
          "dropped", "olddefconfig"),
    _left("a link as image", f"ln -sf @home@/.netrc {_IMAGE}", "link"),
    _left("a FIFO as image", f"rm {_IMAGE}; mkfifo {_IMAGE}", "FIFO"),
    _left("a folder as image", f"rm {_IMAGE}; mkdir {_IMAGE}", "folder"),
    _left("/dev/zero as image", f"ln -sf /dev/zero {_IMAGE}", "link"),
    _left("a sparse image", f"truncate -s 20G {_IMAGE}", "bytes"),
    _left("no image", f"rm {_IMAGE}", "made no"),
    _left("a linked folder of the image",
          "rm -r $O/arch/x86/boot; ln -s @home@ $O/arch/x86/boot", "link"),
    _left("a link as release", f"ln -sf @home@/.netrc {_RELEASE}", "link"),
    _left("no release", f"rm {_RELEASE}", "made no"),
    _left("a release with an escape", f"printf '6.12\\033[2J<script>' > {_RELEASE}", "release"),
    _left("a release with a slash", f"echo 6.12/../../x > {_RELEASE}", "release"),
    _left("a release of two lines", f"printf '6.12\\n6.13' > {_RELEASE}", "release"),
    _left("a release of foreign digits", f"printf '\\331\\246.12' > {_RELEASE}", "release"),
    _left("a release with a foreign letter", f"printf '6.12-\\303\\251' > {_RELEASE}", "release"),
    _left("a release that is an option", f"echo '-6.12' > {_RELEASE}", "release"),
    _left("an empty release", f": > {_RELEASE}", "release"),
    _left("a release of 2000 characters", f"perl -e 'print 1 x 2000' > {_RELEASE}", "bytes"),
    _left("no products at all", "rm -rf $O/arch $O/include $O/.config", "made no"),
    HostileBuild("an image that is set-user-id", f"chmod 6755 {_IMAGE}", at="bzImage"),
    HostileBuild("an image with another name, too", f"ln {_IMAGE} $O/other", at="bzImage"),
    HostileBuild("an image of the year 2100", f"touch -d 2100-01-01 {_IMAGE}", at="bzImage"),
)  # fmt: skip
"""Odd products. The message says what is odd; the build is in no cache."""


def _blame(name: str, script: str, end: End = End.FAULT, says: str = "failed") -> HostileBuild:
    return HostileBuild(name, script, end=end, says=says)


BLAME = (
    _blame("the words of bwrap", 'echo "bwrap: Can\'t mount proc on /newroot/proc"; false'),
    _blame(
        "the words of bwrap on both outputs",
        "echo 'bwrap: execvp make: No such file' | tee /dev/stderr; kill -KILL $PPID",
    ),
    _blame("the words of a full disk", "echo 'cc1: fatal error: No space left on device'; false"),
    _blame("an exit status of bwrap's", "echo '{ \"exit-code\": 0 }'; kill -KILL $PPID"),
    _blame(
        "status to every descriptor",
        "for f in 3 4 5 6 7 8 9; do "
        'eval "echo \'{ \\"exit-code\\": 0 }\' >&$f"; done 2> /dev/null; false',
    ),
    _blame("kill make", "kill -KILL $PPID"),
    _blame("interrupt make", "kill -INT $PPID; sleep 1; false"),
    _blame("kill process 1", "kill -KILL 1; false"),
    _blame(
        "kill all there is",
        "[ $(cat /proc/sys/kernel/ns_last_pid) -lt 2000 ] && "
        "[ ! -e @home@ ] && kill -KILL -1; false",
    ),
    _blame("status 69", "exit 69"),
    _blame("status 130", "exit 130"),
    _blame("die of a signal", "kill -SEGV $$"),
    _blame("an error of another file", "echo '/etc/passwd:1:1: error: \\033[2Jroot'; false"),
    _blame("the words of the lab", "echo 'the build sandbox did not start'; false"),
)
"""Failures that are the kernel's fault, whatever is printed and whoever is killed."""

FAMILIES: Mapping[str, tuple[HostileBuild, ...]] = {
    "reach": REACH, "escape": ESCAPE,
    "calls": CALLS, "exhaust": EXHAUST, "left": LEFT, "blame": BLAME,
}  # fmt: skip
