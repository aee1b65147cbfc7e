# SPDX-License-Identifier: GPL-2.0
"""Room on a disk is asked for before a guest needs it."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from rmaplab.errors import InfraError
from rmaplab.store.reservation import DiskReservation

Usage = namedtuple("Usage", "total used free")
MB = 1 << 20


@pytest.fixture
def reservation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskReservation:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000 * MB, 0, 100 * MB))
    return DiskReservation(tmp_path, hint="elsewhere")


def test_what_fits_is_reserved_and_given_back(reservation: DiskReservation) -> None:
    for _ in range(3):
        with reservation.reserved(100 * MB, "a template"):
            pass


def test_what_does_not_fit_says_how_much_is_free_where(
    reservation: DiskReservation, tmp_path: Path
) -> None:
    with pytest.raises(InfraError) as raised, reservation.reserved(101 * MB, "a template"):
        pytest.fail("the room was not there")
    assert raised.value.message == (
        f"a template may take 101 MB in {tmp_path}, where 100 MB are free"
    )
    assert raised.value.hint == "elsewhere"


def test_two_do_not_get_the_same_room(reservation: DiskReservation) -> None:
    with (
        reservation.reserved(60 * MB, "one"),
        pytest.raises(InfraError, match=r"where 40 MB are free"),
        reservation.reserved(60 * MB, "another"),
    ):
        pytest.fail("the room was not there")


def test_a_failure_gives_the_room_back(reservation: DiskReservation) -> None:
    with pytest.raises(ValueError, match="x"), reservation.reserved(60 * MB, "one"):
        raise ValueError("x")
    with reservation.reserved(60 * MB, "another"):
        pass
