# SPDX-License-Identifier: GPL-2.0
"""Every Kconfig fragment survives olddefconfig on every tree that the lab speaks of."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.build import kernel
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import BuildError
from rmaplab.model import Kernel
from rmaplab.source import series, tree
from rmaplab.store.cache import Cache

TREES = ("debian:linux-source-6.12", "debian:linux-source-6.1", "debian:linux-source-7.3")
OPTIONAL = ("kasan", "lockdep", "virtme", "debuginfo", "nodebug")


def configure(spec: str, fragments: list[Path], folder: Path) -> None:
    """Configure a tree with some fragments."""
    source = tree.fetch(spec, Cache())
    names = tuple(path.stem for path in fragments)
    wanted = kernel.resolve(Kernel("base", spec, "", names), source, series.EMPTY, fragments)
    kernel.configure(wanted, source.path, folder)


@pytest.mark.parametrize("spec", TREES)
@pytest.mark.parametrize("optional", OPTIONAL)
def test_every_requested_symbol_survives(spec: str, optional: str, tmp_path: Path) -> None:
    known = Catalogue().fragments
    configure(spec, [known[name] for name in ("guest", "mm", "device", optional)], tmp_path)


def test_a_dropped_symbol_is_named_with_what_it_depends_on(tmp_path: Path) -> None:
    fragment = tmp_path / "odd.config"
    fragment.write_text("CONFIG_PRINTK=y\nCONFIG_MEM_SOFT_DIRTY=y\n")
    folder = tmp_path / "build"
    folder.mkdir()
    with pytest.raises(BuildError) as caught:
        configure(TREES[0], [fragment], folder)
    assert "CONFIG_MEM_SOFT_DIRTY: wanted y, got nothing (odd.config:2)" in str(caught.value)
    assert "CHECKPOINT_RESTORE=n" in str(caught.value)
