# SPDX-License-Identifier: GPL-2.0
"""Seeded bugs: their headers, what counts as caught, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rmaplab.compare import Side, news
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError, ExitCode, UserError
from rmaplab.judge import judge
from rmaplab.model import CellResult, Expectation, FindingKind, Outcome, Patch, Verdict
from rmaplab.mutants import (
    Detection,
    Evidence,
    Mutant,
    MutantBase,
    MutantReport,
    MutantResult,
    MutantVerdict,
    candidates,
    detect,
    evidence,
    examine,
    grouped,
    unclean,
    verdict,
)
from rmaplab.report import mutants as report
from rmaplab.source import mutant as source

from .builders import (
    cell,
    expectation,
    failed,
    finding,
    judgement,
    observation,
    passed,
    result,
    splat,
)
from .builders import (
    testcase as make_testcase,
)

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = ("exclusive/mapcount", "thp-never", "q35", "")


def of_mutant(**seen: object) -> CellResult:
    shown = observation(**seen) if seen else observation(passed())  # type: ignore[arg-type]
    return result(shown, cell=cell(kernel="mutant"))


def shows(*subtests: object, **facts: object) -> CellResult:
    return result(observation(*subtests, **facts), cell=cell(kernel="mutant"))  # type: ignore[arg-type]


def mutant(
    name: str = "demo", *, equivalent: str = "", testcases: Sequence[str] = (KEY[0],)
) -> Mutant:
    patch = Patch(name, "mm: break it", "", b"", "d1", ("mm/rmap.c",))
    return Mutant(name, Path("/x") / name, patch, MutantBase.BASE, tuple(testcases), equivalent)


# -- the patches ---------------------------------------------------------------------------------


def test_the_mutants_of_the_project_are_described() -> None:
    known = source.read(ROOT / source.FOLDER, Catalogue().testcases.keys())
    assert len({one.name for one in known}) >= 24
    assert {one.base for one in known} == set(MutantBase)
    assert all(one.patch.subject.startswith(("mm", "kernel/events")) for one in known)


def test_the_mutants_of_the_project_have_variants_for_each_tree() -> None:
    known = source.read(ROOT / source.FOLDER, Catalogue().testcases.keys())
    assert len({one.title for one in known}) == len(known)
    for version, least in (("6.12.117", 51), ("7.3.4", 47)):
        due = [(one.name, one.base) for one in known if one.is_due_on(version)]
        assert len(due) == len(set(due)) >= least
    # The bundled series is upstream since 6.15: nothing is on top of it there.
    assert {one.base for one in known if one.is_due_on("7.3.4")} == {MutantBase.BASE}


HEADERS = """\
From: A Tester <t@example.org>
Subject: [PATCH] mm/rmap: break it

What breaks.

{headers}
Signed-off-by: A Tester <t@example.org>
---
 mm/rmap.c | 1 +

diff --git a/mm/rmap.c b/mm/rmap.c
--- a/mm/rmap.c
+++ b/mm/rmap.c
@@ -1 +1,2 @@
 a
+b
--
2.39
"""


def write(folder: Path, headers: str, name: str = "demo") -> Path:
    (folder / f"{name}.patch").write_text(HEADERS.format(headers=headers), encoding="utf-8")
    return folder


def test_a_mutant_of_both_bases_is_two(tmp_path: Path) -> None:
    write(tmp_path, "Base: both\nTestcases: a/b\n  c/d\nEquivalent: nobody\n reads it")
    base, patched = source.read(tmp_path, {"a/b", "c/d"})
    assert (base.base, patched.base) == (MutantBase.BASE, MutantBase.PATCHED)
    assert base.testcases == ("a/b", "c/d")
    assert base.equivalent == "nobody reads it"
    assert patched.title == "demo (patched)"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ("Testcases: a/b", "the header Base is missing"),
        ("Base: base", "the header Testcases is missing"),
        ("Base: series\nTestcases: a/b", "demo.patch:6: Base: 'series' is none of base, patched"),
        ("Base: base\nTestcases: a/c", "demo.patch:7: unknown testcase 'a/c'"),
        ("Base: base\nBase: both\nTestcases: a/b", "demo.patch:7: Base is here twice"),
        ("Base: base\nTestcases: a/b\nEquivalent:", "Equivalent says nothing"),
        ("Base: base\nTree: 7.3\nTestcases: a/b", "demo.patch:7: Tree: not a range of kernels"),
    ],
)
def test_a_wrong_header_is_a_mistake_with_its_line(tmp_path: Path, headers: str, said: str) -> None:
    with pytest.raises(DiagnosticsError) as caught:
        source.read(write(tmp_path, headers), {"a/b"})
    assert said in str(caught.value)


def test_variants_of_a_mutant_have_its_name_and_their_kernels(tmp_path: Path) -> None:
    write(tmp_path, "Base: both\nTree: <7.2\nTestcases: a/b")
    write(tmp_path, "Base: base\nTree: >=7.2\nTestcases: a/b", "demo.7")
    known = source.read(tmp_path, {"a/b"})
    assert {one.name for one in known} == {"demo"}
    assert [one.title for one in known if one.is_due_on("7.3.4")] == ["demo (>=7.2)"]
    assert [one.title for one in known if one.is_due_on("6.12.117")] == [
        "demo (<7.2)",
        "demo (patched, <7.2)",
    ]


@pytest.mark.parametrize("tree", ["<7.3", ">=6.12,<6.13", ""])
def test_two_variants_for_one_kernel_are_a_mistake(tmp_path: Path, tree: str) -> None:
    write(tmp_path, "Base: base\nTree: <7.2\nTestcases: a/b")
    header = f"Tree: {tree}\n" if tree else ""
    write(tmp_path, f"Base: base\n{header}Testcases: a/b", "demo.x")
    with pytest.raises(DiagnosticsError, match="for some of these kernels"):
        source.read(tmp_path, {"a/b"})


def test_a_folder_without_patches_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \*\.patch file"):
        source.read(tmp_path, set())


def test_a_pattern_that_matches_no_mutant_is_a_mistake() -> None:
    known = [mutant("unmap-rss"), mutant("zap-rss")]
    assert [one.name for one in source.select(known, ["zap-*"])] == ["zap-rss"]
    assert source.select(known, []) == tuple(known)
    with pytest.raises(UserError, match="no mutant matches"):
        source.select(known, ["nothing"])


# -- detections -----------------------------------------------------------------------------------

GOOD = result(observation(passed()))
BAD = shows(failed())


def test_a_mutant_that_changes_nothing_is_missed() -> None:
    seen = examine([KEY[0]], {KEY: [GOOD]}, {KEY: [shows(passed())]})
    assert seen.rows == 1
    assert verdict(mutant(), seen) == (MutantVerdict.MISSED, "")


def test_a_row_that_detects_a_mutant_once_counts_when_it_does_so_again() -> None:
    seen = examine([KEY[0]], {KEY: [GOOD]}, {KEY: [BAD]})
    assert verdict(mutant(), seen) == (
        MutantVerdict.MISSED,
        "failed once and never again: exclusive/mapcount",
    )
    for again, expected in (((0, 2), MutantVerdict.MISSED), ((1, 2), MutantVerdict.CAUGHT)):
        (one,) = seen.detections
        found = Detection(*one.key, one.evidence, one.reason, again)
        assert verdict(mutant(), MutantReport((found,), 1))[0] is expected


def test_a_base_that_is_not_clean_is_no_evidence() -> None:
    for base in (
        [result(observation(failed()))],
        [],
        [result(observation(skip="no node"))],
        [result(judged=judgement(Verdict.ERROR, "lost"))],
    ):
        seen = examine([KEY[0]], {KEY: base}, {KEY: [BAD]})
        assert not seen.detections
        assert verdict(mutant(), seen)[0] is MutantVerdict.ERROR


def test_a_known_failure_of_base_is_clean_and_detects_nothing() -> None:
    known: Expectation = expectation(subtests=("the mapcount stays",))
    shown = observation(failed())
    base = result(shown, judged=judge(cell(), shown, (known,)))
    assert detect(KEY, [base], [BAD]) is None
    dies = shows(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo")])
    found = detect(KEY, [base], [dies])
    assert found is not None
    assert found.evidence == (Evidence.SPLAT, Evidence.CRASH)


def test_a_mutant_without_a_verdict_is_not_missed() -> None:
    lost = result(judged=judgement(Verdict.ERROR, "lost"), cell=cell(kernel="mutant"))
    skips = shows(skip="inconclusive: nothing was reclaimed")
    for seen in (lost, skips):
        found = examine([KEY[0]], {KEY: [GOOD]}, {KEY: [seen]})
        assert verdict(mutant(), found)[0] is MutantVerdict.ERROR


def test_a_doubt_about_another_testcase_makes_no_error() -> None:
    other = ("control/rss", *KEY[1:])
    seen = examine([KEY[0]], {KEY: [GOOD], other: []}, {KEY: [shows(passed())], other: [BAD]})
    assert verdict(mutant(), seen)[0] is MutantVerdict.MISSED
    assert len(seen.doubts) == 1


def test_an_equivalent_mutant_that_is_caught_is_said() -> None:
    one = mutant(equivalent="nobody reads it")
    missed = MutantReport((), 3)
    assert verdict(one, missed) == (MutantVerdict.EQUIVALENT, "nobody reads it")
    caught = MutantReport((Detection(*KEY, (Evidence.AUDIT,), "why", (2, 2)),), 3)
    settled, detail = verdict(one, caught)
    assert settled is MutantVerdict.CAUGHT
    contradiction = MutantResult(one, settled, caught, detail)
    assert contradiction.contradicts
    assert "ALTHOUGH" in report.remarks(contradiction)[0]
    assert report.exit_code([contradiction]) is ExitCode.REGRESSION


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        (shows(failed()), (Evidence.ORACLE,)),
        (
            shows(failed(detail="page of seed 3, word 0: 0, not 0x1\nFAILED: intact")),
            (Evidence.DATA,),
        ),
        (shows(findings=[finding(FindingKind.AUDIT, mark="end")]), (Evidence.AUDIT,)),
        (shows(findings=[finding()]), (Evidence.LEDGER,)),
        (shows(findings=[finding(FindingKind.EXIT)]), (Evidence.EXIT,)),
        (shows(outcome=Outcome.TIMEOUT), (Evidence.HANG,)),
        (shows(outcome=Outcome.HANG), (Evidence.HANG,)),
        (shows(outcome=Outcome.PANIC), (Evidence.CRASH,)),
        (shows(passed(), outcome=Outcome.SPLAT, splats=[splat()]), (Evidence.SPLAT,)),
        (shows(failed(), findings=[finding()]), (Evidence.ORACLE, Evidence.LEDGER)),
    ],
)
def test_kinds_of_evidence(seen: CellResult, kinds: tuple[Evidence, ...]) -> None:
    assert evidence(news(Side.of([GOOD]), Side.of([seen]))) == kinds


def test_what_base_shows_too_is_no_evidence() -> None:
    base = shows(failed(), outcome=Outcome.SPLAT, splats=[splat()])
    assert evidence(news(Side.of([base]), Side.of([base]))) == ()


def test_the_named_testcases_are_run_again_first_and_the_quick_rows() -> None:
    def detection(testcase: str, guest: str) -> Detection:
        return Detection(testcase, "thp-never", guest, "", (Evidence.ORACLE,), "why")

    rows = [detection("a/slow", "q35"), detection("b/named", "q35"), detection("b/named", "numa"),
            detection("c/named", "q35"), detection("d/quick", "q35")]  # fmt: skip
    seconds = {row.key: float(len(row.testcase) * 10 - len(row.guest)) for row in rows}
    ordered = candidates(MutantReport(tuple(rows), 9), ["b/named", "c/named"], seconds)
    assert {one.testcase for one in ordered[0]} == {"b/named", "c/named"}
    assert {one.guest for one in ordered[0] if one.testcase == "b/named"} == {"numa"}
    assert [chunk[0].testcase for chunk in ordered[1:]] == ["b/named", "a/slow", "d/quick"]


# -- the table -------------------------------------------------------------------------------------

CAUGHT = MutantResult(
    mutant(testcases=("exclusive/mapcount", "control/rss")),
    MutantVerdict.CAUGHT,
    MutantReport((Detection(*KEY, (Evidence.SPLAT,), "splat: BUG", (2, 2)),), 4),
    build_s=21.4,
    run_s=8.0,
)


def test_a_testcase_that_should_detect_a_mutant_and_does_not_is_named() -> None:
    assert CAUGHT.silent == ("control/rss",)
    assert any("did not detect it: control/rss" in remark for remark in report.remarks(CAUGHT))


def test_a_mutant_that_only_complaints_detect_is_named() -> None:
    assert CAUGHT.report.only_complaints
    assert any("--without-debug" in remark for remark in report.remarks(CAUGHT))


def test_the_facts_are_those_of_the_contract() -> None:
    (facts,) = report.facts([CAUGHT])["mutants"]
    assert facts["name"] == "demo"
    assert facts["base"] == "base"
    assert facts["verdict"] == "caught"
    assert facts["by"] == ["exclusive/mapcount"]
    assert facts["evidence"] == ["splat"]


def test_the_table_says_which_command_made_it() -> None:
    text = report.markdown([CAUGHT], ["./lab.py", "mutants", "configs/rmap.yaml"])
    assert text.startswith("    ./lab.py mutants configs/rmap.yaml\n")
    assert "| demo | base | caught | exclusive/mapcount | splat | 1/4 | 21 s | 8 s |" in text
    assert "1 mutants: 1 caught." in text


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["caught", "equivalent"], ExitCode.OK),
        (["caught", "missed", "build-broken"], ExitCode.REGRESSION),
        (["build-broken", "error"], ExitCode.BUILD),
        (["caught", "does-not-apply"], ExitCode.BUILD),
        (["caught", "error"], ExitCode.INFRA),
        ([], ExitCode.INFRA),
    ],
)
def test_exit_codes(verdicts: list[str], code: ExitCode) -> None:
    results = [MutantResult(mutant(), MutantVerdict(word)) for word in verdicts]
    assert report.exit_code(results) is code


def test_results_are_grouped_as_the_comparison_does() -> None:
    one = result(cell=cell(testcase=make_testcase("a/b")))
    assert list(grouped([one, one])) == [("a/b", "thp-never", "q35", "")]


# -- what decides a mutant -------------------------------------------------------------------------


def test_a_base_whose_repeats_differ_is_nothing_to_compare_with() -> None:
    known = expectation(subtests=("the mapcount stays",))
    shown = observation(failed())
    fails = result(shown, judged=judge(cell(), shown, (known,)))
    assert unclean([GOOD, GOOD]) == ""
    assert unclean([fails, fails]) == ""
    assert unclean([GOOD, fails]) == "base is not clean: its repeats differ"
    assert unclean([]) == "base has no result"


def test_the_rows_that_could_not_be_compared_are_told_by_whose_they_are() -> None:
    """Neither ends the comparison of the rows behind it."""
    other = ("control/rss", *KEY[1:])
    numa = (KEY[0], "thp-always", "numa", "dmirror")
    last = ("z/last", *KEY[1:])
    before = {KEY: [], numa: [GOOD], last: [GOOD]}
    seen = examine(
        [KEY[0]], before, {KEY: [BAD], other: [BAD], numa: [shows(passed())], last: [BAD]}
    )
    assert seen.problems == ("exclusive/mapcount q35 thp-never: base has no result",)
    assert seen.doubts == ("control/rss q35 thp-never: base has no result",)
    assert seen.rows == 2
    (found,) = seen.detections
    assert found.key == last
    assert found.reason
    lost = result(judged=judgement(Verdict.ERROR, "lost"), cell=cell(kernel="mutant"))
    seen = examine([KEY[0]], {numa: [GOOD]}, {numa: [lost]})
    assert seen.problems == (
        "exclusive/mapcount numa dmirror thp-always: no verdict on the mutant: error: lost",
    )


@pytest.mark.parametrize(
    ("report_", "equivalent", "expected"),
    [
        (MutantReport((), 3, ("p1",)), "", (MutantVerdict.ERROR, "p1")),
        (MutantReport((), 3, ("p1", "p2")), "", (MutantVerdict.ERROR, "p1 (and 1 more)")),
        (MutantReport((), 3, ("p1", "p2", "p3")), "", (MutantVerdict.ERROR, "p1 (and 2 more)")),
        (MutantReport((), 0), "", (MutantVerdict.ERROR, "no row of it could be compared")),
        (MutantReport((), 0, ("p1",)), "why", (MutantVerdict.EQUIVALENT, "why")),
        (MutantReport((), 1, (), ("d1",)), "", (MutantVerdict.MISSED, "")),
        (
            MutantReport((Detection(*KEY, (), "x"), Detection("b/c", *KEY[1:], (), "y"),
                          Detection(KEY[0], "thp-always", "q35", "", (), "z")), 3),
            "",
            (MutantVerdict.MISSED, "failed once and never again: exclusive/mapcount, b/c"),
        ),
        (
            MutantReport((Detection(*KEY, (), "x", (1, 2)),), 3, ("p1",)),
            "",
            (MutantVerdict.CAUGHT, ""),
        ),
        (
            MutantReport((Detection(*KEY, (), "x", (1, 2)),), 3),
            "nobody reads it",
            (MutantVerdict.CAUGHT, "is declared equivalent: nobody reads it"),
        ),
    ],
    ids=["a problem", "two", "three", "no row", "equivalent", "a doubt", "once", "caught",
         "caught, declared equivalent"],
)  # fmt: skip
def test_a_verdict_and_its_reason(
    report_: MutantReport, equivalent: str, expected: tuple[MutantVerdict, str]
) -> None:
    assert verdict(mutant(equivalent=equivalent), report_) == expected


def test_rows_without_a_known_length_are_taken_for_quick_ones() -> None:
    rows = [Detection(name, "thp-never", "q35", "", (), "why") for name in ("a/a", "b/b", "c/c")]
    seconds = {rows[0].key: 0.5, rows[1].key: 0.25}
    ordered = candidates(MutantReport(tuple(rows), 3), [], seconds)
    assert [[one.testcase for one in chunk] for chunk in ordered] == [["c/c"], ["b/b"], ["a/a"]]
    assert candidates(MutantReport((), 3), ["a/a"], {}) == []


@pytest.mark.parametrize(
    ("kind", "evidence_"),
    [(FindingKind.LEDGER, Evidence.LEDGER), (FindingKind.AUDIT, Evidence.AUDIT)],
)
def test_a_known_leak_that_grows_is_evidence_of_its_kind(
    kind: FindingKind, evidence_: Evidence
) -> None:
    before, after = (
        shows(failed(), findings=[finding(kind, about="x", amount=amount)]) for amount in (8, 80)
    )
    assert evidence(news(Side.of([before]), Side.of([after]))) == (evidence_,)
