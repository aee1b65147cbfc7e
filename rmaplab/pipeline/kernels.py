# SPDX-License-Identifier: GPL-2.0
"""The kernels of a lab: resolved once a run, built, restored from a run's folder."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from rmaplab.build import kernel as build_kernel
from rmaplab.build.sandbox import STEP_LIMIT_S
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import InfraError, KernelError, UserError
from rmaplab.model import Build, Kernel, Lab, ResolvedKernel, Series, Tree
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import SERIES, KernelFacts, RunFolder, SavedPatch

Kernels = Mapping[str, ResolvedKernel]
"""The kernels of a run by their names in the lab."""


@dataclass(slots=True)
class KernelBuilder:
    """Resolves and builds kernels; each tree and each series is read once in a builder's life.

    ``step_limit_s`` is the time of each make, in seconds; None if the lab file has the say.
    """

    catalogue: Catalogue
    cache: Cache
    jobs: int
    step_limit_s: float | None = None
    _found: dict[str, tree_source.Fetch] = field(default_factory=dict, init=False)
    _trees: dict[str, Tree] = field(default_factory=dict, init=False)
    _series: dict[tuple[str, tuple[str, ...]], Series] = field(default_factory=dict, init=False)
    _kernels: dict[Kernel, ResolvedKernel] = field(default_factory=dict, init=False)
    _toolchains: dict[str, str] = field(default_factory=dict, init=False)

    def check(self, lab: Lab) -> None:
        """Look for the trees and read the series of a lab's kernels; nothing is fetched.

        Raises UserError with every tree and series that is not there or cannot be read, else
        InfraError if this host cannot look.
        """
        mistakes: dict[str, UserError] = {}
        unable: InfraError | None = None
        for kernel in lab.kernels:
            looks: tuple[Callable[[], object], ...] = (
                functools.partial(self._find, kernel.tree),
                functools.partial(self.own_series, kernel),
                functools.partial(self.series, kernel.onto),
            )
            for look in looks:
                try:
                    look()
                except UserError as error:
                    mistakes.setdefault(error.message, error)
                except InfraError as error:
                    unable = unable or error
        if mistakes:
            hints = dict.fromkeys(error.hint for error in mistakes.values() if error.hint)
            raise UserError("\n".join(mistakes), hint="; ".join(hints))
        if unable is not None:
            raise unable

    def check_names(self, lab: Lab) -> None:
        """Raise UserError as check() does; whether this host could fetch a tree is not asked."""
        with contextlib.suppress(InfraError):
            self.check(lab)

    def resolve(self, kernel: Kernel) -> ResolvedKernel:
        """Fetch the tree of a kernel and settle what determines the kernel.

        Raises UserError for a tree, series or fragment that cannot be read, InfraError if fetching
        fails or a tool is missing.
        """
        if kernel not in self._kernels:
            series = self.own_series(kernel)
            onto = self.series(kernel.onto)
            if kernel.begins:
                below = (*onto.patches, *series.patches[: kernel.begins])
                onto = replace(series, patches=below)
                series = replace(series, patches=series.patches[kernel.begins :])
            self._kernels[kernel] = self._resolved(kernel, self.tree(kernel.tree), series, onto)
        return self._kernels[kernel]

    def resolve_all(self, lab: Lab) -> dict[str, ResolvedKernel]:
        """Resolve the kernels of a lab, by name, once nothing about them is mistyped."""
        self.check(lab)
        return {kernel.name: self.resolve(kernel) for kernel in lab.kernels}

    def restore(self, kernel: Kernel, facts: KernelFacts, folder: RunFolder) -> ResolvedKernel:
        """Resolve a kernel of a saved run, from the series that the run's folder has.

        The tree is the one of then if the cache still has it, else it is fetched again. Raises
        UserError if the saved series is damaged, and as resolve() does.
        """
        tree = tree_source.cached(kernel.tree, facts.tree_entry, facts.digest, self.cache)
        series = self._saved_series(kernel, facts, folder)
        onto = replace(series, patches=series.patches[: facts.onto])
        own = replace(series, patches=series.patches[facts.onto :])
        return self._resolved(kernel, tree or self.tree(kernel.tree), own, onto)

    def build(
        self,
        kernels: Kernels,
        on_end: Callable[[str, Build | KernelError], None] = lambda _name, _end: None,
        *,
        keep: bool = False,
    ) -> dict[str, Build]:
        """Build resolved kernels, by name; with ``keep`` their build folders are kept, too.

        ``on_end`` hears of each kernel, also of one that fails. Raises the KernelError of the
        first kernel that cannot be built.
        """
        builds: dict[str, Build] = {}
        for name, kernel in kernels.items():
            try:
                builds[name] = build_kernel.build(
                    kernel, self.cache, jobs=self.jobs, keep=keep, limit_s=self.limit_of(kernel)
                )
            except KernelError as error:
                on_end(name, error)
                raise
            on_end(name, builds[name])
        return builds

    def limit_of(self, kernel: ResolvedKernel) -> float:
        """Return the seconds that each make of a kernel, or of its selftests, may take."""
        return self.step_limit_s or kernel.kernel.make_limit_s or STEP_LIMIT_S

    def _find(self, spec: str) -> tree_source.Fetch:
        if spec not in self._found:
            self._found[spec] = tree_source.find(spec, self.cache)
        return self._found[spec]

    def tree(self, spec: str) -> Tree:
        """Return a tree, fetched once. Raises UserError and InfraError as tree.fetch() does."""
        if spec not in self._trees:
            self._trees[spec] = self._find(spec)()
        return self._trees[spec]

    def own_series(self, kernel: Kernel) -> Series:
        """Return the series of a kernel, all those that it stacks as one."""
        whole = series_source.stack([self.series(one, kernel.accept) for one in kernel.all_series])
        return replace(whole, patches=whole.patches[: kernel.first]) if kernel.first else whole

    def series(self, spec: str, accept: tuple[str, ...] = ()) -> Series:
        """Return a series, read once. Raises UserError and InfraError as series.load() does."""
        key = spec, accept
        if key not in self._series:
            self._series[key] = series_source.load(spec, self.catalogue.root, accept, self.cache)
        return self._series[key]

    def _resolved(self, kernel: Kernel, tree: Tree, series: Series, onto: Series) -> ResolvedKernel:
        if kernel.arch not in self._toolchains:
            self._toolchains[kernel.arch] = build_kernel.toolchain(kernel.architecture)
        config = [self.catalogue.fragments[name] for name in kernel.fragments]
        return build_kernel.resolve(
            kernel, tree, series, config, onto, identity=self._toolchains[kernel.arch]
        )

    def _saved_series(self, kernel: Kernel, facts: KernelFacts, folder: RunFolder) -> Series:
        if not facts.saved_patches:
            return series_source.EMPTY
        place = folder.inside(f"{SERIES}/{kernel.name}")
        series = series_source.load(str(place), self.catalogue.root)
        found = [patch.digest for patch in series.patches]
        if found != [patch.digest for patch in facts.saved_patches]:
            raise UserError(f"{place}: the patches are not those that the run began with")
        return series


def facts_of(kernel: ResolvedKernel) -> KernelFacts:
    """Return what run.json says of a kernel that is not built yet."""
    return KernelFacts(
        tree=kernel.tree.spec,
        origin=kernel.tree.origin,
        version=kernel.tree.version,
        digest=kernel.tree.digest,
        series=" + ".join(filter(None, (kernel.kernel.onto, *kernel.kernel.all_series))),
        patches=[patch.subject for patch in kernel.series.patches],
        config=list(kernel.kconfig.fragments),
        toolchain=kernel.toolchain,
        key=kernel.key,
        tree_entry=tree_source.entry_of(kernel.tree),
        onto=len(kernel.onto.patches),
        symbols={symbol.name: symbol.value for symbol in kernel.kconfig.symbols},
        recipe=kernel.recipe,
        environment=kernel.environment,
    )


def save_series(kernel: ResolvedKernel, folder: RunFolder) -> list[SavedPatch]:
    """Write the patches of a kernel into a run's folder, as mails that git am applies."""
    patches = kernel.series.patches
    saved: list[SavedPatch] = []
    for number, patch in enumerate(patches, start=1):
        name = f"{number:04}-{series_source.slug(patch.subject)}.patch"
        mail = series_source.as_mail(patch, number, len(patches))
        folder.write(f"{SERIES}/{kernel.kernel.name}/{name}", mail)
        saved.append(SavedPatch(name, patch.digest))
    if patches and kernel.series.cover:
        cover = f"{SERIES}/{kernel.kernel.name}/cover-letter.txt"
        folder.write(cover, kernel.series.cover)
    return saved
