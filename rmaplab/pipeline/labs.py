# SPDX-License-Identifier: GPL-2.0
"""A lab file with what the command line changes about it."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import replace
from pathlib import Path

from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.model import (
    HOST,
    CoveragePolicy,
    CoverageScope,
    FindingKind,
    Kernel,
    Lab,
    LabOptions,
    Testcase,
    TestcaseKind,
    matches,
)
from rmaplab.plan import on_kernels, plan
from rmaplab.source.mailaccept import version_of
from rmaplab.text import near_miss

BASE, PATCHED, PREVIOUS = "base", "patched", "previous"
"""The kernels of an A/B; the last one has an older revision of the series."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_AS_THE_FILE_SAYS = LabOptions()


def read(path: Path, catalogue: Catalogue, options: LabOptions = _AS_THE_FILE_SAYS) -> Lab:
    """Read a lab file and apply the options to it.

    A path that is not there is tried among the project's own files, so that ``configs/rmap.yaml``
    works wherever the command is installed. Raises UserError for a file that cannot be read, for
    an unknown Kconfig fragment and for a kernel's name that is none.
    """
    own = None if path.exists() else catalogue.file(path)
    lab = labfile.read(own or path, catalogue)
    if options.testcases:
        lab = _on_testcases(lab, options.testcases, catalogue)
    lab = _with_config(lab, options, catalogue)
    if options.tree:
        lab = on_tree(lab, options.tree)
    if options.exact:
        lab = exact(lab)
    if options.repeat:
        lab = replace(lab, repeat=options.repeat, repeats={})
    if options.memories is not None:
        policy = replace(lab.postmortem, run=options.memories, asked=True)
        lab = replace(lab, postmortem=policy)
    lab = _without_checks(lab, options)
    lab = replace(lab, coverage=_coverage(lab.coverage, options))
    if options.compared:
        compared = ab_lab(lab, options.series, options.accept, options.stacked)
        return _with_revisions(compared, options) if options.versus else compared
    return _on_one_kernel(lab, options)


def ab_lab(
    lab: Lab, series: str, accept: tuple[str, ...] = (), stacked: tuple[str, ...] = ()
) -> Lab:
    """Return the lab on its first kernel, as ``base``, and on that with a series, ``patched``.

    ``stacked`` are more series on top of it.
    """
    base = replace(lab.kernels[0], name=BASE)
    if base.onto:
        raise UserError(f"{lab.path}: its first kernel has two series already: no third fits on it")
    patched = replace(
        base, name=PATCHED, series=series, onto=base.series, accept=accept, stacked=stacked
    )
    return on_kernels(lab, (base, patched))


def _with_revisions(lab: Lab, options: LabOptions) -> Lab:
    """Return an A/B of a series with an older revision of it beside, as ``previous``."""
    base, patched = lab.kernels
    older, newer = (_revision(patched, word, options) for word in options.versus)
    if older == newer:
        raise UserError(f"--vs: {' and '.join(options.versus)} are one series")
    return on_kernels(
        replace(lab, kernels=lab.kernels[:1]), (base, newer, replace(older, name=PREVIOUS))
    )


def _revision(kernel: Kernel, word: str, options: LabOptions) -> Kernel:
    """Return a kernel with the revision that a word of ``--vs`` names."""
    if version_of(word) is None:
        return replace(kernel, series=word)
    return replace(kernel, series=options.series, accept=(*options.accept, word))


def on_tree(lab: Lab, tree: str) -> Lab:
    """Return the lab with all its kernels on another tree."""
    return replace(lab, kernels=tuple(replace(kernel, tree=tree) for kernel in lab.kernels))


def exact(lab: Lab) -> Lab:
    """Return the lab with all its guests in exact mode."""
    return replace(lab, guests=tuple(replace(guest, icount=True) for guest in lab.guests))


def command(
    lab: Lab, kernel: Kernel, accelerator: str, config: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the command that runs a lab file's cells on one kernel alone.

    The kernel is the lab file's first one but for its name, its series and the fragments
    ``config``.
    """
    words = ["./lab.py", "run", str(lab.path), "--tree", kernel.tree, "--name", kernel.name]
    words += [word for one in kernel.all_series for word in ("--series", one)]
    words += [word for one in kernel.accept for word in ("--accept", one)]
    words += ["--onto", kernel.onto] if kernel.onto else []
    words += [word for fragment in config for word in ("--config", fragment)]
    words += [] if lab.audit else ["--no-audit"]
    words += [] if lab.ledger else ["--no-ledger"]
    words += ["--accel", accelerator] if accelerator != "auto" else []
    return tuple(words)


def _on_testcases(lab: Lab, patterns: tuple[str, ...], catalogue: Catalogue) -> Lab:
    """Return the lab with these testcases in the place of its own.

    A testcase for which none of the lab's settings makes sense has its own first one; a host test
    has the guest that is none. Raises UserError for a pattern that names no testcase.
    """
    chosen: dict[str, Testcase] = {}
    for pattern in patterns:
        found = {
            name: one
            for name, one in catalogue.testcases.items()
            if pattern in {name, one.id}
            or (fnmatch.fnmatchcase(name, pattern) and one.kind is not TestcaseKind.SELFTEST)
        }
        if not found:
            known = near_miss(pattern, catalogue.testcases)
            raise UserError(
                f"--testcase: there is no testcase {pattern!r}{known}",
                hint="see what there is with: list testcases",
            )
        chosen |= found
    testcases = tuple(chosen.values())
    settings = {one.name: one for one in lab.settings}
    for one in testcases:
        if not settings.keys() & set(one.settings):
            settings[one.settings[0]] = catalogue.settings[one.settings[0]]
    guests = lab.guests
    if any(one.host is not None for one in testcases) and HOST not in guests:
        guests = (*guests, HOST)
    changed = replace(
        lab,
        testcases=testcases,
        settings=tuple(settings.values()),
        guests=guests,
        exclusions=(),
        inclusions=(),
        expectations=tuple(
            known
            for known in lab.expectations
            if any(matches(name, (known.testcase,)) for name in chosen)
        ),
    )
    if not plan(changed).rows:
        raise UserError(f"--testcase: no guest of {lab.path} runs {', '.join(patterns)}")
    return changed


def _with_config(lab: Lab, options: LabOptions, catalogue: Catalogue) -> Lab:
    """Return the lab with the fragments of the options added to each of its kernels."""
    for name in options.config:
        if name not in catalogue.fragments:
            known = near_miss(name, catalogue.fragments)
            raise UserError(f"--config: unknown Kconfig fragment {name!r}{known}")
    return replace(
        lab,
        kernels=tuple(
            replace(k, fragments=tuple(dict.fromkeys((*k.fragments, *options.config))))
            for k in lab.kernels
        ),
    )


def _on_one_kernel(lab: Lab, options: LabOptions) -> Lab:
    """Return the lab on its first kernel alone if the options give that a series or a name."""
    if options.onto and not options.series:
        raise UserError("--onto is what --series is on top of: name that, too")
    if options.accept and not options.series:
        raise UserError("--accept speaks of --series: name that, too")
    if not (options.series or options.name):
        return lab
    first = lab.kernels[0]
    name = options.name or PATCHED
    if not _NAME.fullmatch(name):
        raise UserError(f"--name: {name!r} can be no kernel's name")
    kernel = replace(first, name=name)
    if options.series:
        kernel = replace(
            kernel,
            series=options.series,
            onto=options.onto,
            accept=options.accept,
            stacked=options.stacked,
        )
    return on_kernels(lab, (kernel,))


def _without_checks(lab: Lab, options: LabOptions) -> Lab:
    """Return the lab without the checks that the options turn off, as exact mode does."""
    audit = lab.audit and not (options.no_audit or options.exact)
    ledger = lab.ledger and not (options.no_ledger or options.exact)
    lab = replace(lab, audit=audit, ledger=ledger)
    if lab.audit:
        return lab
    # Nothing is expected then that only the audit finds.
    known = (e for e in lab.expectations if not e.subtests or not all(map(_is_audits, e.subtests)))
    return replace(lab, expectations=tuple(known))


def _coverage(policy: CoveragePolicy, options: LabOptions) -> CoveragePolicy:
    """Return of which cells it is recorded what they run: in an A/B of one repeat, unless said."""
    if options.coverage is not None:
        scope = CoverageScope.ALL if options.coverage else CoverageScope.NONE
        return CoveragePolicy(scope, asked=True)
    if options.compared and not policy.asked:
        return CoveragePolicy(CoverageScope.FIRST)
    return policy


def _is_audits(pattern: str) -> bool:
    return pattern.startswith(f"{FindingKind.AUDIT.prefix} ")
