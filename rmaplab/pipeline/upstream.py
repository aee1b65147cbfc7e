# SPDX-License-Identifier: GPL-2.0
"""The kernel trees' own selftests in a run: which there are, and what each should print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.build import initramfs, selftests
from rmaplab.build.selftests import Selftests
from rmaplab.collect import transcript, upstream
from rmaplab.config import subtests
from rmaplab.errors import UserError
from rmaplab.evidence.names import TRANSCRIPT
from rmaplab.model import Cell, ExpectedSubtests, Testcase
from rmaplab.model.digest import digest_of
from rmaplab.pipeline.kernels import KernelBuilder, Kernels
from rmaplab.plan import plan
from rmaplab.store.cache import file_sha256
from rmaplab.store.runfolder import RunFolder, planned


@dataclass(frozen=True, slots=True)
class Recorded:
    """The lists that a run's selftests printed, and the cells that are no good for one and why."""

    lists: Mapping[Path, Mapping[str, subtests.Names]]
    refused: Mapping[str, str]


def record(folder: RunFolder, testcases: Mapping[str, Testcase]) -> Recorded:
    """Return the lists of subtests as a run's selftests printed them, added to those there are.

    A list is what all cells of a selftest on a version printed alike. ``testcases`` are the
    project's, by name: a list belongs beside one of these, wherever the run says that it was.
    Raises UserError if the run has no selftest.
    """
    run = folder.read_record()
    printed: dict[tuple[Path, str], list[subtests.Names]] = {}
    refused: dict[str, str] = {}
    done = folder.finished()
    for cell in planned(run, plan(run.lab).cells):
        if cell.testcase.upstream is None or cell.id not in done:
            continue
        testcase = testcases.get(cell.testcase.name)
        if testcase is None:
            refused[cell.id] = "the project has no such testcase"
            continue
        if cell.kernel not in run.kernels:
            refused[cell.id] = "the run does not say which kernel it had"
            continue
        path = subtests.path_of(testcase)
        names, why = _printed(folder.place(cell.id))
        version = subtests.series_of(run.kernels[cell.kernel].version)
        names = _with_patterns(names, subtests.read(path).get(version))
        if why:
            refused[cell.id] = why
        else:
            printed.setdefault((path, version), []).append(names)
    if not printed and not refused:
        raise UserError(f"{folder.path} has no cell with a selftest of the kernel tree")
    lists: dict[Path, dict[str, subtests.Names]] = {}
    for (path, version), found in printed.items():
        if any(names != found[0] for names in found):
            refused[f"{path.stem} on {version}"] = "its cells printed different names"
        else:
            lists.setdefault(path, dict(subtests.read(path)))[version] = found[0]
    return Recorded(lists, refused)


def _with_patterns(names: subtests.Names, listed: subtests.Names) -> subtests.Names:
    """Replace each name that a pattern of the list stands for by the pattern."""
    patterns = [name for name in listed or () if "*" in name]
    return names and tuple(
        next((one for one in patterns if upstream.matches(one, name)), name) for name in names
    )


def _printed(folder: Path) -> tuple[subtests.Names, str]:
    """Return the names that a cell printed, or why they are no list."""
    saved = transcript.read(folder / TRANSCRIPT)
    if saved.exit is None or saved.exit.timeout or saved.exit.signal:
        return None, saved.skip or saved.not_built or "the program did not come to its end"
    return upstream.printed(saved)


@dataclass(frozen=True, slots=True)
class SelftestBuilds:
    """The selftests of a run's kernels, by kernel; none of those that run no selftest."""

    built: Mapping[str, Selftests] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def archive(
        self, kernel: str, plain: Path, cells: Iterable[Cell], builder: KernelBuilder
    ) -> Path:
        """Return a kernel's initramfs: ``plain`` with the programs that its cells run."""
        if kernel not in self.built:
            return plain
        have = self.built[kernel].programs
        wanted = {
            initramfs.program_path(cell.testcase): have[cell.testcase.upstream.program]
            for cell in cells
            if cell.kernel == kernel
            and cell.testcase.upstream is not None
            and cell.testcase.upstream.program in have
        }
        return initramfs.with_programs(plain, wanted, builder.cache)

    def digest(self, kernel: str) -> str:
        """Return the digest of the programs of a kernel's selftests."""
        programs = self.built[kernel].programs
        parts = (part for name in sorted(programs) for part in (name, file_sha256(programs[name])))
        return digest_of(*parts)

    def missing(self, cell: Cell) -> str:
        """Return why a cell's program cannot be there, or an empty string."""
        one = cell.testcase.upstream
        return self.built[cell.kernel].missing(one.program) if one is not None else ""

    def error(self, cell: Cell) -> str:
        """Return the compiler's errors of a cell's program, or an empty string."""
        one = cell.testcase.upstream
        return self.built[cell.kernel].error(one.program) if one is not None else ""

    def expected(self, cell: Cell) -> ExpectedSubtests | None:
        """Return the subtests of a cell's program; None for a workload of the lab's own."""
        if cell.testcase.upstream is None:
            return None
        return expected(cell.testcase, self.versions[cell.kernel])


def expected(testcase: Testcase, version: str) -> ExpectedSubtests:
    """Return the subtests that a selftest prints on a tree of a version such as 6.12.117."""
    path = subtests.path_of(testcase)
    return ExpectedSubtests(version, *subtests.for_version(subtests.read(path), version))


def selftest_builds(
    kernels: Kernels, cells: Iterable[Cell], builder: KernelBuilder
) -> SelftestBuilds:
    """Build the selftests of the kernels that have cells with one. Raises as their builds do."""
    names = {cell.kernel for cell in cells if cell.testcase.upstream is not None}
    wanted = {name: kernel for name, kernel in kernels.items() if name in names}
    return SelftestBuilds(
        {
            name: selftests.build(
                kernel, builder.cache, jobs=builder.jobs, limit_s=builder.limit_of(kernel)
            )
            for name, kernel in wanted.items()
        },
        {name: kernel.tree.version for name, kernel in wanted.items()},
    )
