# SPDX-License-Identifier: GPL-2.0
"""The table of upstream's mm selftests: testcase, guest, and number of listed results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rmaplab.config import subtests
from rmaplab.model import Testcase, Userspace, Vmtest, version_numbers

EXIT_STATUS = "exit status"


def rows(vmtests: Iterable[Vmtest], testcases: Mapping[str, Testcase]) -> list[dict[str, Any]]:
    """Return a row for each command of run_vmtests.sh, with its testcase and its guest.

    ``subtests`` of a row maps kernel versions to the number of listed subtests, or to "exit status"
    where the exit status is the only result.
    """
    everything = tuple(vmtests)
    otherwise = {one.testcase for one in everything if one.testcase and one.reason}
    found = []
    for vmtest in sorted(everything, key=lambda one: (not one.testcase, one.command)):
        if vmtest.testcase in otherwise and not vmtest.reason:
            continue  # the script has another command for it
        testcase = testcases.get(vmtest.testcase)
        lists = subtests.read(subtests.path_of(testcase)) if testcase is not None else {}
        counts = {v: EXIT_STATUS if n is None else len(n) for v, n in lists.items()}
        found.append(
            {
                "command": vmtest.command,
                "testcase": vmtest.testcase,
                "guest": _guest(testcase) if testcase is not None else "",
                "subtests": counts,
                "reason": vmtest.reason,
                "tree": vmtest.tree,
            }
        )
    return found


def _guest(testcase: Testcase) -> str:
    needs = testcase.requires
    words = ["virtme" if needs.userspace is Userspace.HOST else "fast"]
    words += [f"{needs.nodes} nodes"] if needs.nodes > 1 else []
    words += [f"{needs.cpus} vCPUs"] if needs.cpus > 1 else []
    words += [f"{needs.memory_mb} MB"] if needs.memory_mb else []
    return ", ".join([*words, *needs.devices])


def markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a Markdown table with a column for each kernel version that has a list."""
    versions = sorted({v for row in table for v in row["subtests"]}, key=version_numbers)
    lines = [
        _line("command", "kernels", "testcase", "guest", *versions, "note"),
        _line(*["---"] * (5 + len(versions))),
    ]
    for row in table:
        counts = [str(row["subtests"].get(version, "")) for version in versions]
        name = row["testcase"].removeprefix("upstream/") or "not run"
        command, kernels = f"`{row['command']}`", row["tree"] or "all"
        lines.append(_line(command, kernels, name, row["guest"], *counts, row["reason"]))
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
