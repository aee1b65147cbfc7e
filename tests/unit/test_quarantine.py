# SPDX-License-Identifier: GPL-2.0
"""Quarantine and marks: what they take out of the answer, what not, and that all reports say so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rmaplab.compare import compare
from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError, ExitCode
from rmaplab.failures import fingerprint
from rmaplab.judge import judge
from rmaplab.model import (
    CellResult,
    Mark,
    Observation,
    Outcome,
    Quarantine,
    QuarantineEntry,
    Standing,
)
from rmaplab.report import checks, junit, kcidb, ktap, mail, summary
from rmaplab.report import html as html_report
from rmaplab.report.reported import ReportedRun

from .builders import cell, failed, guest, observation, passed, quarantined, reported, splat
from .builders import testcase as of_name
from .generated_runs import SHOWN, ended
from .test_cli import (
    FAIL,
    MAPCOUNT_ONLY,
    PASS,
    Command,
    Show,
    command,
    guests,
    lab_file,
    run_folder,
)

# Fixtures of test_cli.
__all__ = ["command", "guests", "lab_file"]

DAY = "2026-12-31"
OTHER = of_name("split/thp", id="T3")


def ab(
    base: Sequence[str] | str,
    patched: Sequence[str] | str,
    *entries: QuarantineEntry,
    day: str = DAY,
    marks: Sequence[Mark] = (),
) -> ReportedRun:
    """An A/B of one testcase, a letter's evidence a repeat, beside another that passes."""
    sides = []
    for name, shown in (("base", base), ("patched", patched)):
        every = [shown] if isinstance(shown, str) else list(shown)
        some = [ended(cell(kernel=name, repeat=n), how) for n, how in enumerate(every, 1)]
        sides.append([*some, ended(cell(kernel=name, testcase=OTHER), "pass")])
    return reported(
        [*sides[0], *sides[1]], compare("base", "patched", *sides),
        quarantine=Quarantine(entries, day), marks=marks,
    )  # fmt: skip


def standing(run: ReportedRun) -> Standing:
    return run.summary.items[0].standing


ENTRY = quarantined()


@pytest.mark.parametrize(
    ("base", "patched"),
    [("pass", "fail"), ("pass", ["fail", "pass"]), (["pass", "skip"], "pass"), ("pass", "skip"),
     ("pass", "leak")],
)  # fmt: skip
def test_a_row_in_quarantine_fails_no_run_and_is_no_pass(base: Any, patched: Any) -> None:
    assert ab(base, patched).summary.exit_code is ExitCode.REGRESSION
    run = ab(base, patched, ENTRY)
    assert run.summary.exit_code is ExitCode.OK
    assert standing(run) is Standing.QUARANTINED
    assert run.summary.headline.startswith("good, but for 1 in quarantine: ")


@pytest.mark.parametrize("patched", ["splat", "panic", "lost"])
def test_a_splat_a_panic_and_a_lost_cell_are_not_in_quarantine(patched: str) -> None:
    run = ab("pass", patched, ENTRY)
    assert run.summary.exit_code is not ExitCode.OK
    assert run.summary.answer != "good"
    assert standing(run).is_red


def test_a_timeout_is_in_quarantine_if_the_entry_says_so() -> None:
    late = observation(passed(), outcome=Outcome.TIMEOUT)
    where = [cell(), cell(kernel="patched")]
    sides = [[ended(where[0], "pass")], [replace(ended(where[1], "pass"), observation=late)]]
    sides[1] = [_judged(sides[1][0], late)]

    def run(*outcomes: Outcome) -> Standing:
        entry = quarantined(outcomes=outcomes)
        comparison = compare("base", "patched", *sides)
        held = Quarantine((entry,), DAY)
        return standing(reported([*sides[0], *sides[1]], comparison, quarantine=held))

    assert run(Outcome.COMPLETED) is Standing.BAD
    assert run(Outcome.COMPLETED, Outcome.TIMEOUT) is Standing.QUARANTINED


def _judged(result: CellResult, seen: Observation) -> CellResult:
    return CellResult(result.cell, seen, judge(result.cell, seen, ()))


def test_a_row_of_which_one_side_was_not_run_is_not_in_quarantine() -> None:
    before = [ended(cell(), "pass")]
    run = reported(before, compare("base", "patched", before, []), quarantine=_held(ENTRY))
    assert standing(run).is_red


def _held(*entries: QuarantineEntry) -> Quarantine:
    return Quarantine(entries, DAY)


def test_an_entry_that_ended_is_due_again_and_every_report_says_whose() -> None:
    run = ab("pass", "fail", ENTRY, day="2027-01-01")
    assert run.summary.exit_code is ExitCode.REGRESSION
    found = texts(run)
    del found["patchwork"]  # the answer alone
    for name, text in found.items():
        assert "due again" in text, name
        assert "me@example.org" in text.replace("\\", ""), name


def test_an_entry_that_holds_goes_before_one_that_ended() -> None:
    old = quarantined(until="2026-01-01", line=1)
    assert standing(ab("pass", "fail", old, ENTRY)) is Standing.QUARANTINED


def test_another_place_is_not_in_quarantine() -> None:
    for other in (quarantined("split/*"), quarantined(guest=("numa",)),
                  quarantined(settings=("mthp*",)), quarantined(device=("none",))):  # fmt: skip
        assert standing(ab("pass", "fail", other)) is Standing.BAD
    assert standing(ab("pass", "fail", quarantined("T1"))) is Standing.QUARANTINED


def test_a_place_that_passes_is_still_said_to_be_in_quarantine() -> None:
    run = ab("pass", "pass", ENTRY)
    assert standing(run) is Standing.PASSED
    assert "in quarantine: 1, 0 of them bad" in run.summary.headline
    assert run.summary.headline.startswith("good: ")
    for name, text in texts(run).items():
        assert "in quarantine" in text, name


def test_a_plain_run_and_its_repeats_are_in_quarantine() -> None:
    results = [ended(cell(repeat=n), how) for n, how in enumerate(("pass", "fail"), 1)]
    results.append(ended(cell(testcase=OTHER), "pass"))
    assert reported(results).summary.exit_code is ExitCode.REGRESSION
    run = reported(results, quarantine=_held(ENTRY))
    assert run.summary.exit_code is ExitCode.OK
    assert [item.standing for item in run.summary.items] == [
        Standing.PASSED, Standing.QUARANTINED, Standing.PASSED, Standing.QUARANTINED,
    ]  # fmt: skip


def test_a_run_of_what_is_in_quarantine_alone_tested_nothing() -> None:
    run = reported([ended(cell(), "fail")], quarantine=_held(ENTRY))
    assert run.summary.exit_code is ExitCode.INFRA
    assert "nothing was tested" in run.summary.headline


def texts(run: ReportedRun) -> dict[str, str]:
    return {
        "junit": junit.render(run),
        "summary.md": summary.render(run),
        "html": html_report.render(run),
        "mail": " ".join(mail.render(run, "me").split()),
        "ktap": "".join(ktap.render(run)),
        "kcidb": kcidb.render(run),
        "patchwork": checks.patchwork(run),
        "github": checks.github(run),
    }


def test_every_format_says_what_is_in_quarantine_and_none_is_red_or_green() -> None:
    run = ab("pass", "fail", ENTRY)
    found = texts(run)
    for name, text in found.items():
        assert "in quarantine" in text, name
    assert "<failure" not in found["junit"]
    assert (
        '<skipped type="skipped" message="quarantined: regressed, in quarantine until'
        in (found["junit"])
    )
    assert "\nok 1 exclusive/mapcount [q35 thp-never] # SKIP in quarantine" in found["ktap"]
    assert "not ok" not in found["ktap"]
    assert "Tested-by" not in found["mail"]
    assert json.loads(found["patchwork"])["state"] == "warning"
    assert json.loads(found["github"])["conclusion"] == "neutral"
    issues = json.loads(found["kcidb"])["issues"]
    assert [(one["culprit"], "in quarantine" in one["comment"]) for one in issues] == [
        ({"harness": True}, True)
    ]


# -- marks -----------------------------------------------------------------------------------------

MARK = Mark("", "the worker is not waited for", "me", "2026-11-30")


def test_a_marked_failure_is_still_red_and_every_format_says_why_it_is_none() -> None:
    name = fingerprint(ended(cell(), "fail"))
    run = ab("pass", "fail", marks=[replace(MARK, fingerprint=name)])
    assert run.summary.exit_code is ExitCode.REGRESSION
    for form, text in texts(run).items():
        if form not in {"patchwork", "github"}:  # the answer alone
            assert "marked invalid on 2026-11-30 by me: the worker is not waited for" in text, form
    (issue,) = json.loads(kcidb.render(run))["issues"]
    assert set(issue["culprit"].values()) == {False}
    assert "marked invalid" not in "".join(texts(ab("pass", "other", marks=run_marks(run))))


def run_marks(run: ReportedRun) -> list[Mark]:
    return [replace(MARK, fingerprint=one) for one in run.summary.items[0].failures]


def test_a_new_splat_that_was_marked_says_so() -> None:
    (known,) = SHOWN["splat"].splats
    run = ab("fail", "splat", marks=[replace(MARK, fingerprint=known.fingerprint)])
    said = [item.why for item in run.summary.red if item.kind == "splat"]
    assert said
    assert all("marked invalid" in why for why in said)


def test_a_failure_has_the_same_name_wherever_and_however_often_it_is_seen() -> None:
    def name(seen: Observation, **where: Any) -> str:
        return fingerprint(_judged(ended(cell(**where), "pass"), seen))

    one = name(observation(failed(detail="mapcount is 0")))
    assert one == name(observation(failed(detail="mapcount is 3"), passed("other")))
    assert one == name(observation(failed()), guest=guest("numa"), repeat=7, kernel="patched")
    others = {
        one,
        name(observation(failed("other"))),
        name(observation(failed()), testcase=OTHER),
        name(observation(failed(), splats=[splat()])),
        name(observation(failed(), outcome=Outcome.TIMEOUT)),
    }
    assert len(others) == 5
    assert name(observation(passed())) == ""
    assert name(observation(passed(), splats=[splat(fingerprint="0123456789ab")])) == "0123456789ab"


# -- the lab file ----------------------------------------------------------------------------------

GOOD = """quarantine:
  - testcase: exclusive/mapcount
    reason: it races with khugepaged
    owner: me@example.org
    until: {until}
"""


def lab_with(path: Path, text: str) -> Path:
    path.write_text(f"{MAPCOUNT_ONLY}\n{text}", encoding="utf-8")
    return path


def test_a_lab_file_has_entries(tmp_path: Path) -> None:
    lab = labfile.read(lab_with(tmp_path / "a.yaml", GOOD.format(until=DAY)), Catalogue())
    (entry,) = lab.quarantine
    assert (entry.testcase, entry.until, entry.outcomes) == (
        ("exclusive/mapcount",), DAY, (Outcome.COMPLETED,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("    owner: me@example.org\n", ""), "'owner' is missing"),
        (("    until: {until}\n", ""), "'until' is missing"),
        (("    reason: it races with khugepaged\n", ""), "'reason' is missing"),
        (("{until}", "soon"), "not a date like"),
        (("exclusive/mapcount", "exclusive/mapcuont"), "exclusive/mapcuont"),
        (("{until}\n", "{until}\n    outcome: panic\n"), "outcome"),
        (("{until}\n", "{until}\n    guest: q36\n"), "q36"),
    ],
)
def test_an_entry_without_owner_or_end_is_a_mistake(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    text = GOOD.replace(*change).replace("{until}", DAY)
    with pytest.raises(DiagnosticsError) as error:
        labfile.read(lab_with(tmp_path / "a.yaml", text), Catalogue())
    assert said in str(error.value)


def test_a_run_with_a_row_in_quarantine_exits_0_until_its_day(
    command: Command, guests: Show, tmp_path: Path, lab_file: Path
) -> None:
    guests(base=PASS, patched=FAIL)
    words = ("--series", "x", "--accel", "tcg", "--confirm", "0")
    lab_with(lab_file, GOOD.format(until="2999-12-31"))
    answer = command("ab", lab_file, *words)
    assert answer.code == 69  # there is nothing else in that lab
    assert "in quarantine" in answer.out
    folder = run_folder(tmp_path)
    found = json.loads((folder / "results.json").read_bytes())["summary"]
    assert [one["standing"] for one in found["quarantined"]] == ["quarantined"]
    lab_with(lab_file, GOOD.format(until="2026-01-01"))
    answer = command("ab", lab_file, *words, "--output", "later")
    assert answer.code == 1
    assert "due again" in " ".join(answer.err.split())
    assert command("plan", lab_file).code == 2
    # A saved run is judged by the day on which it began.
    assert command("report", folder).code == 69


def test_a_mark_is_in_the_next_run_and_when_a_run_is_reported_again(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=FAIL)
    first = command("run", lab_file, "--accel", "tcg")
    name = first.out.partition("failure ")[2][:16]
    assert command("history", "invalid", name, "--reason", "no bug").code == 0
    folder = run_folder(tmp_path)
    again = command("report", folder)
    assert (again.code, "no bug" in again.out) == (1, True)
    assert "no bug" in (folder / "junit.xml").read_text(encoding="utf-8")
    assert "no bug" in command("run", lab_file, "--accel", "tcg", "--output", "next").out
    # Elsewhere the folder alone says it, byte for byte.
    before = (folder / "junit.xml").read_bytes()
    (tmp_path / "cache/history/verdicts.sqlite").unlink()
    assert "no bug" in command("report", folder).out
    assert (folder / "junit.xml").read_bytes() == before
