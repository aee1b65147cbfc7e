# SPDX-License-Identifier: GPL-2.0
"""Small git repositories and patches for tests; nothing of the user's git configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A U Thor",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_AUTHOR_DATE": "2025-01-29T12:00:00 +0000",
    "GIT_COMMITTER_NAME": "A U Thor",
    "GIT_COMMITTER_EMAIL": "author@example.com",
    "GIT_COMMITTER_DATE": "2025-01-29T12:00:00 +0000",
}


def git(repo: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repo), *words], env=ENVIRONMENT, capture_output=True, check=True
    )
    return done.stdout.decode()


def write(root: Path, files: Mapping[str, str | None]) -> None:
    """Write files below a folder; None deletes one."""
    for name, text in files.items():
        path = root / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def repository(root: Path, files: Mapping[str, str | None]) -> Path:
    """A repository with one commit, on the branch ``main``."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    write(root, files)
    commit(root, "the tree")
    return root


def commit(repo: Path, message: str, files: Mapping[str, str | None] | None = None) -> str:
    write(repo, files or {})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", message)
    return git(repo, "rev-parse", "HEAD").strip()
