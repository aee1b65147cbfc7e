# SPDX-License-Identifier: GPL-2.0
"""Unpack archives that somebody else packed, in the sandbox.

tar, run by root, makes what an archive asks for: devices, programs that change their user, files of
everybody's to write. The foreign user can make none of these, and no file outside.
"""

from __future__ import annotations

import os
from pathlib import Path

from rmaplab import proc
from rmaplab.build import sandbox
from rmaplab.build.bubblewrap import Box
from rmaplab.errors import InfraError, UserError

_ARCHIVE, _TARGET = "/unpack/archive", "/unpack/target"
_TAR = """\
umask 022
exec tar -xf "$1" -C /unpack/target --strip-components=1 --no-same-owner --no-same-permissions
"""
_PACKAGE = """\
umask 022
dpkg-deb --fsys-tarfile "$1" | exec tar -x -C /unpack/target --no-same-owner --no-same-permissions
"""


def archive(packed: Path, target: Path) -> None:
    """Unpack a tar archive into an empty folder of the lab's own, without its top folder.

    Raises UserError if it is none, or has something else than files, folders and links.
    """
    _unpack(_TAR, packed, target)


def package(packed: Path, target: Path) -> None:
    """Unpack a Debian package into an empty folder of the lab's own, as ``archive`` does."""
    _unpack(_PACKAGE, packed, target)


def _unpack(script: str, packed: Path, target: Path) -> None:
    said: list[bytes] = []
    # tar finds the packer by the archive's content; the name has to say no host and no option.
    box = Box({_ARCHIVE: packed}, {_TARGET: target})
    words = ["bash", "-o", "pipefail", "-c", script, "bash", _ARCHIVE]
    form = sandbox.form_for([packed])
    ended = sandbox.run_in(box, words, said.append, limit_s=sandbox.TOOL_LIMIT_S, form=form)
    if os.geteuid() == 0:
        proc.run(["chown", "-R", "-h", f"{os.geteuid()}:{os.getegid()}", target])
    if ended.short:
        raise InfraError(f"{ended.short} while unpacking {packed}", hint="free some: lab.py clean")
    if not ended.ok:
        last = b"".join(said).decode("utf-8", "replace").strip().splitlines()[:1]
        why = ended.stopped or (last or [f"status {ended.status}"])[0]
        raise UserError(f"{packed} cannot be unpacked: {why[:300]}")
    odd = ["find", str(target), "!", "-type", "f", "!", "-type", "d", "!", "-type", "l", "-print",
           "-quit"]  # fmt: skip
    if found := proc.run(odd).text.strip():
        raise UserError(f"{packed} has something else than files, folders and links: {found}")
