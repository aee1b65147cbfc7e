# SPDX-License-Identifier: GPL-2.0
"""Kernels: configured, checked, built in the sandbox, kept under their content's key.

A patched kernel starts from a copy of its base's build folder and recompiles what the series
touched. make decides by modification times, so the touched files get the time of the build, and
what the base made of them goes (build/stale.py): an object that make left alone would be the base's
code under the series' name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab import proc
from rmaplab.build import (
    dependencies,
    fragments,
    harvest,
    makelog,
    progress,
    sandbox,
    stale,
    trust,
    virtme,
)
from rmaplab.build.buildlog import BoundedLog
from rmaplab.build.lines import VMLINUX
from rmaplab.build.progress import BuildProgress
from rmaplab.errors import BuildError, InfraError, RmaplabError
from rmaplab.log import log
from rmaplab.model import (
    NO_PATCHES,
    Architecture,
    Build,
    Kernel,
    ResolvedKernel,
    Series,
    Tree,
)
from rmaplab.model.digest import digest_of
from rmaplab.source import patched
from rmaplab.store import entryseal
from rmaplab.store.cache import Cache, Entry, file_sha256, remove

# Part of every key: raise it when the way kernels are built changes.
RECIPE = "1"
OBJECTS = "obj"
_TOUCHED = "touched"
_DOT_CONFIG = ".config"
_RELEASE_FILE = "include/config/kernel.release"
# include/linux/utsname.h has 64 characters, and the Makefile checks them.
_RELEASE = re.compile(r"\d[\w.+~-]{0,63}", re.ASCII)
_SEALED = ("config", "build.json", f"{OBJECTS}/System.map", f"{OBJECTS}/Module.symvers")
"""The files of a kept build whose content is compared, beside its image."""
_COMPILER = ("gcc", "ld")
_HOST_TOOLS = (*_COMPILER, "make", "bwrap", "flex", "bison", "bc")


@dataclass(frozen=True, slots=True)
class _BuildDir:
    """The folders of one build."""

    source: Path
    folder: Path
    architecture: Architecture
    jobs: int
    limit_s: float = sandbox.STEP_LIMIT_S
    progress: BuildProgress = field(default_factory=BuildProgress)

    @property
    def objects(self) -> Path:
        return self.folder / OBJECTS

    @property
    def log_file(self) -> Path:
        return self.folder / "build.log"


def toolchain(architecture: Architecture) -> str:
    """Return the identity of an architecture's compiler and linker, and of make.

    Raises InfraError that names what is missing.
    """
    compiler = [f"{architecture.cross_compile}{tool}" for tool in _COMPILER]
    for tool in (*_HOST_TOOLS, *compiler):
        proc.require(tool)
    return "; ".join(
        proc.run([tool, "--version"]).text.splitlines()[0] for tool in (*compiler, "make")
    )


def resolve(
    kernel: Kernel,
    tree: Tree,
    series: Series,
    config: Sequence[Path],
    onto: Series = NO_PATCHES,
    *,
    identity: str = "",
) -> ResolvedKernel:
    """Return a kernel with the patches of ``onto`` and the series on top of them, resolved.

    ``identity`` is that of the toolchain, asked for if it is empty. Raises DiagnosticsError for a
    broken fragment, InfraError for a missing tool.
    """
    declared = functools.partial(
        dependencies.declared, tree=tree.path, architecture=kernel.architecture
    )
    kconfig = fragments.read(config, tree.version, kernel.architecture, declared)
    if virtme.FRAGMENT in kconfig.fragments:
        kconfig = virtme.extend(kconfig, tree.path, kernel.architecture)
    return ResolvedKernel(
        kernel=kernel,
        tree=tree,
        series=dataclasses.replace(series, patches=(*onto.patches, *series.patches)),
        kconfig=kconfig,
        toolchain=identity or toolchain(kernel.architecture),
        recipe=RECIPE,
        environment=str(sorted(sandbox.ENVIRONMENT.items())),
        onto=onto,
    )


def build(
    wanted: ResolvedKernel,
    cache: Cache,
    *,
    jobs: int,
    keep: bool = False,
    limit_s: float = sandbox.STEP_LIMIT_S,
) -> Build:
    """Return a kernel from the cache, or build it; its base is built first if need be.

    ``jobs`` compilers run at once; each make may take ``limit_s`` seconds. With ``keep`` the build
    folder is kept for other builds to start from, in a cache entry of its own if the kernel has a
    series. The build folder of a kernel without a series is always kept.

    Raises PatchError if the series does not apply, BuildError if a requested symbol did not
    survive or the compiler failed, InfraError if the sandbox cannot run, or is too weak for a
    stranger's code (build/trust.py).
    """
    began = time.monotonic()
    image = wanted.kernel.architecture.image
    is_whole = functools.partial(_is_whole, image=image)
    name = f"{wanted.key}-{OBJECTS}" if keep and wanted.series.patches else wanted.key
    if name == wanted.key and not cache.path("builds", name).exists():
        with_objects = f"{name}-{OBJECTS}"  # has the products, too
        name = with_objects if is_whole(cache.path("builds", with_objects)) else name
    existed = is_whole(cache.path("builds", name))
    start_from: Path | None = None
    if not existed and wanted.series.patches:
        # Before the base's minutes: does the series apply at all?
        source = patched.source_of(wanted.tree, wanted.series, cache, wanted.onto)
        if not _changes_links(wanted, source):
            start_from = build(wanted.base, cache, jobs=jobs, keep=True, limit_s=limit_s).folder

    def make(half: Path) -> None:
        made = time.monotonic()
        trust.check(wanted)
        source = patched.source_of(wanted.tree, wanted.series, cache, wanted.onto)
        start = None if _changes_links(wanted, source) else start_from
        expected = progress.expected(half.parent, _kind(wanted, start))
        site = _BuildDir(
            source, half, wanted.kernel.architecture, jobs, limit_s, BuildProgress(expected)
        )
        try:
            with _unchanged(start, image, cache), site.progress.shown():
                _make(wanted, site, start)
            _keep(wanted, site, start, made, with_objects=keep or not wanted.series.patches)
            _seal(half, image)
        except RmaplabError as error:
            error.evidence = keep_failed_log(site.log_file, cache)
            raise

    folder = cache.entry("builds", name, make, is_whole=is_whole)
    facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    return Build(
        key=wanted.key,
        kernel=wanted.kernel.name,
        folder=folder,
        image=folder / image,
        config=folder / "config",
        log=folder / "build.log",
        release=facts["release"],
        duration_s=0.0 if existed else time.monotonic() - began,
        reused=existed,
        made_s=float(facts.get("seconds", 0.0)),
    )


@contextlib.contextmanager
def _unchanged(kept: Path | None, image: str, cache: Cache) -> Iterator[None]:
    """Hold a kept build against what it was before another one started from a copy of it.

    Raises InfraError, and drops the kept build, if it is not as it was.
    """
    contents = (image, *_SEALED)
    before = harvest.seal(kept, OBJECTS, contents) if kept is not None else ""
    try:
        yield
    finally:
        if kept is not None and harvest.seal(kept, OBJECTS, contents) != before:
            cache.drop(Entry("builds", kept.name, kept, 0))
            raise InfraError(
                f"{kept} is not as it was before a build started from a copy of it",
                hint="it is dropped; the sandbox did not hold, or the disk fails: lab.py doctor",
            )


def _is_whole(folder: Path, image: str) -> bool:
    """Return whether a cached build is there and its files are as they were made.

    A build of an earlier version of the lab has a checksum of its image alone, or nothing.
    """
    try:
        facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(facts, dict):
        return False
    if facts.get("sealed") and "sha256" in facts:
        return not entryseal.broken(folder)
    found = file_sha256(folder / image)
    return found != "" and facts.get("sha256", found) == found


def _seal(folder: Path, image: str) -> None:
    """Seal what of a build is used later, but for the objects that other builds start from."""
    names = [image, "config", "build.json", "build.log", "fragments.diff"]
    names += [name for name in (VMLINUX, f"{OBJECTS}/{VMLINUX}") if harvest.is_file(folder, name)]
    entryseal.seal(folder, names)


def configure(wanted: ResolvedKernel, source: Path, folder: Path) -> None:
    """Configure a kernel in an empty folder and build nothing.

    Raises BuildError if a symbol was dropped.
    """
    site = _BuildDir(source, folder, wanted.kernel.architecture, 1)
    site.objects.mkdir()
    _configure(wanted, site)


def _make(wanted: ResolvedKernel, site: _BuildDir, start_from: Path | None) -> None:
    with log.step(f"building kernel {wanted.kernel.name} ({_describe(wanted)})"):
        if start_from is None:
            site.objects.mkdir()
        else:
            proc.run(["cp", "-a", "--reflink=auto", start_from / OBJECTS, site.objects])
            _as_seen_by(start_from, wanted.onto, site.source)
        touched = _touch(site, wanted.own)
        if start_from is not None:
            stale.drop(site.objects, wanted.own.files, site.architecture)
        (site.folder / _TOUCHED).write_text(repr(touched), encoding="utf-8")
        _configure(wanted, site)
        _run_make([site.architecture.image], site)
    _check_recompiled(wanted.own, site.objects, touched)


def _kind(wanted: ResolvedKernel, start_from: Path | None) -> str:
    """Return the kind of a build: those of one kind compile about as much."""
    changed = "" if start_from is None else digest_of(*sorted(wanted.own.files))
    return f"{wanted.kernel.arch} {'+'.join(wanted.kconfig.fragments)} {changed}".rstrip()


def _describe(wanted: ResolvedKernel) -> str:
    series = f" + {wanted.series.name}" if wanted.series.patches else ""
    return f"{wanted.tree.version}{series}, {'+'.join(wanted.kconfig.fragments)}"


def _as_seen_by(kept: Path, series: Series, source: Path) -> None:
    """Give the files of a series the time that they had when a kept build of it was made.

    Whatever builds the series with another configuration touches its source, and make would take
    all of the kept objects for old.
    """
    try:
        seen = float((kept / _TOUCHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # a build of an earlier version of the lab: more is compiled than need be
    for name in series.files:
        harvest.set_modified(source, name, seen)


def _touch(site: _BuildDir, series: Series) -> float:
    """Give the files of a series the present time, and return it."""
    now = time.time()
    for name in series.files:
        harvest.set_modified(site.source, name, now)
    return now


def _changes_links(wanted: ResolvedKernel, source: Path) -> bool:
    """Return whether a series makes, changes or removes a link.

    What make compiled from the target of a link has no time that a change of the link could pass,
    so a kept build is no start.
    """
    trees = (wanted.tree.path, source)
    return any(harvest.is_link(tree, name) for tree in trees for name in wanted.own.files)


def _configure(wanted: ResolvedKernel, site: _BuildDir) -> None:
    _run_make(["tinyconfig"], site)
    harvest.append(site.objects, _DOT_CONFIG, fragments.as_config(wanted.kconfig))
    _run_make(["olddefconfig"], site)
    final = fragments.parse_config(harvest.text(site.objects, _DOT_CONFIG))
    lost = fragments.dropped(wanted.kconfig, final)
    if not lost:
        return
    lines = []
    for drop in lost:
        why = dependencies.explain(drop.symbol.name, site.source, final, site.architecture)
        lines.append(
            f"  CONFIG_{drop.symbol.name}: wanted {drop.symbol.value}, got {drop.got or 'nothing'}"
            f" ({drop.symbol.fragment}.config:{drop.symbol.line})" + (f": {why}" if why else "")
        )
    raise BuildError(
        f"kernel {wanted.kernel.name}: Kconfig dropped {len(lost)} requested "
        f"symbol{'s' if len(lost) > 1 else ''}:\n" + "\n".join(lines),
        hint="request what they depend on too, or say which trees have a symbol: # since X.Y, "
        "# until X.Y (the first without it), or # or NAME, another name of it",
    )


def _run_make(targets: Sequence[str], site: _BuildDir) -> None:
    with site.log_file.open("ab") as file, BoundedLog(file) as output:
        ended = sandbox.run(
            sandbox.make(targets, site.architecture, jobs=site.jobs),
            functools.partial(_take, output, site.progress),
            source=site.source,
            build=site.objects,
            limit_s=site.limit_s,
        )
    if ended.ok:
        return
    text = site.log_file.read_text(encoding="utf-8", errors="replace")
    raise makelog.failure(text, targets, ended)


def keep_failed_log(log_file: Path, cache: Cache) -> Path | None:
    """Keep the log of a failed build, which leaves no entry in the cache, and return its path.

    Returns None if there is no log, or no space for a copy of it.
    """
    kept = cache.root / "failed-build.log"
    try:
        shutil.copyfile(log_file, kept)
    except OSError:
        return None
    return kept


def _take(output: BoundedLog, seen: BuildProgress, chunk: bytes) -> None:
    output.write(chunk)
    seen.write(chunk)


def _check_recompiled(series: Series, objects: Path, touched: float) -> None:
    for name in series.files:
        made = stale.object_of(name)
        when = None if made is None else harvest.modified(objects, made)
        # Filesystems keep times in ticks: a second of slack never hides the base's older object.
        if when is not None and when < touched - 1:
            raise InfraError(
                f"make did not rebuild {made} although the series touches {name}",
                hint="drop the cached builds: lab.py clean",
            )


def _keep(
    wanted: ResolvedKernel,
    site: _BuildDir,
    start_from: Path | None,
    began: float,
    *,
    with_objects: bool,
) -> None:
    """Move the products beside the build log; remove the build folder unless ``with_objects``."""
    folder, objects, architecture = site.folder, site.objects, site.architecture
    image = folder / architecture.image
    harvest.take(objects, architecture.image_path, image, limit=harvest.IMAGE_BYTES)
    config = harvest.text(objects, _DOT_CONFIG)
    (folder / "config").write_text(config, encoding="utf-8")
    (folder / "fragments.diff").write_text(
        fragments.difference(wanted.kconfig, config), encoding="utf-8"
    )
    facts = {
        "release": _release(objects),
        "tree": wanted.tree.origin,
        "series": wanted.series.name,
        "toolchain": wanted.toolchain,
        "sha256": file_sha256(image),
        "sealed": True,
        "seconds": round(time.monotonic() - began, 1),
        "kind": _kind(wanted, start_from),
        "objects": site.progress.done,
    }
    (folder / "build.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    if with_objects:
        sandbox.let_read(objects)  # now, for whoever compares it later
    else:
        # Frames and memory are read with it; a base has it in its build folder.
        if "CONFIG_DEBUG_INFO=y" in config.splitlines():
            harvest.take(objects, VMLINUX, folder / VMLINUX, limit=harvest.DEBUG_BYTES)
        remove(objects)


def _release(objects: Path) -> str:
    """Return the release of a built kernel, which the kernel's uname -r has to say."""
    release = harvest.text(objects, _RELEASE_FILE, limit=1000).strip()
    if not _RELEASE.fullmatch(release):
        raise BuildError(f"{_RELEASE_FILE} of the build is no kernel release: {release[:80]!r}")
    return release
