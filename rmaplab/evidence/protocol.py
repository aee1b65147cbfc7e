# SPDX-License-Identifier: GPL-2.0
"""The constants of docs/protocol.md and of the kernel's page interfaces that the lab shares with C.

guests/include has the same constants; a unit test holds the two against each other, so a change of
one constant touches that header and this module.
"""

from __future__ import annotations

PROTOCOL = 2
"""The version that the agent's ``ready`` event has to say."""
AGENT_PORT = "org.rmaplab.agent"
"""The name of the virtio-serial port between agent and lab."""
MAX_REQUEST = 64 << 10
"""The most bytes of a request."""
MAX_WORDS = 512
"""The most words of a request."""
STREAM_BYTES = 1 << 20
"""The most bytes that the agent passes on of a workload's output, and of its errors."""
REQUEST_BYTES = 16 << 10
"""The size of the file that a guest in exact mode reads its request from."""
CGROUP = "/sys/fs/cgroup/cell"
"""The cgroup that a workload runs in."""

# The agent's lines on the console, and the workload library's, by way of /dev/kmsg.
MARK_PREFIX = "rmaplab: "
MARK_READY = "ready"
MARK_BEGIN = "begin"
MARK_END = "end"
MARK_GONE = "gone"
MARK_SUBTEST = "subtest"

# Lines of a workload's output that tell the lab something else than a test's result.
SAY_PREFIX = "# rmaplab: "
SAY_INSTRUCTIONS = "instructions"
SAY_PAGES = "pages"

# include/uapi/linux/kernel-page-flags.h; those that say something about a mapping. No KSM (21),
# which 6.12 shows for every anonymous page (fs/proc/page.c, a mask of two bits tested for any).
PAGE_FLAGS = {
    2: "REFERENCED", 5: "LRU", 7: "SLAB", 10: "BUDDY", 11: "MMAP", 12: "ANON", 13: "SWAPCACHE",
    14: "SWAPBACKED", 15: "HEAD", 16: "TAIL", 17: "HUGE", 18: "UNEVICTABLE", 19: "HWPOISON",
    20: "NOPAGE", 22: "THP", 24: "ZERO_PAGE", 26: "PGTABLE", 32: "RESERVED",
    33: "MLOCKED",
}  # fmt: skip
"""The names of /proc/kpageflags' bits."""
