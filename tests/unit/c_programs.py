# SPDX-License-Identifier: GPL-2.0
"""Compile C of the guest for this host, as the initramfs does but without optimization."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.build import initramfs
from rmaplab.config.paths import project
from rmaplab.model import X86_64

AGENT = project() / "guests/agent"
INCLUDE = project() / "guests/include"
LIBRARY = project() / "testcases/lib"

needs_compiler = pytest.mark.skipif(
    proc.which(X86_64.compiler) is None, reason=f"needs {X86_64.compiler}"
)


def compiled(program: Path, sources: Iterable[Path], *folders: Path) -> Path:
    """Compile a program from C files, with headers from folders and guests/include.

    Raises CommandFailed with the compiler's message.
    """
    command = [word for word in initramfs.compiler(X86_64) if word != "-O2"]
    includes = [f"-I{folder}" for folder in (*folders, INCLUDE)]
    proc.run([*command, *includes, *map(str, sources), "-o", str(program)])
    return program
