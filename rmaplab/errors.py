# SPDX-License-Identifier: GPL-2.0
"""The lab's errors, sorted by whose fault they are.

The user's fault, the kernel's fault and the lab's fault are three types, three exit codes and
three JUnit forms. Every message says what happened and where; ``hint`` says what to do next.
"""

from __future__ import annotations

import enum
import errno
from dataclasses import dataclass
from pathlib import Path


class ExitCode(enum.IntEnum):
    """The command's exit codes; other programs rely on them."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    BUILD = 3
    INFRA = 69  # EX_UNAVAILABLE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT


class RmaplabError(Exception):
    """Base of every error that the command reports without a traceback.

    ``evidence`` names a file with more to read, such as a build log.
    """

    exit_code: ExitCode = ExitCode.INFRA

    def __init__(self, message: str, *, hint: str = "", evidence: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence


class UserError(RmaplabError):
    """The user asked for something that cannot be done as asked."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake in a file that the user wrote; ``line`` counts from 1, 0 if unknown."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.message}"


class DiagnosticsError(UserError):
    """All mistakes of a file at once, so that the user mends them in one go."""

    def __init__(self, mistakes: list[Diagnostic], *, hint: str = "") -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes), hint=hint)
        self.mistakes = tuple(mistakes)


class KernelError(RmaplabError):
    """The kernel under test, or its patch series, is at fault."""

    exit_code = ExitCode.BUILD


class PatchError(KernelError):
    """A patch of a series does not apply."""


class BuildError(KernelError):
    """A kernel was not configured as asked, or did not build."""


class InfraError(RmaplabError):
    """The lab or its host is at fault: a tool is missing, a disk is full, QEMU died."""

    exit_code = ExitCode.INFRA


class Interrupted(RmaplabError):
    """The user interrupted the run; what was measured is on disk."""

    exit_code = ExitCode.INTERRUPTED


# The file system takes no evidence any more.
_FATAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def is_fatal(error: BaseException) -> bool:
    """Return whether an error, or its cause, ends the run: the disk is full or read-only.

    Any other error of one cell is that cell's end alone.
    """
    if isinstance(error, OSError) and error.errno in _FATAL:
        return True
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error.__cause__,)
    return any(is_fatal(cause) for cause in causes if cause is not None)
