# SPDX-License-Identifier: GPL-2.0
"""``python -m rmaplab.dwarf JOB``: what the objects of a job have of some files' lines, as JSON.

The job is JSON, too: ``files`` are paths of the tree, ``roots`` what stands before them in debug
info, ``objects`` pairs of an object's two files, as the kernel has it and with debug info.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rmaplab.dwarf import objects


def main(words: list[str]) -> int:
    """Print a line of JSON for each object: its tables, or the ``error`` why there are none."""
    job = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    wanted = objects.Wanted(frozenset(job["files"]), tuple(job["roots"]))
    for built, debug in job["objects"]:
        try:
            found = objects.tables(Path(built), Path(debug), wanted)
        except Exception as error:  # a compiler that somebody replaced may write anything
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
