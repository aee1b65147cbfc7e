# SPDX-License-Identifier: GPL-2.0
"""Make a cell's reproduce.sh: the command that runs the cell again, wherever it is called."""

from __future__ import annotations

import functools
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path

from rmaplab.config import paths
from rmaplab.guest.command import Launch
from rmaplab.model import Cell
from rmaplab.pipeline import hosttests, labs
from rmaplab.pipeline.userspaces import userspace_of
from rmaplab.store.runfolder import RunRecord

_SCRIPT = """\
#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The cell {cell}, again: by the command of its run, in the folder where that was given.
# Elsewhere, $RMAPLAB_DIRECTORY names the folder.
directory={directory}
{series}cd -- "${{RMAPLAB_DIRECTORY:-$directory}}" || exit 69
exec {again}

{alone}
"""
_GUEST = """\
# Its guest alone, with the console here and the agent's channel on ./agent.sock
# (docs/protocol.md says how to talk to it):
# {words}"""
_HOST = """\
# Its program alone, in the kernel's tree and outside of the lab's sandbox:
# {words}"""

_SERIES = "RMAPLAB-SERIES"
_SERIES_LINES = """\
# The series as it was tested is in the run's folder.
series=$(cd -- "$(dirname -- "$0")/../.." && pwd)/series/{name}
if [ -d "$series" ]; then set -- --series "$series"
else set -- {given}
fi
"""
_REVISION_LINES = """\
# The two revisions as they were tested are in the run's folder.
series=$(cd -- "$(dirname -- "$0")/../.." && pwd)/series
if [ -d "$series/{old}" ] && [ -d "$series/{new}" ]
then set -- --vs "$series/{old}" "$series/{new}"
else set -- {given}
fi
"""
_PREFIX_LINES = """\
# The patches up to this one are in the run's folder.
series=$(cd -- "$(dirname -- "$0")/../.." && pwd)/series/{name}
[ -d "$series" ] || {{ echo "$series is not there" >&2; exit 69; }}
set -- --series "$series"
"""
# The options that say where a series comes from, and what of it is meant.
_OF_SERIES = frozenset({"--series", "--accept", "--archive", "--vs"})
_MARKED = frozenset({"--series", "--vs"})


def script(record: RunRecord, cell: Cell, launch: Launch | None) -> str:
    """Return the text of a cell's reproduce.sh.

    ``launch`` is how its guest was started, None for a host test.
    """
    directory = record.directory or "."
    words = [*_command(record.command, directory), "--filter", _terms(record, cell)]
    series = ""
    if record.patches:
        words, series = _up_to_a_patch(words, cell.kernel)
    elif record.previous:
        words, given = _apart(words)
        series = _REVISION_LINES.format(
            old=record.previous, new=labs.PATCHED, given=shlex.join(given)
        )
    elif _patched(record) and "--series" in words:
        words, given = _apart(words)
        series = _SERIES_LINES.format(name=_patched(record), given=shlex.join(given))
    return _SCRIPT.format(
        cell=cell.id,
        directory=shlex.quote(directory),
        series=series,
        again=shlex.join(words).replace(_SERIES, '"$@"'),
        alone=_alone(cell, launch),
    )


def _alone(cell: Cell, launch: Launch | None) -> str:
    if launch is None:
        return _HOST.format(words=hosttests.by_hand(cell.testcase))
    return _GUEST.format(words=shlex.join(userspace_of(cell.guest).reproduce(cell.guest, launch)))


def _up_to_a_patch(words: Sequence[str], kernel: str) -> tuple[list[str], str]:
    """Return the command that runs a cell of a series' prefix alone, and what names its patches.

    They are in the run's folder and nowhere else; base has none.
    """
    kept, _ = _apart([word if word != "patchcheck" else "run" for word in words])
    kept += ["--name", kernel]
    if kernel == labs.BASE:
        return [word for word in kept if word != _SERIES], ""
    return kept, _PREFIX_LINES.format(name=kernel)


def _patched(record: RunRecord) -> str:
    """Return the kernel whose patches the run's folder has; empty if there is not one such."""
    found = [name for name, k in record.kernels.items() if k.saved_patches and not k.onto]
    return found[0] if len(found) == 1 else ""


def _apart(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a command with a mark where it names its series, and the options that name it."""
    kept: list[str] = []
    given: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word in _OF_SERIES:
            kept += [_SERIES] if word in _MARKED and _SERIES not in kept else []
            given += [word, *itertools.islice(waiting, 2 if word == "--vs" else 1)]
        elif word.partition("=")[0] in _OF_SERIES:
            given.append(word)
        else:
            kept.append(word)
    return kept, given


@functools.lru_cache(maxsize=8)
def _command(words: tuple[str, ...], directory: str) -> tuple[str, ...]:
    """Return the command's words; a checkout's ``lab.py`` with its path, if called elsewhere."""
    program = paths.project() / "lab.py"
    if words[0] == "./lab.py" and program.exists() and not Path(directory, "lab.py").exists():
        return (str(program), *words[1:])
    return words


def _terms(record: RunRecord, cell: Cell) -> str:
    """Return the filter's expression that chooses the cell alone."""
    terms = {
        "guest": cell.guest.name,
        "settings": cell.settings.name,
        "testcase": cell.testcase.name,
    }
    if cell.device:
        terms["device"] = cell.device
    if record.comparison is None:  # an A/B of one side compares nothing
        terms = {"kernel": cell.kernel, **terms}
    return ",".join(f"{name}={value}" for name, value in terms.items())
