# SPDX-License-Identifier: GPL-2.0
"""Options that several verbs share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from rmaplab.config import paths
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model import Lab, LabOptions
from rmaplab.pipeline import bases, labs
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.run import RunRequest
from rmaplab.report.formats import FORMATS
from rmaplab.selection import SAMPLES
from rmaplab.source import online
from rmaplab.source.mailaccept import version_of

lab_argument = click.argument("lab", type=click.Path(path_type=Path))
run_argument = click.argument("run", type=click.Path(path_type=Path))
format_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Text for people, JSON for programs.",
)  # fmt: skip
report_format_option = click.option(
    "--format", "form", type=click.Choice(["text", *FORMATS]), default="text", show_default=True,
    help="Text for a terminal; json (results.json), mail (a reply to the series), ktap, kcidb, and "
    "the bodies of a patchwork or github check for other programs.",
)  # fmt: skip
tree_option = click.option(
    "--tree", default="", metavar="TREE",
    help="Use this kernel source for every kernel of the lab: debian:PACKAGE, git:REPO#REF, "
    "dir:PATH, deb:PATH or tar:PLACE#sha256=HEX.",
)  # fmt: skip
filter_option = click.option(
    "--filter", "expression", default="", metavar="EXPR",
    help="Only these cells, e.g. 'testcase=migrate/*,guest=q35' (kernel, guest, settings, device, "
    "testcase; alternatives with |).",
)  # fmt: skip
sample_option = click.option(
    "--sample", type=click.Choice(SAMPLES), callback=lambda _context, _option, kind: kind or "",
    help="A quick look: few of the cells, in which each pair of guest, settings, device, testcase "
    "and kernel still occurs.",
)  # fmt: skip
repeat_option = click.option(
    "--repeat", type=click.IntRange(1, 10000), help="Repeats of each cell, whatever the lab says."
)
ledger_option = click.option(
    "--no-ledger", is_flag=True, help="Do not check that what was taken was given back."
)
coverage_option = click.option(
    "--coverage/--no-coverage", default=None,
    help="Record which code of the kernel each cell runs (docs/coverage.md). Default: as the lab "
    "says; in an A/B of the first repeat. Needs TCG.",
)  # fmt: skip
touched_option = click.option(
    "--touched", is_flag=True,
    help="Only the testcases that reach what the series touches, by what earlier runs recorded of "
    "the base, and the controls (docs/coverage.md).",
)  # fmt: skip
exact_option = click.option(
    "--exact", is_flag=True,
    help="Count guest instructions (QEMU's -icount) instead of seconds. "
    "Needs guests with one vCPU; runs on TCG.",
)  # fmt: skip
testcase_option = click.option(
    "--testcase", "testcases", multiple=True, metavar="NAME",
    help="Run this testcase, or those of a pattern, in the place of the lab's; one that the lab's "
    "settings mean nothing to has its own first ones. May be repeated.",
)  # fmt: skip
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N",
    help="Guests, or compilers, at once. Default: by cores and memory.",
)  # fmt: skip


accel_option = click.option(
    "--accel", type=click.Choice(["auto", "kvm", "tcg"]), default="auto",
    show_default=True, help="auto takes KVM where a probe saw it run a guest.",
)  # fmt: skip


def _set_verbosity(_context: click.Context, _option: click.Parameter, count: int) -> None:
    log.verbose = max(log.verbose, count)


def _set_color(_context: click.Context, _option: click.Parameter, color: str | None) -> None:
    if color:
        log.configure(color=color, verbose=log.verbose)


def _set_shares(
    _context: click.Context, _option: click.Parameter, folders: tuple[Path, ...]
) -> None:
    if folders:
        paths.name_shares(folders)


def common_options() -> list[click.Option]:
    """Make ``-v``, ``--color`` and ``--share``, which work before and after the verb."""
    return [
        click.Option(
            ["--share"], multiple=True, metavar="DIR", expose_value=False, callback=_set_shares,
            type=click.Path(path_type=Path, file_okay=False),
            help="Look for testcases, guests, Kconfig fragments and lab files in this folder, too; "
            f"${paths.VARIABLE} has such folders, separated by colons.",
        ),
        click.Option(
            ["-v", "--verbose"], count=True, expose_value=False, callback=_set_verbosity,
            help="Say more.",
        ),
        click.Option(
            ["--color"], type=click.Choice(["auto", "always", "never"]), expose_value=False,
            callback=_set_color, help="Colour and live view; auto by default.",
        ),
    ]  # fmt: skip


_SERIES_FORMS = (
    "a folder of patches, an mbox, - for standard input, git:REPO#A..B, a Message-ID, or the "
    "address of a thread, a Patchwork's series or an mbox. May be repeated: each is on top of "
    "those before."
)
series_option = click.option(
    "--series", multiple=True, metavar="SERIES",
    help=f"Put this series on the lab's first kernel, which alone is run: {_SERIES_FORMS}",
)  # fmt: skip
archive_option = click.option(
    "--archive", default="", metavar="URL",
    help=f"The public-inbox that has the Message-IDs of --series; by default ${online.VARIABLE}, "
    f"else {online.ARCHIVE}.",
)  # fmt: skip
base_option = click.option(
    "--base", "on", default="", metavar="WHERE",
    help="Find the tree that the series is for, and say why: auto tries the trees of the lab's "
    "kernels; git:REPO, or git:REPO#PATTERN, its base-commit and a repository's tags.",
)  # fmt: skip
accept_option = click.option(
    "--accept", multiple=True, metavar="WHAT",
    help="Accept of a mailed series what the lab would not take by itself: the mails of a sender's "
    "ADDRESS, an older version (v2), a part (4/7, 1-3,5/7). May be repeated.",
)  # fmt: skip
_onto_option = click.option(
    "--onto", default="", metavar="SERIES", help="A series that --series is on top of."
)
_name_option = click.option(
    "--name", default="", metavar="NAME",
    help="Run the lab's first kernel alone, under this name. Default with --series: patched.",
)  # fmt: skip
_ab_series_option = click.option(
    "--series", multiple=True, metavar="SERIES",
    help=f"Compare with this series on top: {_SERIES_FORMS}",
)  # fmt: skip
_versus_option = click.option(
    "--vs", "versus", nargs=2, default=None, metavar="OLD NEW",
    help="Compare two revisions: versions of --series (v1 v2), or two series. NEW decides; both "
    "are held against base.",
)  # fmt: skip
_ci_series_option = click.option(
    "--series", multiple=True, metavar="SERIES",
    help="Compare this series instead of the platform's change; --tree is what it is on.",
)  # fmt: skip
_output_option = click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"),
    show_default=True, help="Where the run's folder goes.",
)  # fmt: skip
_job_output_option = click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("rmaplab-report"),
    show_default=True, metavar="DIR", help="The run's folder itself: the job's artefacts.",
)  # fmt: skip
_confirm_option = click.option(
    "--confirm", type=click.IntRange(0, 100), default=2, show_default=True, metavar="N",
    help="Run a row that is worse on patched N times more, base and patched by turns, before it is "
    "called regressed; 0 for never.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run: those of its lab, and those of how it is carried out."""

    lab: Path
    options: LabOptions
    accel: str
    output: Path
    jobs: int
    expression: str
    sample: str
    form: str
    confirm: int = 0
    base: str = ""
    notes: tuple[str, ...] = ()
    touched: bool = False

    def settled(self, builder: KernelBuilder) -> RunOptions:
        """Return the options with the tree that ``--base`` finds.

        Raises UserError for a word that is none, PatchError if the series applies nowhere.
        """
        if not self.base:
            return self
        if self.options.tree:
            raise UserError("--base finds a tree and --tree names one: leave one of them out")
        series = (self.options.series, *self.options.stacked) if self.options.series else ()
        lab = labs.read(self.lab, builder.catalogue)
        found = bases.choose(self.base, lab, series, self.options.accept, builder)
        for line in found.said:
            log.info(line)
        options = replace(self.options, tree=found.tree)
        return replace(self, options=options, base="", notes=found.said)

    def read(self, catalogue: Catalogue) -> Lab:
        """Return the lab that is asked for. Raises UserError as labs.read() does."""
        return labs.read(self.lab, catalogue, self.options)

    def request(self, lab: Lab, command: tuple[str, ...]) -> RunRequest:
        """Return what the pipeline is asked for; ``command`` runs the lab again."""
        return RunRequest(
            lab=lab,
            command=command,
            output=self.output,
            filter=self.expression,
            sample=self.sample,
            accelerator=self.accel,
            jobs=self.jobs,
            comparison=(labs.BASE, labs.PATCHED) if self.options.compared else None,
            options=self.options,
            confirm=self.confirm,
            notes=self.notes,
            touched=self.touched,
            previous=labs.PREVIOUS if self.options.versus else "",
        )


def _collected(
    function: Callable[..., int], *, compared: bool, own: tuple[str, ...] = ()
) -> Callable[..., int]:
    """Return a verb that gets its options as one RunOptions, but for those that are its ``own``."""

    @functools.wraps(function)
    def verb(
        *, lab: Path, accel: str, output: Path, jobs: int, expression: str, sample: str,
        postmortem: int | None, repeat: int | None, series: tuple[str, ...], archive: str,
        form: str = "text", confirm: int = 0, on: str = "", touched: bool = False,
        versus: tuple[str, ...] | None = None, **of_lab: Any,
    ) -> int:  # fmt: skip
        others = {name: of_lab.pop(name) for name in own}
        revisions = _revisions(versus or (), archive, series)
        first, stacked = named_series(series or revisions[1:], archive)
        options = LabOptions(
            compared=compared, memories=postmortem, repeat=repeat or 0, series=first,
            stacked=stacked, versus=revisions, **of_lab,
        )  # fmt: skip
        asked = RunOptions(
            lab, options, accel, output, jobs, expression, sample, form, confirm, on,
            touched=touched,
        )  # fmt: skip
        return function(asked, **others)

    return verb


def _revisions(words: tuple[str, ...], archive: str, series: tuple[str, ...]) -> tuple[str, ...]:
    """Return the revisions that ``--vs`` names. Raises UserError if that names none."""
    if words and not series and any(map(version_of, words)):
        raise UserError(f"--vs {' '.join(words)}: of which series? name it with --series")
    if "-" in words:
        raise UserError("--vs: a series on standard input is --series -")
    return tuple(online.qualified(word, archive) for word in words)


def named_series(words: tuple[str, ...], archive: str) -> tuple[str, tuple[str, ...]]:
    """Return the lowest series that is named, and those on top of it.

    Raises UserError for standard input that is named twice, and for an archive that is none.
    """
    if words.count("-") > 1:
        raise UserError("--series -: standard input can be read once")
    named = [online.qualified(word, archive) for word in words]
    if len(named) > 1 and not all(named):
        raise UserError("--series names no series")
    return (named[0] if named else ""), tuple(named[1:])


def run_options(function: Callable[[RunOptions], int]) -> Callable[..., int]:
    """Give a verb that runs cells its options, as one RunOptions."""
    verb = _collected(function, compared=False)
    return _with(
        verb,
        *_RUN_OPTIONS,
        _output_option,
        report_format_option,
        _name_option,
        _onto_option,
        accept_option,
        archive_option,
        base_option,
        series_option,
    )


def ab_options(function: Callable[[RunOptions], int]) -> Callable[..., int]:
    """Give a verb that compares two kernels its options, as one RunOptions."""
    return _with(
        _collected(function, compared=True),
        *_RUN_OPTIONS,
        _output_option,
        report_format_option,
        _confirm_option,
        _versus_option,
        accept_option,
        archive_option,
        base_option,
        _ab_series_option,
    )


def patchcheck_options(function: Callable[[RunOptions], int]) -> Callable[..., int]:
    """Give the verb that checks a series patch by patch its options, as one RunOptions."""
    return _with(
        _collected(function, compared=True),
        *_RUN_OPTIONS,
        _output_option,
        report_format_option,
        accept_option,
        archive_option,
        base_option,
        _ab_series_option,
    )


def ci_options(*own: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return what gives the verb of a CI job its options: one RunOptions, and its ``own``."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        return _with(
            _collected(function, compared=True, own=own),
            *_RUN_OPTIONS,
            _job_output_option,
            _confirm_option,
            accept_option,
            archive_option,
            _ci_series_option,
        )

    return decorate


def _with(verb: Callable[..., int], *options: Callable[[Any], Any]) -> Callable[..., int]:
    for option in options:
        verb = option(verb)
    return verb


_RUN_OPTIONS = (
    accel_option,
    click.option("--no-audit", is_flag=True, help="Do not recount the reverse map from outside."),
    ledger_option,
    click.option(
        "--postmortem", type=click.IntRange(0, 1000), metavar="N",
        help="Keep the memory of the first N guests that complain, hang or die, whatever the "
        "lab says; 0 for none.",
    ),
    click.option(
        "--config", multiple=True, metavar="FRAGMENT",
        help="One more Kconfig fragment for every kernel, such as debuginfo; may be repeated.",
    ),
    testcase_option, repeat_option, exact_option, coverage_option, jobs_option, filter_option,
    sample_option, touched_option, tree_option, lab_argument,
)  # fmt: skip
