# SPDX-License-Identifier: GPL-2.0
"""Kconfig fragments: what is requested, for which kernel, and what did not survive."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from rmaplab.build import fragments
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError
from rmaplab.model import X86_64, Kconfig


def request(folder: Path, *texts: str, version: str = "6.12.1") -> Kconfig:
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"part{number}.config"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return fragments.read(paths, version, X86_64)


def values(kconfig: Kconfig) -> dict[str, str]:
    return {symbol.name: symbol.value for symbol in kconfig.symbols}


def test_set_and_not_set_symbols_are_read_with_their_place(tmp_path: Path) -> None:
    text = '# a comment\n\nCONFIG_KSM=y\n# CONFIG_MODULES is not set\nCONFIG_CMDLINE="a # b"\n'
    kconfig = request(tmp_path, text)
    assert values(kconfig) == {"KSM": "y", "MODULES": "n", "CMDLINE": '"a # b"'}
    assert [(s.fragment, s.line) for s in kconfig.symbols] == [
        ("part0", 3), ("part0", 4), ("part0", 5)
    ]  # fmt: skip


def test_a_later_fragment_wins(tmp_path: Path) -> None:
    kconfig = request(tmp_path, "CONFIG_A=y\nCONFIG_B=m\n", "# CONFIG_A is not set\n")
    assert values(kconfig) == {"A": "n", "B": "m"}


def test_a_symbol_that_came_later_is_not_asked_of_an_older_kernel(tmp_path: Path) -> None:
    text = "CONFIG_OLD=y\nCONFIG_NEW=y # since 6.10\n"
    assert values(request(tmp_path, text, version="6.12.1")) == {"OLD": "y", "NEW": "y"}
    assert values(request(tmp_path, text, version="6.1.140")) == {"OLD": "y"}


@pytest.mark.parametrize(
    ("version", "since", "known"),
    [
        ("6.12.1", "", True),
        ("6.12.1", "6.12", True),
        ("6.9.0", "6.10", False),
        ("6.10.0-rc4", "6.10", True),
        ("7.0.0", "6.10", True),
    ],
)
def test_versions_compare_as_numbers(version: str, since: str, known: bool) -> None:
    assert fragments.is_known_to(version, since) is known


def test_a_symbol_that_went_is_not_asked_of_a_newer_kernel(tmp_path: Path) -> None:
    text = "CONFIG_OLD=y # until 7.3\nCONFIG_MIDDLE=y # since 6.7, until 7.3: it was a driver\n"
    assert values(request(tmp_path, text, version="6.12.1")) == {"OLD": "y", "MIDDLE": "y"}
    assert values(request(tmp_path, text, version="6.1.140")) == {"OLD": "y"}
    assert values(request(tmp_path, text, version="7.3.0-rc1")) == {}


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        ({"PROC_SYSCTL", "SYSCTL"}, "PROC_SYSCTL"),
        ({"SYSCTL"}, "SYSCTL"),
        (set(), "PROC_SYSCTL"),  # so that it is missed by the name that the fragment has first
    ],
)
def test_a_symbol_with_another_name_is_asked_for_by_the_trees(
    tmp_path: Path, tree: set[str], name: str
) -> None:
    path = tmp_path / "part.config"
    path.write_text("CONFIG_PROC_SYSCTL=y # or SYSCTL, in 7.3\nCONFIG_A=y # for B or C\n", "utf-8")
    asked: list[str] = []

    def declared(names: Iterable[str]) -> frozenset[str]:
        asked.extend(names)
        return frozenset(tree) & frozenset(asked)

    kconfig = fragments.read([path], "7.3.4", X86_64, declared)
    assert [symbol.name for symbol in kconfig.symbols] == [name, "A"]
    assert asked == ["PROC_SYSCTL", "SYSCTL"]


def test_the_request_of_the_kernels_that_are_known_stays_what_it_was() -> None:
    """The keys of cached kernels hang on it."""
    paths = [Catalogue().fragments[name] for name in ("guest", "mm", "device")]
    both = frozenset({"PROC_SYSCTL", "SYSCTL"})
    for version in ("6.1.192", "6.12.117"):
        names = [
            s.name for s in fragments.read(paths, version, X86_64, lambda _names: both).symbols
        ]
        assert "PROC_SYSCTL" in names
        assert "SYSCTL" not in names


def test_every_line_that_is_no_request_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError) as caught:
        request(tmp_path, "CONFIG_A=y\nKSM=y\nCONFIG_B\n  CONFIG_C=\n")
    assert [mistake.line for mistake in caught.value.mistakes] == [2, 3, 4]


def test_the_digest_is_of_the_request_and_not_of_the_comments(tmp_path: Path) -> None:
    one = request(tmp_path, "CONFIG_A=y\n")
    same = request(tmp_path, "# why\nCONFIG_A=y # because\n")
    other = request(tmp_path, "CONFIG_A=m\n")
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_a_request_survives_being_written_and_read(tmp_path: Path) -> None:
    kconfig = request(tmp_path, "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=12\n")
    assert fragments.parse_config(fragments.as_config(kconfig)) == values(kconfig)


def test_what_did_not_survive_is_found_with_what_came_instead(tmp_path: Path) -> None:
    kconfig = request(
        tmp_path,
        "CONFIG_KEPT=y\nCONFIG_WEAK=y\nCONFIG_GONE=y\n# CONFIG_FORCED is not set\n"
        "# CONFIG_OFF is not set\n",
    )
    final = fragments.parse_config("CONFIG_KEPT=y\nCONFIG_WEAK=m\nCONFIG_FORCED=y\n")
    lost = fragments.dropped(kconfig, final)
    assert [(one.symbol.name, one.got) for one in lost] == [
        ("WEAK", "m"), ("GONE", None), ("FORCED", "y")
    ]  # fmt: skip


def test_the_projects_fragments_are_good() -> None:
    paths = Catalogue().fragments.values()
    assert fragments.read(paths, "6.12.0", X86_64).symbols
