# SPDX-License-Identifier: GPL-2.0
"""A series patch by patch: what each prefix of it is, and what it does to the testcases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rmaplab.model.verdicts import Change


@dataclass(frozen=True, slots=True)
class PatchFacts:
    """A patch of a series with all those before it, built.

    ``kernel`` is the name of the kernel whose cells tell of it: its own, or an earlier one that has
    the same image, byte for byte; empty if it was not built, and ``error`` says why. ``warnings``
    are the compiler's that the kernels before do not have, ``remarks`` those of checkpatch.
    """

    number: int
    subject: str
    kernel: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the patch's own kernel."""
        return patch_name(self.number)

    @property
    def has_own_image(self) -> bool:
        """True if cells were run for the patch."""
        return self.kernel == self.name


def patch_name(number: int) -> str:
    """Return the name of the kernel that has a series up to a patch."""
    return f"patch-{number:02}"


@dataclass(frozen=True, slots=True)
class PatchRow:
    """A row of the matrix, patch by patch: its changes against base, None where there is none."""

    testcase: str
    settings: str
    guest: str
    device: str
    changes: tuple[Change | None, ...]
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Episode:
    """A testcase that a patch changes: to the worse, until a later one mends it, or to the better.

    ``rows`` is in how many rows; ``until`` is 0 if nothing later undoes it.
    """

    testcase: str
    change: Change
    since: int
    until: int
    rows: int
    why: str

    @property
    def phrase(self) -> str:
        """The episode in a line, without the testcase."""
        if not self.change.is_bad:
            lost = f", and lost by patch {self.until}" if self.until else ""
            return f"fixed by patch {self.since}{lost}"
        word = {Change.UNSTABLE: "unstable from", Change.MISSING: "missing from"}.get(
            self.change, "broken by"
        )
        end = f", mended by patch {self.until}" if self.until else ", and not mended"
        return f"{word} patch {self.since}{end}"


@dataclass(frozen=True, slots=True)
class PatchTable:
    """A series patch by patch, as a table of patches and testcases."""

    patches: tuple[PatchFacts, ...]
    rows: tuple[PatchRow, ...]
    episodes: tuple[Episode, ...]

    @property
    def broken(self) -> tuple[Episode, ...]:
        """The episodes to the worse, also mended ones: the series is not bisectable there."""
        return tuple(one for one in self.episodes if one.change.is_bad)

    def worst(self, testcase: str) -> tuple[Change | None, ...]:
        """Return a testcase's worst change at each patch."""
        rows = [row.changes for row in self.rows if row.testcase == testcase]
        return tuple(
            max((one for one in column if one is not None), key=_rank, default=None)
            for column in zip(*rows, strict=True)
        )

    @property
    def testcases(self) -> tuple[str, ...]:
        """The names of the testcases, in their order."""
        return tuple(dict.fromkeys(row.testcase for row in self.rows))

    def marks(self, testcase: str) -> str:
        """Return a testcase's line of the table: a character for each patch (``LEGEND``)."""
        changes = self.worst(testcase)
        return "".join(
            "!" if patch.error else _MARKS.get(change, " ") if change is not None else " "
            for patch, change in zip(self.patches, changes, strict=True)
        )

    @property
    def notes(self) -> Iterator[str]:
        """Phrases for the answer of a run."""
        failed = [str(patch.number) for patch in self.patches if patch.error]
        count = len(self.patches)
        yield f"{count} patch{'es' if count > 1 else ''}"
        if failed:
            yield f"not built: {', '.join(failed)}"
        same = sum(not patch.has_own_image and not patch.error for patch in self.patches)
        if same:
            yield f"{same} with the image of the kernel before"
        for one in self.broken[:3]:
            yield f"{one.testcase} {one.phrase}"
        if len(self.broken) > 3:
            yield f"{len(self.broken) - 3} more testcases are broken on the way"


LEGEND = (
    ". as on base  + fixed  f fails as on base  X worse than base  ? unstable or missing  "
    "! not built"
)
_MARKS = {
    Change.FIXED: "+", Change.SAME_PASS: ".", Change.GONE_SPLAT: ".", Change.SAME_FAIL: "f",
    Change.UNSTABLE: "?", Change.MISSING: "?", Change.NEW_SPLAT: "X", Change.REGRESSED: "X",
}  # fmt: skip


def _rank(change: Change) -> int:
    return change.rank
