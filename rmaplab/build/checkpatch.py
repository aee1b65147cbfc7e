# SPDX-License-Identifier: GPL-2.0
"""Ask a tree's own checkpatch.pl about a patch, in the sandbox: its answers are remarks."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from rmaplab.build import harvest, sandbox

SCRIPT = "scripts/checkpatch.pl"
LIMIT_S = 120.0
MAX_NAMED = 5
_SAID = re.compile(r"^(?:\S+?:)?\d+: ((?:ERROR|WARNING):.*)$|^((?:ERROR|WARNING):.*)$", re.M)


def remarks(tree: Path, mail: bytes) -> tuple[str, ...]:
    """Return what checkpatch says of a patch as a mail; nothing if the tree has no checkpatch."""
    if not harvest.is_file(tree, SCRIPT):
        return ()
    pieces: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="rmaplab-checkpatch-") as scratch:
        folder = Path(scratch)
        (folder / "patch").write_bytes(mail)
        folder.chmod(0o755)
        words = ["perl", f"../source/{SCRIPT}", "--root=../source", "--terse", "--no-summary",
                 "--no-signoff", "--ignore=FILE_PATH_CHANGES", "patch"]  # fmt: skip
        sandbox.run(
            words, pieces.append, source=tree, build=folder, limit_s=LIMIT_S, writable=False
        )
    text = b"".join(pieces).decode("utf-8", "replace")
    said = [(one or other).strip() for one, other in _SAID.findall(text)]
    counts = dict.fromkeys(said)
    named = list(counts)[:MAX_NAMED]
    more = len(counts) - len(named)
    return (*(f"checkpatch: {one}" for one in named),
            *([f"checkpatch: {more} more"] if more else []))  # fmt: skip
