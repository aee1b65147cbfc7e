# SPDX-License-Identifier: GPL-2.0
"""The verb about earlier runs: what they showed, and which failures are no bugs of the kernel's."""

from __future__ import annotations

import datetime
import getpass
import json
import re
from collections.abc import Sequence
from pathlib import Path

import click

from rmaplab.cli.options import common_options, format_option
from rmaplab.errors import ExitCode, InfraError, UserError
from rmaplab.log import log
from rmaplab.model import Mark
from rmaplab.pipeline.evaluate import evaluate
from rmaplab.pipeline.past import Question, ask
from rmaplab.pipeline.remember import remember
from rmaplab.report import history as history_report
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder
from rmaplab.store.verdicts import VerdictStore

_FINGERPRINT = re.compile(r"[0-9a-f]{12}|[0-9a-f]{16}")


class _History(click.Group):
    """A group whose first command is meant where none is named: ``history TESTCASE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, "-h", "--help"}:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_History)
def history() -> None:
    """Show how testcases went in earlier runs: `history [TESTCASE]`; see `history show --help`.

    Each run adds itself when it ends. The history is in the cache; clean keeps it.
    """


@history.command()
@click.argument("testcase", required=False, default="")
@click.option(
    "--kernel", default="", metavar="PATTERN",
    help="Kernels by version, identity, tree or series; '*' for all. Default: those of the last "
    "run.",
)  # fmt: skip
@click.option("--guest", default="", metavar="PATTERN", help="Only these guests.")
@click.option("--settings", default="", metavar="PATTERN", help="Only these settings.")
@click.option(
    "--across", is_flag=True,
    help="Follow kernels without patches over their versions, by how they were asked for.",
)  # fmt: skip
@click.option("--places", is_flag=True, help="A line for each guest and settings.")
@format_option
def show(
    *, testcase: str, kernel: str, guest: str, settings: str, across: bool, places: bool, form: str
) -> None:
    """Show pass rate, flips, cost and first failure of testcases that match TESTCASE.

    A flip is a run whose repeats differ, or that differs from the run before on the same workload.
    """
    question = Question(testcase, kernel, guest, settings, across, every_place=places)
    past = ask(question, Cache())
    if form == "json":
        log.json(json.dumps(history_report.facts(past), indent=1) + "\n")
    else:
        history_report.show(past, places=places)


@history.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
def add(runs: Sequence[Path]) -> None:
    """Add saved runs to the history, or put them in the place of what it has of them."""
    for path in runs:
        evaluation = evaluate(RunFolder.open(path))
        if why := remember(evaluation, Cache()):
            raise InfraError(f"{path} was not added to the history: {why}")
        log.say(f"{path}: {len(evaluation.results)} cells are in the history")


@history.command()
@click.argument("failure", metavar="FINGERPRINT")
@click.option("--reason", required=True, help="Why it is no bug of the kernel's.")
@click.option("--owner", default="", metavar="WHO", help="Who says so. Default: the user's name.")
def invalid(failure: str, reason: str, owner: str) -> None:
    """Mark a failure as no bug of the kernel's; every report that has it says so from now on.

    A mark changes no verdict: a lab's quarantine keeps a row from failing a run.
    """
    fingerprint = _fingerprint(failure)
    if not reason.strip():
        raise UserError("--reason is empty: say why it is no bug of the kernel's")
    store = VerdictStore(Cache())
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    mark = Mark(fingerprint, " ".join(reason.split()), owner or _user(), today)
    if why := store.mark(mark):
        raise InfraError(f"the mark was not kept: {why}")
    log.say(f"{fingerprint}: {mark.phrase}")
    if not store.knows(fingerprint):
        log.warn("no run of the history has that failure yet")


@history.command()
@click.argument("failure", metavar="FINGERPRINT")
def valid(failure: str) -> int:
    """Take the mark of a failure back."""
    fingerprint = _fingerprint(failure)
    if not VerdictStore(Cache()).unmark(fingerprint):
        raise UserError(f"{fingerprint} is not marked: lab.py history marks lists those that are")
    log.say(f"{fingerprint}: not marked any more")
    return ExitCode.OK


@history.command()
@format_option
def marks(form: str) -> None:
    """List the failures that are marked invalid."""
    found = VerdictStore(Cache()).marks()
    if form == "json":
        facts = [{"fingerprint": m.fingerprint, "reason": m.reason, "owner": m.owner, "at": m.at}
                 for m in found]  # fmt: skip
        log.json(json.dumps({"marks": facts}, indent=1) + "\n")
    else:
        history_report.show_marks(found)


def _fingerprint(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise UserError(
            f"{text!r} is no fingerprint: it has 12 or 16 hex digits",
            hint="reports say it of what is red: failure 0123456789abcdef",
        )
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user on this host, as in a container
        return ""


for verb in (show, add, invalid, valid, marks):
    verb.params += common_options()

VERBS = (history,)
