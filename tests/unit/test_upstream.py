# SPDX-License-Identifier: GPL-2.0
"""Selftests of the kernel tree: what vanished is missed, and what is new is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rmaplab import proc
from rmaplab.build import initramfs, selftests
from rmaplab.build.selftests import Selftests
from rmaplab.collect.observe import observe
from rmaplab.config import subtests
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError, UserError
from rmaplab.judge import judge
from rmaplab.model import FindingKind, Observation, Verdict
from rmaplab.pipeline import upstream as upstream_pipeline
from rmaplab.plan import plan
from rmaplab.store.cache import Cache

from .builders import KTAP_PASS, cell, conversation, from_lab, lab, run_folder, save

HEAD = "TAP version 13"
TWO = (HEAD, "1..2", "ok 1 one", "ok 2 two")
RENAMED = (HEAD, "1..2", "ok 1 one", "ok 2 second")


def seen(
    folder: Path,
    *said: str,
    names: list[str] | None,
    section: str = "6.12",
    status: int = 0,
    lines: list[dict[str, Any]] | None = None,
) -> Observation:
    due = from_lab("expected", version="6.12.117", section=section, names=names)
    whole = lines if lines is not None else conversation(*said, status=status)
    return observe(save(folder, [whole[0], due, *whole[1:]]))


def verdicts(found: Observation) -> dict[str, Verdict]:
    return {one.name: one.verdict for one in found.results}


def judged(found: Observation) -> Verdict:
    return judge(cell(), found, ()).verdict


# -- against the list ------------------------------------------------------------------------------


def test_all_that_is_listed_came(tmp_path: Path) -> None:
    found = seen(tmp_path, *TWO, names=["one", "two"])
    assert verdicts(found) == {"one": Verdict.PASS, "two": Verdict.PASS}
    assert judged(found) is Verdict.PASS


def test_a_listed_subtest_that_vanished_fails_as_missing(tmp_path: Path) -> None:
    found = seen(tmp_path, *TWO, names=["one", "two", "three"])
    assert verdicts(found)["three"] is Verdict.FAIL
    assert judged(found) is Verdict.FAIL
    assert "missing" in judge(cell(), found, ()).reason


def test_a_renamed_subtest_is_missing_and_its_new_name_is_said(tmp_path: Path) -> None:
    found = seen(tmp_path, *RENAMED, names=["one", "two"])
    assert verdicts(found)["two"] is Verdict.FAIL
    (new,) = [one for one in found.findings if one.kind is FindingKind.NEW_SUBTESTS]
    assert (new.name, new.names, new.amount) == ("lab: new subtests", ("second",), 1)
    assert new.detail.splitlines()[-1] == "second"


def test_a_new_subtest_that_passes_fails_nothing_and_one_that_fails_does(tmp_path: Path) -> None:
    assert judged(seen(tmp_path, *TWO, names=["one"])) is Verdict.PASS
    said = (HEAD, "1..2", "ok 1 one", "not ok 2 two")
    assert judged(seen(tmp_path / "b", *said, names=["one"], status=1)) is Verdict.FAIL


def test_a_name_that_is_listed_twice_has_to_come_twice(tmp_path: Path) -> None:
    found = seen(tmp_path, *TWO, names=["one", "two", "two"])
    assert [one.verdict for one in found.subtests if one.name == "two"] == [
        Verdict.PASS, Verdict.FAIL,
    ]  # fmt: skip


def test_without_a_list_nothing_is_a_pass(tmp_path: Path) -> None:
    found = seen(tmp_path, *TWO, names=[], section="")
    assert judged(found) is Verdict.ERROR


def test_a_program_that_prints_no_ktap_any_more_passes_nothing(tmp_path: Path) -> None:
    found = seen(tmp_path, "all is well", names=["one"])
    assert verdicts(found)["one"] is Verdict.FAIL


def test_what_was_cut_off_is_missing_as_an_error(tmp_path: Path) -> None:
    whole = conversation(*TWO[:3])
    upto = next(n for n, line in enumerate(whole) if line["ev"] == "exit")
    cut = [*whole[:upto], from_lab("end", how="panic", detail="oops")]
    found = seen(tmp_path, names=["one", "two", "three"], lines=cut)
    assert verdicts(found)["three"] is Verdict.ERROR
    assert judged(found) is Verdict.FAIL


def test_a_skipped_test_of_the_old_harness_has_the_name_that_it_began_with(tmp_path: Path) -> None:
    said = (HEAD, "1..1", "#  RUN           hmm.open_close ...", "#      SKIP      no device",
            "#            OK  hmm.open_close", "ok 1 # SKIP no device")  # fmt: skip
    found = seen(tmp_path, *said, names=["hmm.open_close"])
    assert verdicts(found) == {"hmm.open_close": Verdict.SKIP}
    assert "no device" in found.subtests[0].detail


RUN = (HEAD, "1..2", "# [RUN] fork ... with THP", "ok 1 No leak", "# [RUN] fork ... with KSM")


def test_results_that_say_the_same_are_told_apart_by_what_was_run(tmp_path: Path) -> None:
    found = seen(
        tmp_path, *RUN, "ok 2 No leak",
        names=["fork ... with THP: No leak", "fork ... with KSM: No leak"],
    )  # fmt: skip
    assert [one.verdict for one in found.subtests] == [Verdict.PASS, Verdict.PASS]


@pytest.mark.parametrize(
    ("line", "verdict"), [("not ok 2 Leak", Verdict.FAIL), ("ok 2 # SKIP no KSM", Verdict.SKIP)]
)
def test_a_result_that_says_why_it_is_no_pass_is_not_missing(
    tmp_path: Path, line: str, verdict: Verdict
) -> None:
    names = ["fork ... with THP: No leak", "fork ... with KSM: No leak"]
    found = seen(tmp_path, *RUN, line, names=names, status=verdict is Verdict.FAIL)
    assert [one.verdict for one in found.subtests] == [Verdict.PASS, verdict]


def test_a_pass_that_says_something_else_is_missing_and_new(tmp_path: Path) -> None:
    names = ["fork ... with THP: No leak", "fork ... with KSM: No leak"]
    found = seen(tmp_path, *RUN, "ok 2 All is well", names=names)
    assert verdicts(found)["fork ... with KSM: No leak"] is Verdict.FAIL
    assert verdicts(found)["lab: new subtests"] is Verdict.PASS


def test_a_pattern_in_the_list_stands_for_one_result(tmp_path: Path) -> None:
    said = (HEAD, "1..1", "ok 1 count 12 (0.1%)")
    assert judged(seen(tmp_path, *said, names=["count * (*%)"])) is Verdict.PASS
    assert judged(seen(tmp_path / "b", *said, names=["count * (*%)"] * 2)) is Verdict.FAIL
    assert judged(seen(tmp_path / "c", *said, names=["counts * (*%)"])) is Verdict.FAIL


def test_exit_status_4_is_fine_if_something_was_skipped(tmp_path: Path) -> None:
    said = (HEAD, "1..2", "ok 1 one", "ok 2 two # SKIP no device")
    assert judged(seen(tmp_path, *said, names=["one", "two"], status=4)) is Verdict.PASS
    assert judged(seen(tmp_path / "b", *TWO, names=["one", "two"], status=4)) is Verdict.FAIL


def test_a_listed_program_need_not_print_a_version_line(tmp_path: Path) -> None:
    assert judged(seen(tmp_path, *TWO[1:], names=["one", "two"])) is Verdict.PASS


def test_output_that_does_not_add_up_fails(tmp_path: Path) -> None:
    said = (HEAD, "1..3", "ok 1 one", "ok 1 one", "ok 2 two")
    found = seen(tmp_path, *said, names=["one", "one", "two"])
    assert verdicts(found)["lab: KTAP output"] is Verdict.FAIL
    assert judged(found) is Verdict.FAIL


@pytest.mark.parametrize(
    ("status", "verdict"), [(0, Verdict.PASS), (4, Verdict.SKIP), (1, Verdict.FAIL)]
)
def test_without_ktap_the_exit_status_is_the_verdict(
    tmp_path: Path, status: int, verdict: Verdict
) -> None:
    found = seen(tmp_path, "done", names=None, status=status)
    assert verdicts(found) == {"exit status": verdict}
    assert judged(found) is verdict


def test_ktap_of_a_program_that_printed_none_counts_and_is_new(tmp_path: Path) -> None:
    said = (HEAD, "1..1", "not ok 1 one")
    found = seen(tmp_path, *said, names=None)
    assert verdicts(found)["one"] is Verdict.FAIL
    assert "lab: new subtests" in verdicts(found)


def test_a_program_that_does_not_compile_fails_its_cell(tmp_path: Path) -> None:
    lines = [from_lab("cell", cell="c"), from_lab("not-built", error="cow.c:7: error: no"),
             from_lab("end", how="not-run", detail="no")]  # fmt: skip
    found = observe(save(tmp_path, lines))
    assert verdicts(found) == {"lab: build": Verdict.FAIL}
    assert "cow.c:7" in judge(cell(), found, ()).reason


# -- lists -----------------------------------------------------------------------------------------


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    lists: dict[str, subtests.Names] = {"6.12": ("one", "two [x]"), "6.9": None, "6.1": ()}
    subtests.write(tmp_path / "a.subtests", lists)
    assert subtests.read(tmp_path / "a.subtests") == lists
    sections = [
        line for line in (tmp_path / "a.subtests").read_text().splitlines() if line[:1] == "["
    ]
    assert sections == ["[6.1]", "[6.9] exit status", "[6.12]"]


@pytest.mark.parametrize(
    ("version", "section"),
    [("6.12.117", "6.12"), ("6.11.3", "6.9"), ("7.0", "6.12"), ("5.10.1", ""), ("next", "")],
)
def test_a_version_without_a_section_has_that_of_the_newest_before(
    version: str, section: str
) -> None:
    lists: dict[str, subtests.Names] = {"6.12": ("one",), "6.9": None}
    assert subtests.for_version(lists, version)[0] == section


@pytest.mark.parametrize("text", ["one\n", "[6.1] exit status\none\n"])
def test_a_name_outside_of_a_section_is_a_mistake(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.subtests"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"a.subtests:\d: a name outside"):
        subtests.read(path)


def test_every_list_belongs_to_a_testcase_and_can_be_read() -> None:
    catalogue = Catalogue()
    known = {subtests.path_of(one) for one in catalogue.testcases.values() if one.upstream}
    found = set((catalogue.root / "testcases").glob("*/*.subtests"))
    assert found
    assert not found - known
    for path in found:
        assert subtests.read(path)


# -- programs --------------------------------------------------------------------------------------

LOG = """\
khugepaged.c: In function 'main':
/kernel/source/tools/testing/selftests/mm/khugepaged.c:9:2: error: 'KSFT_SKIP' undeclared
make[1]: *** [../lib.mk:222: /kernel/build/kselftest/mm/khugepaged] Error 1
  CC       cow
migration.c:10:10: fatal error: numa.h: No such file or directory
make[1]: *** [../lib.mk:222: /kernel/build/kselftest/mm/migration] Error 1
/usr/bin/ld: cannot find -lcap: No such file or directory
collect2: error: ld returned 1 exit status
make[1]: *** [../lib.mk:222: /kernel/build/kselftest/mm/memfd_secret] Error 1
"""


def test_each_program_that_failed_has_its_own_error() -> None:
    errors = dict(selftests.errors_of(LOG))
    assert set(errors) == {"khugepaged", "migration", "memfd_secret"}
    assert errors["khugepaged"].endswith("error: 'KSFT_SKIP' undeclared")
    packages = {program: selftests.package_of(said) for program, said in errors.items()}
    assert packages == {"khugepaged": "", "migration": "libnuma-dev", "memfd_secret": "libcap-dev"}


def test_what_the_tree_or_the_host_lacks_is_missing_and_the_rest_is_an_error() -> None:
    built = Selftests(
        folder="tools/testing/selftests/mm",
        programs={"cow": Path("/cow"), "protection_keys_64": Path("/p")},
        sources=frozenset({"cow.c", "khugepaged.c", "migration.c", "odd.c"}),
        errors={"khugepaged": "khugepaged.c:9: error: no"},
        lacks={"migration": "libnuma-dev"},
    )
    assert built.missing("cow") == built.error("cow") == ""
    assert built.missing("protection_keys_64") == ""
    assert built.missing("none") == "the tree has no tools/testing/selftests/mm/none.c"
    assert "libnuma-dev" in built.missing("migration")
    assert built.error("migration") == ""
    assert built.error("khugepaged") == "khugepaged.c:9: error: no"
    assert built.error("odd") == "tools/testing/selftests/mm/Makefile does not make it"


@pytest.mark.parametrize(
    ("name", "matters"),
    [
        ("mm/rmap.c", False),
        ("Documentation/mm/hmm.rst", False),
        ("mm/gup_test.h", True),
        ("include/uapi/linux/mman.h", True),
        ("tools/testing/selftests/mm/cow.c", True),
        ("scripts/unifdef.c", True),
        ("Makefile", True),
    ],
)
def test_a_file_makes_selftests_anew_if_they_may_be_made_of_it(name: str, matters: bool) -> None:
    assert selftests.matters(name) is matters


@pytest.mark.skipif(proc.which("cpio") is None, reason="needs cpio")
def test_programs_are_added_to_an_archive(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    plain, more = tmp_path / "plain", tmp_path / "more"
    (plain / "bin").mkdir(parents=True)
    (plain / "init").write_text("init")
    archive = tmp_path / "plain.cpio"
    initramfs.pack(plain, archive)
    program = tmp_path / "cow"
    program.write_text("a program")
    assert initramfs.with_programs(archive, {}, cache) == archive
    both = initramfs.with_programs(archive, {"/cow": program}, cache)
    more.mkdir()
    initramfs.unpack(both, more)
    assert (more / "init").read_text() == "init"
    assert (more / "cow").stat().st_mode & 0o777 == 0o755
    program.write_text("another")
    assert initramfs.with_programs(archive, {"/cow": program}, cache) != both


# -- the YAML file ---------------------------------------------------------------------------------

YAML = """\
id: T1
summary: a testcase
kind: test
walkers: []
settings: [thp-never]
limit_s: 10
"""


def catalogue(root: Path, more: str) -> Catalogue:
    folder = root / "testcases" / "upstream"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(YAML + more, encoding="utf-8")
    return Catalogue(root)


def test_a_testcase_names_a_program_of_the_tree(tmp_path: Path) -> None:
    more = "upstream: cow\nuid: 65534\nprepare:\n  /proc/sys/vm/nr_hugepages: '8'\n"
    one = catalogue(tmp_path, more).testcases["upstream/one"]
    assert one.upstream is not None
    assert (one.upstream.program, one.upstream.uid) == ("cow", 65534)
    assert [write.path for write in one.upstream.prepare] == ["/proc/sys/vm/nr_hugepages"]
    assert not one.is_script
    assert initramfs.program_path(one) == "/cow"


def test_only_such_a_testcase_prepares_its_guest(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError, match="uid is for programs of the kernel tree"):
        _ = catalogue(tmp_path, "uid: 1\n").testcases


def test_a_recorded_list_goes_beside_the_projects_testcase_and_nowhere_else(
    tmp_path: Path,
) -> None:
    """Somebody else's run may say that the testcase was anywhere."""
    own = Catalogue().testcases["upstream/cow"]
    forged = replace(own, source=tmp_path / "victim.yaml", settings=("thp-never",))
    other = replace(forged, name="upstream/none", id="U99")
    wanted = lab(testcases=[forged, other])
    said = conversation(*KTAP_PASS)
    cells = {cell.id: said for cell in plan(wanted).cells}
    folder = run_folder(tmp_path / "run", wanted, cells)
    recorded = upstream_pipeline.record(folder, Catalogue().testcases)
    assert list(recorded.lists) == [own.source.with_suffix(".subtests")]
    assert list(recorded.refused.values()) == ["the project has no such testcase"]


@pytest.mark.parametrize(
    ("line", "pinned"),
    [
        ("\tsrand(time(NULL));", "\tsrand( 1);"),
        ("\tsrand((unsigned int)time(NULL));", "\tsrand( 1);"),
        ("\tsrandom(getpid());", "\tsrandom( 1);"),
        ("\tdata->rand_seed = time(NULL);", "\tdata->rand_seed = 1;"),
        ("\tpattern_seed = (unsigned int) time(&t);", "\tpattern_seed = 1;"),
        ("\tsrand(pattern_seed);", ""),
        ("\tstart = time(NULL);", ""),
        ("\tpid = getpid();", ""),
    ],
)
def test_seeds_by_the_clock_are_pinned_and_nothing_else_is(
    tmp_path: Path, line: str, pinned: str
) -> None:
    (tmp_path / "mm").mkdir()
    (tmp_path / "mm" / "a.c").write_text(f"/* a */\n{line}\n", encoding="utf-8")
    assert selftests.pin_seeds(tmp_path, "mm") == (["a.c"] if pinned else [])
    assert (tmp_path / "mm" / "a.c").read_text("utf-8") == f"/* a */\n{pinned or line}\n"
