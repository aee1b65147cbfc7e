# SPDX-License-Identifier: GPL-2.0
"""Sections that fold in the log of a CI job, and lines in which its runner finds no command. Pure.

A runner acts on some lines of a job's log, whoever wrote them: GitHub's on ``::set-output::`` and
the like. So every line of the lab's that may have a stranger's words in it is made harmless.
"""

from __future__ import annotations

import enum
import re

# The runner's way to find them: "::" after blanks at the start of a line, "##[" anywhere in it.
_COMMAND = re.compile(r"^(\s*)::", re.M)
_OLD_COMMAND = "##["
# The runner decodes these again; in a property also the signs that end one.
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


class Folds(enum.StrEnum):
    """Name how a job's log folds."""

    NONE = "none"
    GITHUB = "github"
    GITLAB = "gitlab"

    def begin(self, title: str, number: int, at: int) -> str:
        """Return what begins a section; ``at`` is the time in seconds. Empty for no sections."""
        match self:
            case Folds.GITHUB:
                return f"::group::{_encoded(title, _DATA)}\n"
            case Folds.GITLAB:
                mark = f"section_start:{at}:rmaplab_{number}[collapsed=true]"
                return f"\x1b[0K{mark}\r\x1b[0K{title}\n"
        return ""

    def end(self, number: int, at: int) -> str:
        """Return what ends a section."""
        match self:
            case Folds.GITHUB:
                return "::endgroup::\n"
            case Folds.GITLAB:
                return f"\x1b[0Ksection_end:{at}:rmaplab_{number}\r\x1b[0K\n"
        return ""

    def harmless(self, text: str) -> str:
        """Return whole lines in which the runner finds no command.

        GitLab's commands have control characters, which no line of the lab's has.
        """
        if self is not Folds.GITHUB:
            return text
        return _COMMAND.sub(r"\1\\::", text).replace(_OLD_COMMAND, "##\\[")


def annotation(level: str, message: str, **properties: str | int) -> str:
    """Return the command that annotates a workflow run of GitHub's: ``error`` or ``warning``."""
    said = ",".join(f"{key}={_encoded(str(value), _PROPERTY)}" for key, value in properties.items())
    return f"::{level}{' ' if said else ''}{said}::{_encoded(message, _DATA)}\n"


def _encoded(text: str, signs: dict[str, str]) -> str:
    return "".join(signs.get(char, char) for char in text)
