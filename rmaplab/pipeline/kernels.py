# SPDX-License-Identifier: GPL-2.0
"""The kernels of a lab: fetched, patched, configured, built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rmaplab.build import kernel as build_kernel
from rmaplab.build.kernel import Request
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import KernelError
from rmaplab.model import Build, Kernel, Lab
from rmaplab.plan import on_kernels
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import KernelFacts


def ab_lab(lab: Lab, series: str) -> Lab:
    """The lab's first kernel as ``base``, and the same with the series as ``patched``."""
    base = replace(lab.kernels[0], name="base")
    return on_kernels(lab, (base, replace(base, name="patched", series=series)))


def on_tree(lab: Lab, tree: str) -> Lab:
    """The lab with all its kernels on another tree."""
    return replace(lab, kernels=tuple(replace(kernel, tree=tree) for kernel in lab.kernels))


def exact(lab: Lab) -> Lab:
    """The lab with all its guests in exact mode."""
    return replace(lab, guests=tuple(replace(guest, icount=True) for guest in lab.guests))


@dataclass(slots=True)
class KernelBuilder:
    """What it takes to make kernels."""

    catalogue: Catalogue
    cache: Cache
    jobs: int

    def request(self, kernel: Kernel) -> Request:
        """Fetch tree and series of a kernel and settle its key."""
        tree = tree_source.fetch(kernel.tree, self.cache)
        series = series_source.load(kernel.series, self.catalogue.root)
        config = [self.catalogue.fragments[name] for name in kernel.fragments]
        onto = series_source.load(kernel.onto, self.catalogue.root)
        return build_kernel.request(kernel, tree, series, config, onto)

    def build(
        self, lab: Lab, on_facts: Callable[[str, KernelFacts], None] = lambda _name, _facts: None
    ) -> dict[str, Build]:
        """Build every kernel of a lab.

        ``on_facts`` hears of each kernel, also of one that fails. Raises the KernelError of the
        first kernel that cannot be built.
        """
        builds: dict[str, Build] = {}
        requests = {kernel.name: self.request(kernel) for kernel in lab.kernels}
        for name, wanted in requests.items():
            facts = _facts(wanted)
            try:
                builds[name] = build_kernel.build(wanted, self.cache, jobs=self.jobs)
            except KernelError as error:
                facts.error = error.message
                facts.error_kind = type(error).__name__
                on_facts(name, facts)
                raise
            facts.release = builds[name].release
            on_facts(name, facts)
        return builds


def _facts(wanted: Request) -> KernelFacts:
    return KernelFacts(
        tree=wanted.tree.spec,
        origin=wanted.tree.origin,
        version=wanted.tree.version,
        digest=wanted.tree.digest,
        series=" + ".join(filter(None, (wanted.kernel.onto, wanted.kernel.series))),
        patches=[patch.subject for patch in wanted.series.patches],
        config=list(wanted.kconfig.fragments),
        toolchain=wanted.toolchain,
        key=wanted.key,
    )
