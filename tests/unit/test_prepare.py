# SPDX-License-Identifier: GPL-2.0
"""Special memory is read back: a guest that has other than its profile says is unusable."""

from __future__ import annotations

import asyncio
import fnmatch
from types import SimpleNamespace
from typing import Any

import pytest

from rmaplab.evidence.events import Files
from rmaplab.guest.prepare import Unusable, check_memory
from rmaplab.model import Dimm, Guest, NumaNode

from .builders import guest

BLOCKS = "/sys/devices/system/memory"
SPEED = "/sys/devices/system/node/node{}/access0/initiators/read_{}"
TIERED = guest(
    nodes=[
        NumaNode(512, (0,), latency_ns=10, bandwidth_mb_s=9000),
        NumaNode(512, (), latency_ns=100, bandwidth_mb_s=900),
    ]
)
WITH_DIMM = guest(dimms=[Dimm(256, 0)])
SPEEDS = {
    SPEED.format(0, "latency"): "10\n",
    SPEED.format(0, "bandwidth"): "9000\n",
    SPEED.format(1, "latency"): "100\n",
    SPEED.format(1, "bandwidth"): "900\n",
}
ZONES = {
    f"{BLOCKS}/block_size_bytes": "8000000\n",
    f"{BLOCKS}/memory0/valid_zones": "none\n",
    f"{BLOCKS}/memory32/valid_zones": "Movable\n",
    f"{BLOCKS}/memory33/valid_zones": "Movable Normal\n",
}


def check(which: Guest, files: dict[str, str]) -> None:
    """Check a guest whose files these are."""

    async def ask_for(kind: type[Files], name: str, *globs: str) -> Files:
        assert name == "read"
        found = {p: t for p, t in files.items() if any(fnmatch.fnmatch(p, g) for g in globs)}
        return kind(t=1, id=1, files=found, errors={}, last=True)

    vm: Any = SimpleNamespace(guest=which, agent=SimpleNamespace(ask_for=ask_for))
    asyncio.run(check_memory(vm))


def test_a_plain_guest_needs_no_file() -> None:
    check(guest(), {})


def test_nodes_are_as_slow_as_the_profile_says() -> None:
    check(TIERED, SPEEDS)


@pytest.mark.parametrize("path", SPEEDS)
def test_a_node_that_is_faster_or_says_nothing_is_unusable(path: str) -> None:
    with pytest.raises(Unusable, match=r"of 7 .*, the profile says"):
        check(TIERED, {**SPEEDS, path: "7\n"})
    with pytest.raises(Unusable, match="of nothing"):
        check(TIERED, {p: text for p, text in SPEEDS.items() if p != path})


def test_a_speed_is_said_with_its_unit() -> None:
    for name, said in (
        ("latency", "node 1 has a latency of 7 ns, the profile says 100"),
        ("bandwidth", "node 1 has a bandwidth of 7 MB/s, the profile says 900"),
    ):
        with pytest.raises(Unusable) as caught:
            check(TIERED, {**SPEEDS, SPEED.format(1, name): "7\n"})
        assert str(caught.value) == said


def test_dimms_are_all_movable() -> None:
    check(WITH_DIMM, ZONES)


@pytest.mark.parametrize("text", ["Normal\n", "none\n", ""])
def test_a_dimm_that_is_not_movable_is_unusable(text: str) -> None:
    with pytest.raises(Unusable, match="128 MB of movable memory, not 256"):
        check(WITH_DIMM, {**ZONES, f"{BLOCKS}/memory33/valid_zones": text})


@pytest.mark.parametrize("text", ["x\n", "0x\n", "1" * 5000, "1_0\n"])
def test_a_block_size_that_is_no_number_is_unusable(text: str) -> None:
    with pytest.raises(Unusable, match="0 MB of movable memory"):
        check(WITH_DIMM, {**ZONES, f"{BLOCKS}/block_size_bytes": text})


def test_a_guest_without_memory_blocks_is_unusable() -> None:
    with pytest.raises(Unusable, match="0 MB of movable memory, not 256"):
        check(WITH_DIMM, {})
