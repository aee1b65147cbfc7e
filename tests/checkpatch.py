# SPDX-License-Identifier: GPL-2.0
"""make lint's checkpatch: our C and our patches, by the checker of the kernel tree they are for.

Exit code 1 with checkpatch's own words if it finds something.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rmaplab import proc
from rmaplab.source import tree
from rmaplab.store.cache import Cache

ROOT = Path(__file__).resolve().parent.parent
TREE = "debian:linux-source-6.12"

# Checks for kernel code that userspace cannot satisfy.
IGNORED = (
    "PREFER_DEFINED_ATTRIBUTE_MACRO",  # __printf, __noreturn: the kernel's own macros
    "VOLATILE",  # a workload touches memory so that the compiler may not skip it
    "EMBEDDED_FUNCTION_NAME",  # messages name files of /proc and /sys, not functions
)


IGNORED_IN_PATCHES = (
    "FILE_PATH_CHANGES",  # a new file of patches/splats is under lkdtm's pattern in MAINTAINERS
)


def complaints(arguments: list[str | Path], root: Path) -> str:
    """Return the complaints of checkpatch; empty if there are none."""
    done = proc.run(
        ["perl", root / "scripts/checkpatch.pl", "--quiet", "--no-summary", *arguments],
        cwd=root,
        check=False,
    )
    return "" if done.ok else (done.text + done.complaint).strip()


def main() -> int:
    """Check everything; the tree comes from the lab's cache, or is fetched into it."""
    root = tree.fetch(TREE, Cache()).path
    folders = ("testcases/*", "guests/*", "tests/unit")
    sources = sorted(path for folder in folders for path in ROOT.glob(f"{folder}/*.[ch]"))
    patches = sorted(p for p in ROOT.glob("patches/**/*.patch") if "cover" not in p.name)
    ignore = f"--ignore={','.join(IGNORED)}"
    said = [
        complaints(["--no-tree", "--file", ignore, *sources], root) if sources else "no C found",
        complaints([f"--ignore={','.join(IGNORED_IN_PATCHES)}", *patches], root)
        if patches
        else "no patch found",
    ]
    for text in filter(None, said):
        print(text)
    return 1 if any(said) else 0


if __name__ == "__main__":
    sys.exit(main())
