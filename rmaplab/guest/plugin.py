# SPDX-License-Identifier: GPL-2.0
"""Compile the plugin with which QEMU records what a guest runs (guests/plugin/blocks.c).

The interface of plugins has versions, and QEMU refuses a plugin of another one. So QEMU is asked
for its version, by a plugin that says it and ends QEMU before there is a machine.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.guest.command import plugin_option
from rmaplab.log import log
from rmaplab.model import Architecture
from rmaplab.model.digest import digest_of
from rmaplab.store.cache import Cache, file_sha256

SOURCE = "guests/plugin/blocks.c"
HEADER = "qemu_plugin.h"
"""The header with the part of QEMU's interface that the source uses, in its folder."""
NEWEST = 7
"""The newest version of the interface that the source knows, that of QEMU 11.1."""
_COMPILER = "gcc"
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
          "-fvisibility=hidden")  # fmt: skip
_NAME = "blocks.so"
_CHECKSUM = f"{_NAME}.sha256"
_SAID = re.compile(r"^plugin API (\d{1,4})$", re.M)
_MINIMUM = re.compile(r"supports only a minimum version of (\d{1,4})")
_ASK_LIMIT_S = 60.0


def build(root: Path, architecture: Architecture, cache: Cache) -> Path:
    """Return the plugin for an architecture's QEMU, from the cache or compiled now.

    ``root`` is the project's folder. Raises InfraError if QEMU takes no plugins, or only those of a
    version that the source does not know.
    """
    source = root / SOURCE
    version = _version(source, architecture.qemu)
    if not 1 <= version <= NEWEST:
        raise InfraError(
            f"{architecture.qemu} has version {version} of the plugin interface, and the lab knows "
            f"those up to {NEWEST}",
            hint="what is run is recorded with an older QEMU, or not at all: --no-coverage",
        )
    compiler = proc.run([_COMPILER, "--version"]).text.splitlines()[0]
    texts = (source.read_bytes(), source.with_name(HEADER).read_bytes())
    key = digest_of("plugin", compiler, *_FLAGS, str(version), *texts)

    def make(folder: Path) -> None:
        with log.step("compiling QEMU's plugin"):
            _compile(source, folder / _NAME, version)
        (folder / _CHECKSUM).write_text(file_sha256(folder / _NAME), encoding="ascii")

    return cache.entry("plugins", key, make, is_whole=_is_whole) / _NAME


def _is_whole(folder: Path) -> bool:
    return file_sha256(folder / _NAME) == (folder / _CHECKSUM).read_text(encoding="ascii")


def _version(source: Path, qemu: str) -> int:
    """Return the version of a QEMU's plugin interface. Raises InfraError if it has none."""
    said = _ask(source, qemu, 1)
    if (least := _MINIMUM.search(said)) is not None:
        said = _ask(source, qemu, int(least[1]))
    if (found := _SAID.search(said)) is None:
        why = (said.strip().splitlines() or ["it says nothing"])[-1]
        raise InfraError(
            f"{qemu} takes no plugin, by which the lab records what is run: {why[:300]}",
            hint="Debian's QEMU takes plugins; without a record: --no-coverage",
        )
    return int(found[1])


def _ask(source: Path, qemu: str, version: int) -> str:
    with tempfile.TemporaryDirectory(prefix="rmaplab-plugin-") as scratch:
        plugin = Path(scratch, _NAME)
        _compile(source, plugin, version)
        argv = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "none",
                "-accel", "tcg", *plugin_option(plugin, "probe=on")]  # fmt: skip
        done = proc.run(argv, check=False, timeout_s=_ASK_LIMIT_S)
    return f"{done.text}\n{done.complaint}"


def _compile(source: Path, target: Path, version: int) -> None:
    proc.require(_COMPILER)
    proc.run([_COMPILER, *_FLAGS, f"-DPLUGIN_API={version}", "-o", target, source])
