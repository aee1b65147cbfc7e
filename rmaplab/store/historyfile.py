# SPDX-License-Identifier: GPL-2.0
"""The earlier runs of a run's rows, in its folder, so that its page needs no history.

The folder may be somebody else's: what cannot be read is no history.
"""

from __future__ import annotations

import pydantic

from rmaplab.model import RunHistory
from rmaplab.store.runfolder import RunFolder

NAME = "history.json"
MAX_RUNS = 20
MAX_POINTS = 60_000
"""Points of all rows: some two megabytes of a page."""
_HISTORY = pydantic.TypeAdapter(RunHistory)


def read(folder: RunFolder) -> RunHistory:
    """Return the history that a run's folder has; an empty one if it cannot be read."""
    try:
        found = _HISTORY.validate_json((folder.path / NAME).read_bytes())
    except (OSError, ValueError):
        return RunHistory()
    points = [point for row in found.rows for point in row.points]
    known = range(len(found.runs))
    if len(points) > MAX_POINTS or any(point[0] not in known for point in points):
        return RunHistory()
    if any(number < 0 for point in points for number in point[1:4]):
        return RunHistory()
    return found


def write(folder: RunFolder, history: RunHistory) -> None:
    """Write the history of a run's rows into its folder."""
    folder.write(NAME, _HISTORY.dump_json(history) + b"\n", derived=True)
