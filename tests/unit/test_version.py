# SPDX-License-Identifier: GPL-2.0
"""Kernel versions: in their order, whatever a distribution adds to them."""

from __future__ import annotations

import pytest

from rmaplab.model import version_numbers, version_range


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("6.12.117", (6, 12, 117)),
        ("6.1", (6, 1)),
        ("6.12.117-amd64", (6, 12, 117)),
        ("6.12.9+bpo-amd64", (6, 12, 9)),
        ("7.0.0-rc3", (7, 0, 0)),
        ("6.12.94-1", (6, 12, 94)),
        ("", ()),
        ("next-20261130", ()),
    ],
)
def test_a_version_is_compared_by_its_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(version) == numbers


def test_a_later_version_is_greater() -> None:
    versions = ["7.0", "6.12.117-rc1", "6.1", "6.12", "6.9.3", "6.12.0"]
    assert sorted(versions, key=version_numbers) == [
        "6.1", "6.9.3", "6.12", "6.12.0", "6.12.117-rc1", "7.0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("", ["6.1.192", "7.3.4"], []),
        (">=6.15", ["6.15.0-rc1", "6.15", "7.2.12"], ["6.14.99", "6.1.192"]),
        ("<6.15", ["6.14.11", "6.1.192"], ["6.15.0-rc1", "6.15.0"]),
        (">=6.15, <7.3", ["6.15.0", "7.2.12"], ["6.12.117", "7.3.0-rc1"]),
        ("<7.3,>=6.15.2", ["6.15.2"], ["6.15.1", "7.3.4"]),
        (">=99.0", ["", "linux-next"], ["7.3.4"]),  # a version that is not known may be any
    ],
)
def test_a_range_has_versions_from_one_on_and_before_another(
    text: str, inside: list[str], outside: list[str]
) -> None:
    known = version_range(text)
    assert [one for one in (*inside, *outside) if one in known] == inside


@pytest.mark.parametrize(
    "text", ["6.15", "<=6.15", ">6.1", "<6", "<7.3,<7.2", ">=7.3,<7.3", ">=7.3,<6.1", ",", "<6.15,"]
)
def test_what_is_no_range_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        version_range(text)
