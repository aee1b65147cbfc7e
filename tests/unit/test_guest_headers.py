# SPDX-License-Identifier: GPL-2.0
"""Hold the constants of guests/include against the lab's, the documentation's and the kernel's."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.config.paths import project
from rmaplab.evidence import protocol

from .c_programs import AGENT, INCLUDE, LIBRARY, compiled, needs_compiler

pytestmark = needs_compiler

_DEFINE = re.compile(r"^#define[ \t]+([A-Z]\w*)[ \t]+\S", re.MULTILINE)
_PRINT = """\
#include <stdio.h>
#include "{header}"
#define IS_TEXT(x) _Generic((x), char *: 1, default: 0)
#define TEXT(x) _Generic((x), char *: (x), default: "")
#define NUMBER(x) _Generic((x), char *: 0, default: (x))
int main(void)
{{
	printf("{{\\"\\": 0");
{lines}	printf("}}\\n");
	return 0;
}}
"""
_LINE = """\
	printf(", \\"{name}\\": ");
	printf(IS_TEXT({name}) ? "\\"%s\\"" : "%.0s", TEXT({name}));
	if (!IS_TEXT({name}))
		printf("%llu", (unsigned long long)NUMBER({name}));
"""

Constants = Mapping[str, int | str]


def constants(header: str, folder: Path) -> Constants:
    """Return the constants of a header by their names, as the compiler evaluates them."""
    names = [
        name
        for name in _DEFINE.findall((INCLUDE / header).read_text(encoding="utf-8"))
        if not name.endswith("_H") and not name.startswith("HMM_")
    ]
    text = _PRINT.format(header=header, lines="".join(_LINE.format(name=name) for name in names))
    source = folder / "constants.c"
    source.write_text(text, encoding="utf-8")
    found: dict[str, int | str] = json.loads(
        proc.run([compiled(folder / "constants", [source])]).text
    )
    del found[""]
    assert set(found) == set(names)
    return found


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Constants:
    return constants("protocol.h", tmp_path_factory.mktemp("protocol"))


@pytest.fixture(scope="module")
def kernel_abi(tmp_path_factory: pytest.TempPathFactory) -> Constants:
    return constants("kernel_abi.h", tmp_path_factory.mktemp("kernel_abi"))


IN_PYTHON = [
    name
    for name, value in vars(protocol).items()
    if name.isupper() and isinstance(value, (int, str))
]


@pytest.mark.parametrize("name", IN_PYTHON)
def test_a_constant_of_the_protocol_is_the_same_in_c(name: str, in_c: Constants) -> None:
    assert in_c.get(name) == getattr(protocol, name)


def bits(flags: Constants) -> dict[int, str]:
    """Return the names of kpageflags' bits, without KPF_ and COMPOUND_."""
    return {
        int(value).bit_length() - 1: name.removeprefix("KPF_").removeprefix("COMPOUND_")
        for name, value in flags.items()
        if name.startswith("KPF_")
    }


@pytest.mark.parametrize(("bit", "name"), list(protocol.PAGE_FLAGS.items()))
def test_a_page_flag_is_the_same_in_c(bit: int, name: str, kernel_abi: Constants) -> None:
    assert bits(kernel_abi).get(bit) == name


def test_no_two_page_flags_have_one_bit(kernel_abi: Constants) -> None:
    flags = [value for name, value in kernel_abi.items() if name.startswith("KPF_")]
    assert len(set(flags)) == len(flags)
    assert all(int(flag).bit_count() == 1 for flag in flags)


_UAPI = Path("/usr/include/linux/kernel-page-flags.h")


@pytest.mark.skipif(not _UAPI.exists(), reason="needs the kernel's headers")
def test_page_flags_are_the_kernels(kernel_abi: Constants) -> None:
    text = _UAPI.read_text(encoding="utf-8")
    exported = {
        int(bit): name.removeprefix("COMPOUND_")
        for name, bit in re.findall(r"^#define KPF_(\w+)\s+(\d+)", text, re.MULTILINE)
    }
    ours = {bit: name for bit, name in bits(kernel_abi).items() if bit < 32}
    assert ours == {bit: exported.get(bit) for bit in ours}


def test_every_event_key_and_kind_is_in_the_documentation(in_c: Constants) -> None:
    text = (project() / "docs/protocol.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(\S+?)`", text))
    named = ("EVENT_", "KEY_", "STAT_", "MISMATCH_")
    words = {str(value) for name, value in in_c.items() if name.startswith(named)}
    assert words - documented == set()


# -- includes ----------------------------------------------------------------------------------


def _includes(path: Path) -> set[str]:
    return set(re.findall(r'^#include "(\S+)"', path.read_text(encoding="utf-8"), re.MULTILINE))


def test_no_file_of_the_agent_needs_itself_by_way_of_others() -> None:
    """A C file and its header are one node; an edge is an include."""
    needs: dict[str, set[str]] = {}
    for path in AGENT.glob("*.[ch]"):
        others = {Path(name).stem for name in _includes(path)} - {path.stem}
        needs.setdefault(path.stem, set()).update(others)
    order = list(TopologicalSorter(needs).static_order())
    assert order.index("main") == len(order) - 1


def test_only_an_architectures_header_names_it() -> None:
    machine = re.compile(r"x86intrin|rdtsc|0x90|0xcc|asm volatile|\b__asm__\b")
    places = itertools.chain(
        project().glob("guests/*/*.[ch]"), project().glob("testcases/*/*.[ch]")
    )
    named = {path.name for path in places if machine.search(path.read_text(encoding="utf-8"))}
    assert named == {"arch_x86_64.h"}


def test_no_other_file_of_the_agent_spells_an_event_or_a_key() -> None:
    literal = re.compile(r"\b(?:event_\w+|put_hex)\(\"")
    assert [
        path.name for path in AGENT.glob("*.c") if literal.search(path.read_text("utf-8"))
    ] == []


# -- what the library asks of the kernel and of the agent --------------------------------------

_SIZES = """\
#include <stdio.h>
#include "rmaplab.h"
int main(void)
{
	printf("%lu %lu %d", PAGE_SIZE, HPAGE_SIZE, HPAGE_NR);
	return 0;
}
"""


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "sizes.c").write_text(_SIZES, encoding="utf-8")
    return compiled(folder / "sizes", [folder / "sizes.c", LIBRARY / "sizes.c"], LIBRARY)


def told(program: Path, env: dict[str, str]) -> list[int]:
    return [int(word) for word in proc.run([program], env=env).text.split()]


def test_a_workload_takes_the_size_of_a_huge_page_from_the_agent(sizes: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    assert told(sizes, {"RMAPLAB_HPAGE": str(32 << 20)}) == [page, 32 << 20, (32 << 20) // page]


def test_a_workload_outside_the_lab_asks_the_kernel(sizes: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    kernel = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
    huge = int(kernel.read_text("ascii")) if kernel.exists() else page * (page // 8)
    assert told(sizes, {}) == [page, huge, huge // page]


_TYPES = """\
#include <stdio.h>
#include <stdlib.h>
#include "guest.h"
int main(int argc, char **argv)
{
	struct exclusive_sample sample = {
		.present = strtoull(argv[1], NULL, 0),
		.writable = strtoull(argv[2], NULL, 0),
		.readable = strtoull(argv[3], NULL, 0),
	};

	(void)argc;
	printf("%u", exclusive_types_in(&sample));
	return 0;
}
"""


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("types")
    (folder / "types.c").write_text(_TYPES, encoding="utf-8")
    return compiled(folder / "types", [folder / "types.c"])


PFN = 0x1A2B3
PRESENT = 1 << 63 | PFN


def swap(kind: int, pfn: int) -> int:
    """Return a pagemap entry of a swap type and an offset."""
    return 1 << 62 | pfn << 5 | kind


@pytest.mark.parametrize(
    ("writable", "readable", "mask"),
    [
        (swap(27, PFN), swap(28, PFN), 1 << 27 | 1 << 28),  # before 6.15
        (swap(26, PFN), swap(26, PFN), 1 << 26),
        (swap(27, PFN + 1), swap(28, PFN), 0),  # of another page
        (swap(27, PFN), PRESENT, 0),  # the CPU has it back
        (swap(0, PFN), swap(0, PFN), 0),  # a swap area
        (0, 0, 0),
    ],
)
def test_exclusive_types_are_learned_from_entries_with_the_pages_pfn(
    types: Path, writable: int, readable: int, mask: int
) -> None:
    words = [str(entry) for entry in (PRESENT, writable, readable)]
    assert int(proc.run([types, *words]).text) == mask


def test_no_exclusive_type_is_learned_where_no_pfn_is_shown(types: Path) -> None:
    """An unprivileged process sees PFN 0."""
    words = [str(entry) for entry in (1 << 63, swap(27, 0), swap(28, 0))]
    assert int(proc.run([types, *words]).text) == 0
