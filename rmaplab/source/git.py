# SPDX-License-Identifier: GPL-2.0
"""Git on text that somebody else wrote, and on servers: without anybody's configuration.

Repositories of this host are read by ``source/repository.py``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from rmaplab import proc
from rmaplab.build import bubblewrap

NEUTRAL = {
    "PATH": bubblewrap.PATH,
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_PAGER": "cat",
    "GIT_COMMITTER_NAME": "rmaplab",
    "GIT_COMMITTER_EMAIL": "rmaplab@localhost",
}
"""An environment in which git has no configuration, asks nobody and reaches no server."""

# The variables by which a user reaches a server at all.
_OF_THE_USER = re.compile(
    r"(?:https?|all|no|ftp)_proxy|SSH_AUTH_SOCK|SSL_CERT_(?:FILE|DIR)|GIT_SSL_CA(?:INFO|PATH)", re.I
)
_SERVERS = "git:http:https:ssh"
"""The protocols of a fetch: ext and file would run programs on this host."""


def run(words: tuple[str | Path, ...], cwd: Path, stdin: bytes) -> proc.Finished:
    """Run a git command on a text in a folder that is no repository, whatever it has in it.

    Otherwise git would take a repository there, or around it, for its own: git apply skips every
    path outside of that repository without a word, git mailinfo follows its settings.
    """
    env = {**NEUTRAL, "GIT_DIR": "/nonexistent"}
    return proc.run(["git", *words], cwd=cwd, env=env, stdin=stdin, check=False)


def fetch(repository: Path, url: str, ref: str) -> proc.Finished:
    """Fetch a commit of a server into a bare repository of the lab's own, as its FETCH_HEAD.

    Nobody is asked for a password and no credential helper is run; keys of the user's SSH agent
    and proxies are used.
    """
    user = {name: text for name, text in os.environ.items() if _OF_THE_USER.fullmatch(name)}
    env = {**NEUTRAL, **user, "GIT_ALLOW_PROTOCOL": _SERVERS,
           "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}  # fmt: skip
    if not (repository / "HEAD").exists():
        proc.run(["git", "init", "--quiet", "--bare", "--template=", repository], env=env)
    options = ["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.hooksPath=/dev/null"]
    return proc.run(
        ["git", "-C", repository, *options, "fetch", "--quiet", "--depth=1", "--no-tags",
         "--no-recurse-submodules", "--", url, ref],
        env=env,
        check=False,
    )  # fmt: skip
