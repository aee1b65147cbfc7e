# SPDX-License-Identifier: GPL-2.0
"""Git on text that somebody else wrote: without any configuration that could change the result."""

from __future__ import annotations

import os
from pathlib import Path

from rmaplab import proc


def run(words: tuple[str | Path, ...], cwd: Path, stdin: bytes) -> proc.Finished:
    """Run a git command in a folder, outside any repository and without the user's configuration.

    Without a ceiling git would take a repository around the folder for its own: git apply skips
    every path outside of that repository without a word, git mailinfo follows its settings.
    """
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "HOME": "/nonexistent",
           "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": str(cwd.parent)}  # fmt: skip
    return proc.run(["git", *words], cwd=cwd, env=env, stdin=stdin, check=False)
