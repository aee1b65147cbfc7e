# SPDX-License-Identifier: GPL-2.0
"""Whose splat it is, by the marks on the console.

The agent writes ``rmaplab: ready``, ``rmaplab: begin PROGRAM`` and ``rmaplab: end PROGRAM`` to
/dev/kmsg (guests/agent/console.c:kmsg_mark); a testcase writes ``rmaplab: subtest NAME``
(testcases/lib/ktap.c). A workload may write there too, so who printed a mark decides whether it
counts: printk notes the caller itself (CONFIG_PRINTK_CALLER), and the agent is whoever said ready,
which was before any workload ran; ``T1`` where it is PID 1. A subtest's mark counts from anybody,
but only within the running test: a test can name its own parts and nothing else.
"""

from __future__ import annotations

import re

from rmaplab.collect.splats.lines import Line
from rmaplab.model import OWNER_BOOT, OWNER_GAP

MARK = b"rmaplab: "
AGENT = "T1"
MAX_OWNER = 200

_MARK = re.compile(r"rmaplab: (ready|begin|end|subtest)(?: ([^\n]{0,400}))?$")


def program_mark(program: str) -> str:
    """Return the name by which the agent's marks are known to speak of a program."""
    return program.strip()[:MAX_OWNER].removeprefix("/bin/")


class Owner:
    """Follows the marks; ``name`` owns what is printed now, empty if no mark ever came."""

    def __init__(self) -> None:
        self.seen = False
        """Whether the agent has spoken: before that, all is the boot's."""
        self._test = ""
        self._subtest = ""
        self._agent = ""
        self.ended = ""
        """The last test that the agent began, if it ended it, too: as ``program_mark`` has it."""
        self._ready = False

    @property
    def name(self) -> str:
        """``boot``, ``gap``, the running test, or test/subtest."""
        if not self.seen:
            return OWNER_BOOT
        if not self._test:
            return OWNER_GAP
        return f"{self._test}/{self._subtest}" if self._subtest else self._test

    @property
    def within_test(self) -> bool:
        """True if a test has begun and not ended; unknown of an agent that never said ready.

        Those of before wrote end marks that no console showed.
        """
        return bool(self._test) and self._ready

    def take(self, line: Line) -> bool:
        """Take a line; whether it was a mark, true or forged."""
        match = _MARK.match(line.text)
        if match is None:
            return False
        what, text = match[1], (match[2] or "").strip()[:MAX_OWNER]
        if what == "subtest":
            self._subtest = text
        elif what == "ready":
            if not self.seen:
                self.seen = self._ready = True
                self._agent = line.context
        elif self._is_agent(line):
            self._agent_says(what, program_mark(text))
        return True

    def _is_agent(self, line: Line) -> bool:
        """Tell if the agent printed a line; a console without callers cannot tell.

        Agents of before did not say ready: then it is PID 1, or on such a console anybody.
        """
        if not self._ready:
            return line.context == AGENT or line.context[:1] not in "TC"
        return line.context == self._agent

    def _agent_says(self, what: str, test: str) -> None:
        self.seen = True
        if what == "begin":
            self._test, self._subtest, self.ended = test, "", ""
        elif what == "end" and test == self._test:
            self.ended = test
            self._test, self._subtest = "", ""
