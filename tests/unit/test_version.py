# SPDX-License-Identifier: GPL-2.0
"""Kernel versions: in their order, whatever a distribution adds to them."""

from __future__ import annotations

import pytest

from rmaplab.model import version_numbers


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
