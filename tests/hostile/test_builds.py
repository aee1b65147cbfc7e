# SPDX-License-Identifier: GPL-2.0
"""Build each hostile kernel: nothing outside is read, changed or left, and the blame is right.

That an attempt ran is in its build's log. The control runs the same Makefile without a sandbox, and
has to do harm.
"""

from __future__ import annotations

import os

import pytest

from rmaplab.errors import BuildError, KernelError

from . import kernels
from .builds import FAMILIES, End, HostileBuild
from .world import World

ATTEMPTS = [
    pytest.param(one, id=one.name, marks=pytest.mark.family(f"builds: {family}"))
    for family, ones in FAMILIES.items()
    for one in ones
]
CONTROLS = [
    pytest.param(one, id=one.name, marks=pytest.mark.family(f"builds: {family}"))
    for family, ones in FAMILIES.items()
    for one in ones
    if one.control
]


@pytest.mark.parametrize("one", ATTEMPTS)
def test_build(world: World, one: HostileBuild, capfd: pytest.CaptureFixture[str]) -> None:
    kernels.tree(world, one)
    world.note()
    tried = kernels.tried(world, limit_s=one.limit_s)
    said = capfd.readouterr()
    assert f"{kernels.RAN}-{world.word}" in tried.log, "the attempt did not run"
    assert "HARM" not in tried.log
    assert world.harms(tried.message, said.out, said.err) == []
    assert "\x1b" not in tried.message
    if one.end is End.BUILT:
        assert tried.error is None, tried.message
    if one.end is End.FAULT:
        assert isinstance(tried.error, BuildError), tried
    assert tried.error is None or isinstance(tried.error, KernelError), tried.message
    assert one.says in tried.message
    entries = [entry.path for entry in world.cache.entries(("builds",))]
    assert entries == ([] if tried.built is None else [tried.built.folder])


@pytest.mark.control
@pytest.mark.parametrize("one", CONTROLS)
def test_without_a_sandbox_it_does_harm(world: World, one: HostileBuild) -> None:
    if one.root and os.geteuid() != 0:
        return  # nobody else could do it
    said = kernels.without_sandbox(world, one)
    assert f"{kernels.RAN}-{world.word}" in said, said
    assert "HARM" in said or world.harms(said), f"harmless without a sandbox:\n{said}"
