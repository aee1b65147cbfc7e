# SPDX-License-Identifier: GPL-2.0
"""Tell the boots of a log apart, and a reboot that was asked for from one that was not.

A log may hold many boots: each begins with the kernel's banner. A kernel prints some lines before
its banner (``Booting Linux on physical CPU``, ``microcode: updated early``), and consoles repeat
what they have: a boot console hands over to the real one, a job ends with ``dmesg``. So a banner is
a boot of its own only if there was an earlier one, or if time went backwards, and if what follows
is not known already, line by line with its time stamps.
"""

from __future__ import annotations

import re

BANNER = b"Linux version "
BOOT_LINES = 64
"""The decompressor and the kernel announce one boot within so many lines."""
LATEST_BANNER_S = 1.0
"""A kernel that is booting prints its banner within this time of its own clock."""
BEFORE = 65_536
"""Bytes before a banner in which somebody may have asked for the reboot."""
AFTER = 16_384
MAX_KNOWN = 64
"""Bytes after a banner, and lines of them, that are remembered to know a repetition."""
MAX_BOOTS = 32

_STAMPED = re.compile(
    rb"\[ {0,6}((?:0|[1-9]\d{0,8})\.\d{6})\](?:\[ {0,8}[TC]\d{1,8}\])? ([^\r\n]{1,200})"
)
# Who was to reboot: kernel/reboot.c, kernel/kexec_core.c, drivers/tty/sysrq.c; systemd, sysvinit,
# busybox; the programs that drive a board or a guest; journalctl's own line between two boots.
_ASKED = re.compile(
    rb"reboot: (?:Restarting|Power|System halted|machine)|Restarting system\b|Power down\.|"
    rb"System halted\.|[Ss]ysRq ?:? ?(?:SysRq : )?Resetting|sysrq: Resetting|"
    rb"[Ss]tarting new kernel|"
    rb"Bye!|Requesting system (?:re)?(?:boot|poweroff|halt)|[Tt]he system is going down|"
    rb"The system will (?:reboot|power off|halt)|going down for (?:re|power|halt|system)|"
    rb"Reached target [^\n]{0,40}(?:[Rr]eboot|[Pp]ower-?[Oo]ff|[Ss]hutdown|[Ff]inal|[Hh]alt)|"
    rb"systemd-shutdown|systemd\[1\]: (?:Shutting down|Rebooting|Powering off)|"
    rb"-- Reboot --|-- Boot [0-9a-f]{32}|[Ss]witching to runlevel: ?[06]|"
    rb"[Ss]ending SIG(?:TERM|KILL) to (?:all|remaining) processes|"
    rb"hard[-_]reset|power[-_ ]?cycl|[Rr]eset(?:ting)? the (?:board|device|machine|system)|"
    rb"(?:[#$] |; |sudo )(?:systemctl |/sbin/|busybox )?(?:reboot|poweroff|halt|shutdown|kexec)\b"
)
# A log that somebody keeps on disk has no last words of a kernel that was told to reboot, and who
# puts the time of day before each line of a console may have switched the machine off and on.
_KEPT = re.compile(rb"\d\d:\d\d:\d\d|\bkernel(?:\[\d+\])?: {0,2}(?:\[ *\d+\.\d+\] ?)?[^\n]{0,8}$")
# The text of a fuzzer's programs (google/syzkaller): whoever runs them has a guest that is up.
_RAN = re.compile(rb"executing program|\w\(.{0,200}&\(0x7f[0-9a-f]{6,16}")
_SEPARATOR = re.compile(rb"-- (?:Reboot|Boot [0-9a-f]{32}) ?--")


def _known_lines(text: bytes) -> frozenset[bytes]:
    """Return the lines with a stamp that no other boot is likely to have to the microsecond."""
    found: set[bytes] = set()
    next_banner = text.find(BANNER, len(BANNER))
    for match in _STAMPED.finditer(text, 0, next_banner if next_banner >= 0 else len(text)):
        if not match[1].endswith(b"000"):
            found.add(match[1] + b" " + match[2])
        if len(found) == MAX_KNOWN:
            break
    return frozenset(found)


class Boots:
    """Follow the boots of a log; ``number`` counts them, from 1."""

    def __init__(self) -> None:
        self.number = 1
        self._banner = 0
        self._known: list[frozenset[bytes]] = []

    def banner(self, line: int, stamp: str, before: bytes, after: bytes, dead: bool) -> bool:
        """Take a banner; return whether it shows a reboot that nobody asked for.

        ``line`` is its number, ``stamp`` its time, ``before`` and ``after`` the log around it,
        ``dead`` whether the boot before it ended in a panic.
        """
        last, self._banner = self._banner, line
        if last and line - last < BOOT_LINES:
            return False
        known = _known_lines(after)
        repeated = any(len(known & one) > len(known) / 2 for one in self._known)
        if len(self._known) < MAX_BOOTS:
            self._known.append(known)
        if repeated or not (last or self._went_back(stamp, before) or _RAN.search(before)):
            return False
        self.number += 1
        if dead:
            return True
        return not self._asked_for(before)

    @staticmethod
    def _went_back(stamp: str, before: bytes) -> bool:
        stamps = _STAMPED.findall(before[: before.rfind(b"\n") + 1])
        now = float(stamp or 0)
        return bool(stamps) and (float(stamps[-1][0]) > now or now > LATEST_BANNER_S)

    @staticmethod
    def _asked_for(before: bytes) -> bool:
        before = before[before.rfind(BANNER) + 1 :]
        start, _, head = before.rpartition(b"\n")
        if _KEPT.search(head) or _SEPARATOR.search(start, max(len(start) - BEFORE, 0)):
            return True
        return _ASKED.search(start) is not None
