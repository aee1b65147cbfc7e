# SPDX-License-Identifier: GPL-2.0
"""The marks of failures that a run's folder has, so that judging it needs no history.

The folder may be somebody else's: marks that cannot be read are none. They change no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

import pydantic

from rmaplab.model import Mark
from rmaplab.store.runfolder import RunFolder

NAME = "marks.json"
_MARKS = pydantic.TypeAdapter(tuple[Mark, ...])


def read(folder: RunFolder) -> tuple[Mark, ...]:
    """Return the marks of a run's folder; none if they cannot be read."""
    try:
        return _MARKS.validate_json((folder.path / NAME).read_bytes())
    except (OSError, ValueError):
        return ()


def write(folder: RunFolder, marks: Sequence[Mark]) -> None:
    """Write the marks into a run's folder, if it does not have the same."""
    if tuple(marks) != read(folder):
        folder.write(NAME, _MARKS.dump_json(tuple(marks), indent=1), derived=True)
