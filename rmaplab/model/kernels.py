# SPDX-License-Identifier: GPL-2.0
"""Trees, series, configurations, and the kernels that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab.model.architecture import DEFAULT, Architecture, architecture_of
from rmaplab.model.digest import digest_of


@dataclass(frozen=True, slots=True)
class Tree:
    """A kernel source, unpacked and read-only from here on.

    ``spec`` is how the user named it, ``version`` what its Makefile says (``6.12.117``),
    ``origin`` the package version, commit or archive digest, ``digest`` the hash of its content.
    """

    spec: str
    path: Path
    version: str
    origin: str
    digest: str


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of a series: ``files`` are the paths it changes, relative to the tree.

    ``message`` is what its mail says below the subject. ``digest`` is of the diff alone.
    """

    name: str
    subject: str
    author: str
    diff: bytes
    digest: str
    files: tuple[str, ...]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """An ordered patch series. The empty series stands for the unpatched tree.

    ``version`` is what its subjects say (``v2``), ``base_commit`` and ``prerequisites`` what the
    block of git format-patch --base says: a commit, and the patch ids of what has to be applied
    before.
    """

    name: str
    origin: str
    patches: tuple[Patch, ...]
    cover: str = ""
    version: str = ""
    base_commit: str = ""
    prerequisites: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every path that the series touches, once, sorted."""
        return tuple(sorted({name for patch in self.patches for name in patch.files}))


@dataclass(frozen=True, slots=True)
class ConfigSymbol:
    """One requested Kconfig symbol, ``value`` as .config spells it (``y``, ``n``, ``"text"``).

    ``since`` is the first kernel version that has the symbol, ``until`` the first that has it no
    more, or empty: other trees do without. ``other`` is its name in trees that have none of the
    first name.
    """

    name: str
    value: str
    fragment: str
    line: int
    since: str = ""
    until: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class LeftOutSymbol:
    """A symbol that a tool asked for and the lab did not request, with the reason."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kconfig:
    """The requested configuration: fragments over tinyconfig, later ones winning."""

    fragments: tuple[str, ...]
    symbols: tuple[ConfigSymbol, ...]
    digest: str
    left_out: tuple[LeftOutSymbol, ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that a lab asks for: a tree, a series on top of it, a configuration.

    ``onto`` is a series between the two, whose build the kernel's own starts from; ``arch`` the
    name of the kernel's architecture. ``accept`` says what of ``series`` is accepted although the
    lab would refuse or leave it out (source/mailaccept.py), ``stacked`` are more series on top of
    it. ``make_limit_s`` is the time of each make, in seconds; 0 is the lab's own. Of its series the
    kernel has the ``first`` patches, 0 for all of them; its build starts from one that has the
    first ``begins`` of them.
    """

    name: str
    tree: str
    series: str
    fragments: tuple[str, ...]
    onto: str = ""
    arch: str = DEFAULT
    accept: tuple[str, ...] = ()
    make_limit_s: float = 0.0
    stacked: tuple[str, ...] = ()
    first: int = 0
    begins: int = 0

    @property
    def all_series(self) -> tuple[str, ...]:
        """The names of the kernel's own series, the lowest first; none of an unpatched tree."""
        return (self.series, *self.stacked) if self.series else ()

    def is_built_on(self, other: Kernel) -> bool:
        """Return whether the kernel is another one with a series on top."""
        same = (self.tree, self.arch) == (other.tree, other.arch)
        below = other.series in {"", self.onto} and other.onto == "" and not other.stacked
        more = set(self.fragments) >= set(other.fragments)
        return bool(self.series) and same and below and more and self.series != other.series

    @property
    def architecture(self) -> Architecture:
        """The row of the kernel's architecture. Raises UserError if there is none."""
        return architecture_of(self.arch)


NO_PATCHES = Series(name="", origin="", patches=())
"""The series of an unpatched tree."""


@dataclass(frozen=True, slots=True)
class ResolvedKernel:
    """A kernel with everything that determines it, settled once a run.

    ``series`` is all of its patches, those of ``onto`` first; ``onto`` is what the series begins
    with, if a build of that is kept to start from. ``recipe`` and ``environment`` are how the lab
    builds kernels.
    """

    kernel: Kernel
    tree: Tree
    series: Series
    kconfig: Kconfig
    toolchain: str
    recipe: str
    environment: str
    onto: Series = NO_PATCHES

    @property
    def own(self) -> Series:
        """The patches that the series has beyond those of ``onto``."""
        return replace(self.series, patches=self.series.patches[len(self.onto.patches) :])

    @property
    def key(self) -> str:
        """The content address: equal keys are the same kernel, byte for byte."""
        return digest_of(
            "build",
            self.recipe,
            self.kernel.arch,
            self.tree.digest,
            self.kconfig.digest,
            self.toolchain,
            self.environment,
            *(patch.digest for patch in self.series.patches),
        )

    @property
    def base(self) -> ResolvedKernel:
        """The kernel whose build folder this one's starts from."""
        return replace(self, series=self.onto, onto=NO_PATCHES)


@dataclass(frozen=True, slots=True)
class Build:
    """A built kernel. ``key`` is the content address of everything that went into it.

    ``duration_s`` is what it took now, ``made_s`` what it took to make it, maybe long ago; 0 if
    that is not known.
    """

    key: str
    kernel: str
    folder: Path
    image: Path
    config: Path
    log: Path
    release: str
    duration_s: float
    reused: bool
    made_s: float = 0.0
