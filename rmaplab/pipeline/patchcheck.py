# SPDX-License-Identifier: GPL-2.0
"""Check a series patch by patch: each prefix builds, boots and runs the cells.

The prefixes are built one from the other. A prefix whose image is that of the one before, byte for
byte, runs nothing: its cells would say the same. Testcases that are built from the tree are no part
of the image: in a lab that has some, a patch of what they may be built from runs them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from rmaplab.build import checkpatch, selftests, sparse, warnings
from rmaplab.build.kernel import OBJECTS
from rmaplab.errors import KernelError, UserError
from rmaplab.log import log
from rmaplab.model import Build, Kernel, Lab, ResolvedKernel, Series
from rmaplab.model.prefixes import PatchFacts, patch_name
from rmaplab.pipeline import labs
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.evaluate import Evaluation
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.run import RunRequest
from rmaplab.plan import on_kernels, plan
from rmaplab.selection import choose
from rmaplab.source import patched
from rmaplab.source import series as series_source
from rmaplab.store import inuse
from rmaplab.store.cache import file_sha256

MAX_PATCHES = 60
"""Patches of a series that is checked: each is a kernel."""


@dataclass(slots=True)
class _Ladder:
    """The prefixes of a series as they are built, one from the other."""

    builder: KernelBuilder
    base: Kernel
    kernel: Kernel
    series: Series
    lab: Lab
    good: int = 0
    image: str = ""
    built: sparse.Built | None = None
    shown_by: str = labs.BASE
    known: dict[str, frozenset[str]] = field(default_factory=dict)

    def climb(self) -> Iterator[tuple[PatchFacts, Kernel]]:
        """Build each prefix, and yield what it is."""
        resolved = self.builder.resolve(self.base)
        made = self._build(resolved, keep=True)
        self._note(made, ())
        self._sparse(resolved, made)
        for number, patch in enumerate(self.series.patches, start=1):
            kernel = replace(self.kernel, name=patch_name(number), first=number, begins=self.good)
            resolved = self.builder.resolve(kernel)
            said = checkpatch.remarks(
                resolved.tree.path, series_source.as_mail(patch, number, len(self.series.patches))
            )
            facts = PatchFacts(number, patch.subject, remarks=said)
            try:
                made = self._build(resolved, keep=True)
            except KernelError as error:
                log.warn(f"patch {number}: {error.message}")
                yield replace(facts, error=error.message), kernel
                continue
            files = resolved.own.files
            text = made.log.read_text(encoding="utf-8", errors="replace")
            known = ((name, one) for name, some in self.known.items() for one in some)
            new = warnings.new(text, known, files)
            same = file_sha256(made.image) == self.image and not self._may_change_programs(files)
            self._note(made, files)
            facts = replace(facts, remarks=(*said, *self._sparse(resolved, made)))
            self.good = number
            if not same:
                self.shown_by = kernel.name
            named = tuple(one.phrase for one in new[: warnings.MAX_NAMED])
            yield replace(facts, kernel=self.shown_by, warnings=named), kernel

    def _may_change_programs(self, files: tuple[str, ...]) -> bool:
        """Return whether testcases of the tree's own may be built from some files."""
        testcases = self.lab.every_testcase
        if any(one.host for one in testcases):  # built from any file of the kernel
            return True
        return any(one.upstream for one in testcases) and any(map(selftests.matters, files))

    def _sparse(self, resolved: ResolvedKernel, made: Build) -> tuple[str, ...]:
        """Return what sparse says that it did not say of the prefix before."""
        source = patched.source_of(
            resolved.tree, resolved.series, self.builder.cache, resolved.onto
        )
        before, self.built = self.built, sparse.Built(source, made.folder / OBJECTS)
        if before is None or not sparse.is_there(resolved.kernel.arch):
            return ()
        return sparse.remarks(before, self.built, resolved.own.files)

    def _build(self, resolved: ResolvedKernel, *, keep: bool) -> Build:
        name = resolved.kernel.name
        return self.builder.build({name: resolved}, keep=keep)[name]

    def _note(self, made: Build, compiled: tuple[str, ...]) -> None:
        text = made.log.read_text(encoding="utf-8", errors="replace")
        self.known = warnings.carried(text, self.known, compiled)
        self.image = file_sha256(made.image)


def check(asked: RunRequest, builder: KernelBuilder) -> Evaluation:
    """Check the series of a lab's second kernel, ``patched``, patch by patch, and report.

    Raises UserError for a series that is too long, KernelError if the tree without it does not
    build, and as run.run() does.
    """
    if asked.touched:
        raise UserError(
            "--touched asks what one series touches, and each prefix is another one",
            hint="choose cells with --filter",
        )
    base, kernel = asked.lab.kernels
    series = builder.own_series(kernel)
    if len(series.patches) > MAX_PATCHES:
        raise UserError(
            f"{series.name}: {len(series.patches)} patches are too many to check one by one: "
            f"the lab takes {MAX_PATCHES}",
            hint="check parts of it, such as git:REPO#A..B on top of --tree git:REPO#A",
        )
    count = len(series.patches)
    steps = [replace(kernel, name=patch_name(n), first=n) for n in range(1, count + 1)]
    ladder = on_kernels(_first(asked.lab), (base, *steps))
    # Before the hours of the builds: is there anything to run, and is it less than the cap?
    choose(ladder, filter=asked.filter, sample=asked.sample, alike=True, whole=plan(ladder))
    facts: list[PatchFacts] = []
    kernels: list[Kernel] = []
    with inuse.shared(builder.cache):
        for one, prefix in _Ladder(builder, base, kernel, series, asked.lab).climb():
            facts.append(one)
            if one.has_own_image:
                kernels.append(prefix)
    lab = on_kernels(_first(asked.lab), (base, *kernels))
    checked = replace(asked, lab=lab, options=None, comparison=None, patches=tuple(facts))
    return run_pipeline.run(checked, builder)


def _first(lab: Lab) -> Lab:
    """Return the lab on its base alone."""
    return replace(lab, kernels=lab.kernels[:1])
