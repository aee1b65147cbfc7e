# SPDX-License-Identifier: GPL-2.0
"""Which page frames are RAM, by the agent's own C code."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab import proc

from .c_programs import AGENT, compiled, needs_compiler

pytestmark = needs_compiler

IOMEM = """\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000a0000-000bffff : PCI Bus 0000:00
00100000-1ffdefff : System RAM
  01000000-019fffff : Kernel code
20000000-2fffffff : Soft Reserved
  28000000-2fffffff : dax0.0
    28000000-2fffffff : System RAM (kmem)
fec00000-fec003ff : IOAPIC 0
100000000-13fffffff : System RAM
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    main = Path(__file__).with_name("ram_on_host.c")
    sources = [main, AGENT / "ram.c", AGENT / "sizes.c"]
    return compiled(tmp_path_factory.mktemp("ram") / "ram", sources, AGENT)


def asked(program: Path, place: Path, *pfns: str) -> tuple[str, list[str]]:
    end, *answers = proc.run([program, place, *pfns]).text.split()
    return end, answers


@pytest.mark.parametrize(
    ("pfn", "is_ram"),
    [
        ("0", "0"),
        ("1", "1"),
        ("9f", "1"),  # its last KB is not, but a frame that is RAM in part is compared
        ("a0", "0"),  # the VGA's memory
        ("100", "1"),
        ("1ffde", "1"),
        ("1ffdf", "0"),
        ("20000", "0"),  # soft reserved: coherent memory of a device
        ("28000", "1"),  # and what of it was made RAM
        ("13ffff", "1"),
        ("140000", "0"),
    ],
)
def test_ram_is_what_iomem_calls_system_ram(
    program: Path, tmp_path: Path, pfn: str, is_ram: str
) -> None:
    place = tmp_path / "iomem"
    place.write_text(IOMEM, encoding="utf-8")
    assert asked(program, place, pfn) == ("140000", [is_ram])


def test_what_cannot_be_known_is_ram(program: Path, tmp_path: Path) -> None:
    """A page that is left out is not checked: so nothing is left out when in doubt."""
    assert asked(program, tmp_path / "none", "a0") == ("0", ["1"])
    lines = [f"{n:x}0000-{n:x}0fff : System RAM\n" for n in range(1, 100)]
    (tmp_path / "iomem").write_text("".join(lines), encoding="utf-8")
    assert asked(program, tmp_path / "iomem", "10", "11") == ("631", ["1", "1"])
