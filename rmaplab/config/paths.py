# SPDX-License-Identifier: GPL-2.0
"""Where the project's own files are, and the folders of a user's that are looked at beside them.

Each such folder has ``testcases``, ``guests`` and ``configs`` as the project has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from rmaplab.errors import UserError

VARIABLE = "RMAPLAB_SHARE"
"""The variable with a user's folders, separated by colons."""
_PACKAGE = Path(__file__).resolve().parent.parent
_named: list[Path] = []


def project() -> Path:
    """Return the folder that holds ``configs``, ``guests``, ``testcases`` and ``patches``."""
    return _checkout() or _PACKAGE / "share"


def _checkout() -> Path | None:
    """Return the folder of the checkout that this is; None for an installed package."""
    checkout = _PACKAGE.parent
    is_one = (checkout / "testcases").is_dir() and (checkout / "guests").is_dir()
    return checkout if is_one else None


def name_shares(folders: Iterable[Path]) -> None:
    """Look at these folders, too, from now on: those of ``--share``."""
    _named[:] = [folder.expanduser().absolute() for folder in folders]


def shares() -> tuple[Path, ...]:
    """Return a user's folders, those of ``--share`` first, each once.

    An installed package looks at the user's data folder last. Raises UserError for a folder of
    ``$RMAPLAB_SHARE`` that is not there; one of ``--share`` may be about to be made.
    """
    words = [Path(word) for word in os.environ.get(VARIABLE, "").split(os.pathsep) if word]
    for folder in words:
        if not folder.is_dir():
            raise UserError(f"${VARIABLE}: there is no folder {folder}")
    own = [] if _checkout() else [_data()]
    found = [*_named, *(folder.absolute() for folder in words), *own]
    return tuple(dict.fromkeys(folder for folder in found if folder != project()))


def is_only_named(folder: Path) -> bool:
    """Return whether a folder is looked at for ``--share`` alone."""
    words = os.environ.get(VARIABLE, "").split(os.pathsep)
    others = {project(), *(Path(word).absolute() for word in words if word)}
    return folder not in (others if _checkout() else {*others, _data()})


def place_of_new() -> Path:
    """Return the folder that something new is made in.

    It is a user's first one, else the checkout, else the user's data folder: an installed package
    is not the place.
    """
    words = [Path(word) for word in os.environ.get(VARIABLE, "").split(os.pathsep) if word]
    first = next(iter((*_named, *words)), None)
    return first.absolute() if first else _checkout() or _data()


def _data() -> Path:
    return Path(platformdirs.user_data_path("rmaplab"))
