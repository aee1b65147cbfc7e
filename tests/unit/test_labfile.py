# SPDX-License-Identifier: GPL-2.0
"""Lab files: every mistake at once, each with file, line and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError, ExitCode, UserError
from rmaplab.model import Lab, Limit, MemoryDumpPolicy, Outcome

GOOD = """\
name: tiny
kernels:
  - name: base
    tree: debian:linux-source-6.12
    config: [guest, mm, device]
guests: [q35]
settings: [thp-never, thp-always]
testcases: ["exclusive/*"]
"""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


def read(tmp_path: Path, text: str, catalogue: Catalogue) -> Lab:
    path = tmp_path / "lab.yaml"
    path.write_text(text, encoding="utf-8")
    return labfile.read(path, catalogue)


def mistakes(tmp_path: Path, text: str, catalogue: Catalogue) -> list[str]:
    """The mistakes of a lab file, without the folder's name."""
    with pytest.raises(DiagnosticsError) as caught:
        read(tmp_path, text, catalogue)
    assert caught.value.exit_code is ExitCode.USAGE
    return [str(mistake).removeprefix(f"{tmp_path}/") for mistake in caught.value.mistakes]


def mistake(tmp_path: Path, text: str, catalogue: Catalogue) -> str:
    (only,) = mistakes(tmp_path, text, catalogue)
    return only


def test_a_good_lab_resolves_every_name(tmp_path: Path, catalogue: Catalogue) -> None:
    lab = read(tmp_path, GOOD, catalogue)
    assert [guest.name for guest in lab.guests] == ["q35"]
    assert [settings.name for settings in lab.settings] == ["thp-never", "thp-always"]
    assert all(testcase.name.startswith("exclusive/") for testcase in lab.testcases)
    assert (lab.repeat, lab.expectations) == (1, ())


def test_the_labs_that_come_with_the_project_are_good(catalogue: Catalogue) -> None:
    paths = list((catalogue.root / "configs").glob("*.yaml"))
    assert paths
    for path in paths:
        labfile.read(path, catalogue)


def test_a_testcase_goes_by_its_id_too(tmp_path: Path, catalogue: Catalogue) -> None:
    lab = read(tmp_path, GOOD.replace('"exclusive/*"', "T1"), catalogue)
    assert [testcase.name for testcase in lab.testcases] == ["exclusive/mapcount"]


def test_only_its_full_name_selects_a_selftest(tmp_path: Path, catalogue: Catalogue) -> None:
    everything = read(tmp_path, GOOD.replace("exclusive/*", "*"), catalogue)
    assert not any(testcase.name.startswith("selftest/") for testcase in everything.testcases)
    named = read(
        tmp_path,
        GOOD.replace("exclusive/*", "selftest/panic").replace("thp-always", "thp-madvise"),
        catalogue,
    )
    assert [testcase.name for testcase in named.testcases] == ["selftest/panic"]


def test_an_expectation_for_several_testcases_becomes_one_each(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = GOOD + (
        "expect:\n  - testcase: [T1, exclusive/mlock]\n    reason: known\n    outcome: panic\n"
        "    splat: BUG in .*\n"
    )
    known = read(tmp_path, text, catalogue).expectations
    assert [(one.testcase, one.outcome, one.line) for one in known] == [
        ("T1", Outcome.PANIC, 10),
        ("exclusive/mlock", Outcome.PANIC, 10),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("guests:", "guest:", ["lab.yaml:6: unknown key 'guest'; did you mean 'guests'?"]),
        ("    tree:", "    trees:", ["lab.yaml:4: unknown key 'trees'; did you mean 'tree'?"]),
        ("settings: [", "settings: [thp-nevr, ",
         ["lab.yaml:7: unknown settings 'thp-nevr'; did you mean 'thp-never'?"]),
        ("[q35]", "[q36]", ["lab.yaml:6: unknown guest 'q36'; did you mean 'q35'?"]),
        ("exclusive/*", "exclusive/mapcont",
         ["lab.yaml:8: unknown testcase 'exclusive/mapcont'; did you mean 'exclusive/mapcount'?"]),
        ("mm, device", "mm, devise",
         ["lab.yaml:5: unknown Kconfig fragment 'devise'; did you mean 'device'?"]),
        ("name: tiny", "name: no",
         ["lab.yaml:1: name: expected text, but YAML reads this as False: put it in quotes"]),
        ("name: tiny", "name: 6.10",
         ["lab.yaml:1: name: expected text, but YAML reads this as 6.1: put it in quotes"]),
        ("[thp-never, thp-always]", "[thp-never, no]",
         ["lab.yaml:7: settings.1: expected text, but YAML reads this as False"]),
        ("name: tiny", "name: tiny\nrepeat: yes", ["lab.yaml:2: repeat:", "integer", "True"]),
        ("name: tiny", 'name: tiny\nrepeat: "3"', ["lab.yaml:2: repeat:", "integer", "'3'"]),
        ("name: tiny", "name: tiny\nrepeat: 0", ["lab.yaml:2: repeat:", "greater than", "got 0"]),
        ("name: tiny", "name: Tiny Lab", ["lab.yaml:1: name:", "pattern"]),
        ("guests: [q35]", "guests: q35", ["lab.yaml:6: guests:", "list"]),
        ("guests: [q35]", "guests: []", ["lab.yaml:6: guests:", "at least 1"]),
        ("guests: [q35]", "guests: [q35]\nguests: [q35]",
         ["lab.yaml:7: the key 'guests' is here twice (first in line 6)"]),
        ("guests: [q35]", "guests: [q35]\nno: 1", ["lab.yaml:7: a key has to be a word"]),
        ("guests: [q35]", "guests: [q35", ["not valid YAML"]),
        ("name: tiny", "name: !!python/object:os.system x", ["lab.yaml:1: not valid YAML"]),
        ("name: tiny", "name: *nothing", ["lab.yaml:1: not valid YAML"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_what_was_expected(
    tmp_path: Path, catalogue: Catalogue, old: str, new: str, said: list[str]
) -> None:
    assert old in GOOD
    found = mistakes(tmp_path, GOOD.replace(old, new, 1), catalogue)
    (told,) = [text for text in found if text.startswith(said[0]) or said[0] in text]
    assert all(words in told for words in said)


def test_an_empty_matrix_names_the_settings_that_make_sense(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = GOOD.replace("[thp-never, thp-always]", "[hugetlb-2m]").replace("exclusive/*", "T1")
    told = mistake(tmp_path, text, catalogue)
    assert told.startswith("lab.yaml:7: the matrix is empty")
    assert "they run under " in told
    assert "thp-never" in told


def test_a_missing_key_is_named(tmp_path: Path, catalogue: Catalogue) -> None:
    text = GOOD.replace("    tree: debian:linux-source-6.12\n", "")
    assert mistake(tmp_path, text, catalogue).endswith("the key 'tree' is missing")


def test_all_mistakes_of_names_come_at_once_in_the_order_of_their_lines(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = (
        GOOD.replace("mm,", "mn,").replace("[q35]", "[q36]").replace("thp-always", "thp-alwys")
    ).replace("exclusive/*", "exclusiv/*")
    found = mistakes(tmp_path, text, catalogue)
    assert [one.split(": ")[0] for one in found] == [f"lab.yaml:{n}" for n in (5, 6, 7, 8)]


def test_all_mistakes_of_shape_come_at_once(tmp_path: Path, catalogue: Catalogue) -> None:
    text = "name: no\nname: x\nkernels: []\nguestss: [q35]\nsettings: [6.10]\ntestcases: T1\n"
    text = text.replace("name: x\n", "")
    found = "\n".join(mistakes(tmp_path, text, catalogue))
    for word in ("name: expected text", "kernels:", "'guestss'", "'guests' is missing",
                 "settings.0: expected text", "testcases:"):  # fmt: skip
        assert word in found


def test_a_mistake_of_shape_does_not_hide_an_unknown_name(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = """\
name: tiny
repeat: "3"
kernels:
  - name: base
    config: [guest, 5, devise]
guests: [q36]
settings: [no, thp-nevr]
testcases: ["exclusiv/*"]
expect:
  - {testcase: T1, kernel: bse, splat: "("}
"""
    found = mistakes(tmp_path, text, catalogue)
    said = [
        (2, "repeat:"),
        (4, "the key 'tree' is missing"),
        (5, "kernels.0.config.1: expected text"),
        (5, "unknown Kconfig fragment 'devise'"),
        (6, "unknown guest 'q36'"),
        (7, "settings.0: expected text"),
        (7, "unknown settings 'thp-nevr'"),
        (8, "unknown testcase 'exclusiv/*'"),
        (10, "not a regular expression"),
        (10, "the key 'reason' is missing"),
        (10, "unknown kernel of this lab 'bse'; did you mean 'base'?"),
    ]
    assert len(found) == len(said)
    for told, (line, words) in zip(found, said, strict=True):
        assert told.startswith(f"lab.yaml:{line}: {words}")


@pytest.mark.parametrize("kernels", ["base", "[base]", "[{tree: x, config: guest}]", "{a: b}"])
def test_a_kernel_is_not_called_unknown_where_the_kernels_are_not_readable(
    tmp_path: Path, catalogue: Catalogue, kernels: str
) -> None:
    text = f"name: tiny\nkernels: {kernels}\nexpect:\n  - {{testcase: T1, kernel: x, reason: r}}\n"
    assert "unknown kernel" not in "\n".join(mistakes(tmp_path, text, catalogue))


def test_a_duplicate_key_does_not_hide_an_unknown_name(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = GOOD.replace("[q35]", "[q36]") + "repeat: 1\nrepeat: 2\n"
    assert len(mistakes(tmp_path, text, catalogue)) == 2


def test_two_kernels_may_not_have_one_name(tmp_path: Path, catalogue: Catalogue) -> None:
    entry = "  - {name: base, tree: 'dir:x', config: [guest]}\n"
    told = mistake(tmp_path, GOOD.replace("guests:", f"{entry}guests:"), catalogue)
    assert told == "lab.yaml:6: two kernels are named 'base'"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{testcase: T1}", "the key 'reason' is missing"),
        (
            "{testcase: T1, reason: r, kernel: bse}",
            "unknown kernel of this lab 'bse'; did you mean 'base'?",
        ),
        ("{testcase: T1, reason: r, splat: '('}", "not a regular expression"),
        ("{testcase: exclusive/mapcont, reason: r}", "unknown testcase of this lab"),
        ("{testcase: [T1, 'migrate/*'], reason: r}", "unknown testcase of this lab 'migrate/*'"),
        ("{testcase: T1, reason: r, guest: q35-numa}", "unknown guest of this lab 'q35-numa'"),
        ("{testcase: T1, reason: r, settings: thp-nevr}", "did you mean 'thp-never'?"),
        ("{testcase: T1, reason: r, device: dmiror}", "did you mean 'dmirror'?"),
        ("{testcase: T1, reason: r, verdict: pass}", "expect.0.verdict"),
        ("{testcase: T1, reason: r, outcome: gone}", "expect.0.outcome"),
    ],
)
def test_a_mistake_in_an_expectation_is_named(
    tmp_path: Path, catalogue: Catalogue, entry: str, said: str
) -> None:
    told = mistake(tmp_path, f"{GOOD}expect:\n  - {entry}\n", catalogue)
    assert told.startswith("lab.yaml:10: ")
    assert said in told


def test_an_expectation_may_speak_of_what_an_inclusion_adds(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = GOOD + (
        "include:\n"
        "  - {guest: q35-numa, settings: thp-madvise, testcase: reclaim/swapout-exclusive}\n"
        "expect:\n  - {testcase: reclaim/*, guest: q35-numa, settings: thp-madvise, reason: r}\n"
    )
    assert [one.guest for one in read(tmp_path, text, catalogue).expectations] == ["q35-numa"]


def test_an_expectation_of_a_wrong_type_is_one_mistake(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = f"{GOOD}expect:\n  - {{testcase: 5, reason: r}}\n"
    found = mistakes(tmp_path, text, catalogue)
    assert found
    assert all(one.startswith("lab.yaml:10: expect.0.testcase:") for one in found)


def test_an_allow_entry_is_read_with_its_line(tmp_path: Path, catalogue: Catalogue) -> None:
    text = (
        f"{GOOD}allow:\n"
        "  - {pattern: '^WARNING in demo$', kind: warning, reason: r, until: 2027-01-31}\n"
        "  - {pattern: x, reason: r, until: '2027-02-28'}\n"
        "  - {pattern: y, reason: r}\n"
    )
    found = read(tmp_path, text, catalogue).allowances
    assert [(one.pattern, one.kind, one.until, one.line) for one in found] == [
        ("^WARNING in demo$", "warning", "2027-01-31", 10),
        ("x", "", "2027-02-28", 11),
        ("y", "", "", 12),
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{pattern: x}", "the key 'reason' is missing"),
        ("{pattern: x, reason: ''}", "allow.0.reason"),
        ("{reason: r}", "the key 'pattern' is missing"),
        ("{pattern: '', reason: r}", "allow.0.pattern"),
        ("{pattern: '(', reason: r}", "not a regular expression"),
        ("{pattern: x, reason: r, kind: warnin}", "unknown kind 'warnin'; did you mean 'warning'?"),
        ("{pattern: x, reason: r, until: soon}", "not a date like 2027-01-31: 'soon'"),
        ("{pattern: x, reason: r, until: '20270131'}", "not a date like 2027-01-31"),
        ("{pattern: x, reason: r, until: 2027-02-30}", "day is out of range for month"),
        ("{pattern: x, reason: r, until: 2027-01-31 10:00:00}", "allow.0.until"),
        ("{pattern: x, reason: r, until: 2027}", "allow.0.until"),
    ],
)
def test_a_mistake_in_an_allow_entry_is_named(
    tmp_path: Path, catalogue: Catalogue, entry: str, said: str
) -> None:
    found = mistakes(tmp_path, f"{GOOD}allow:\n  - {entry}\n", catalogue)
    assert all(told.startswith("lab.yaml:10: ") for told in found)
    assert any(said in told for told in found), found


def test_limits_are_read_with_their_lines(tmp_path: Path, catalogue: Catalogue) -> None:
    text = (
        f"{GOOD}limits:\n  instructions: +2%\n  thp_split_page: 0\n"
        "  mthp.*.split: +10\n  meminfo.HugePages_Surp: -1.5 %\n"
    )
    assert read(tmp_path, text, catalogue).limits == (
        Limit("instructions", 2.0, is_percent=True, line=10),
        Limit("thp_split_page", 0.0, is_percent=False, line=11),
        Limit("mthp.*.split", 10.0, is_percent=False, line=12),
        Limit("meminfo.HugePages_Surp", -1.5, is_percent=True, line=13),
    )
    assert read(tmp_path, GOOD, catalogue).limits == ()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("thp_split_page: no", "limits.thp_split_page: expected a whole number, or a percentage"),
        ("thp_split_page: yes", "got True"),
        ("thp_split_page: 1.5", "such as +2%, got 1.5"),
        ("thp_split_page: some", "got 'some'"),
        ("thp_split_page: 2 percent", "got '2 percent'"),
        ("thp_split_page: %", "not valid YAML"),
        ("thp_split_page:", "limits.thp_split_page"),
        ("thp_split_page: [1]", "limits.thp_split_page"),
        ("instruction: +2%", "no counter is named 'instruction'; did you mean 'instructions'?"),
        ("vmstat.nr_maped: 0", "'vmstat.nr_maped'; did you mean 'vmstat.nr_mapped'?"),
        ("nr_maped: 0", "no counter is named 'nr_maped'; did you mean 'nr_mapped'?"),
        ("'': 0", "limits"),
        ("5: 0", "a key has to be a word"),
        (f"thp_split_page: {10**30}", "such as +2%, got 1000"),
    ],
)
def test_a_mistake_in_a_limit_is_named_with_its_line(
    tmp_path: Path, catalogue: Catalogue, entry: str, said: str
) -> None:
    found = mistakes(tmp_path, f"{GOOD}limits:\n  {entry}\n", catalogue)
    assert all(one.startswith("lab.yaml:10:") for one in found), found
    assert any(said in one for one in found), found


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_says_so(tmp_path: Path, catalogue: Catalogue, text: str) -> None:
    assert "empty" in mistake(tmp_path, text, catalogue)


@pytest.mark.parametrize("text", ["just words\n", "- a\n- b\n", "null\n", "a: 1\n---\nb: 2\n"])
def test_a_file_of_another_shape_is_a_mistake_and_no_crash(
    tmp_path: Path, catalogue: Catalogue, text: str
) -> None:
    assert mistakes(tmp_path, text, catalogue)


def test_nesting_without_end_is_a_mistake_and_no_crash(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    assert "not valid YAML" in mistake(tmp_path, "[" * 20000, catalogue)


def test_a_file_that_is_not_there_or_not_text_is_the_users_mistake(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    with pytest.raises(UserError, match="No such file"):
        labfile.read(tmp_path / "none.yaml", catalogue)
    (tmp_path / "lab.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(UserError, match="not UTF-8 at byte 6"):
        labfile.read(tmp_path / "lab.yaml", catalogue)


# -- the matrix --------------------------------------------------------------------------------


def test_a_testcase_may_be_a_mapping_with_repeats_and_the_last_one_counts(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    entries = '["exclusive/*", {name: "exclusive/thp*", repeat: 3}, {name: T1, repeat: 5}, T9]'
    lab = read(tmp_path, GOOD.replace('["exclusive/*"]', entries), catalogue)
    assert lab.repeats == {
        "exclusive/thp-one-page": 3, "exclusive/thp-tail-page": 3, "exclusive/mapcount": 5
    }  # fmt: skip
    assert "migrate/move-pages-partial-thp" in [one.name for one in lab.testcases]


def test_device_sets_are_named_in_one_way(tmp_path: Path, catalogue: Catalogue) -> None:
    lab = read(tmp_path, GOOD + "devices: [dmirror, none, dmirror]\n", catalogue)
    assert lab.devices == ("dmirror", "none")


def test_a_lab_file_says_what_to_leave_out_and_what_to_add(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = GOOD + (
        "exclude:\n"
        "  - {testcase: [T1, exclusive/thp-*], settings: thp-always, reason: slow}\n"
        "include:\n"
        "  - {guest: q35-numa, testcase: migrate/*}\n"
        "cap: 40\n"
    )
    lab = read(tmp_path, text, catalogue)
    (out,), (more,) = lab.exclusions, lab.inclusions
    assert (out.testcase, out.settings, out.guest) == (
        ("T1", "exclusive/thp-*"), ("thp-always",), ("*",)
    )  # fmt: skip
    assert (out.reason, out.line) == ("slow", 10)
    assert [one.name for one in more.guests] == ["q35-numa"]
    assert more.settings == lab.settings
    assert all(one.name.startswith("migrate/") for one in more.testcases)
    assert lab.cap == 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("devices: [dmirrr]", "9: unknown device 'dmirrr'; did you mean 'dmirror'?"),
        ("devices: [dmirror+nope]", "9: unknown device 'nope'"),
        ("devices: []", "9: devices: list should have at least 1 item"),
        ("cap: 0", "9: cap: input should be greater than or equal to 1, got 0"),
        ("exclude: [{guest: q36, reason: r}]",
         "9: unknown guest of this lab 'q36'; did you mean 'q35'?"),
        ("exclude: [{guest: q35-numa, reason: r}]", "9: unknown guest of this lab 'q35-numa'"),
        ("exclude: [{testcase: migrate/*, reason: r}]",
         "9: unknown testcase of this lab 'migrate/*'"),
        ("exclude: [{kernel: bse, reason: r}]",
         "9: unknown kernel of this lab 'bse'; did you mean 'base'?"),
        ("exclude: [{device: none, reason: r}]", "9: the lab does not vary the devices"),
        ("exclude: [{reason: r}]", "9: an exclude entry has to name one of"),
        ("exclude: [{guest: q35}]", "9: the key 'reason' is missing"),
        ("exclude: [{gest: q35, reason: r}]", "9: unknown key 'gest'; did you mean 'guest'?"),
        ("exclude: [{guest: q35, reason: r}]", "9: the matrix is empty"),
        ("exclude: [{guest: [], settings: thp-never, reason: r}]",
         "9: exclude.0.guest: value should have at least 1 item"),
        ("exclude: q35", "9: exclude: input should be a valid list, got 'q35'"),
        ("include: [{guest: q36}]", "9: unknown guest 'q36'; did you mean 'q35'?"),
        ("include: [{testcase: migrat/*}]", "9: unknown testcase 'migrat/*'"),
        ("include: [{testcase: T1, settings: hugetlb-2m}]", "9: this adds no cell"),
        ("include: [{}]", "9: an include entry has to name one of"),
        ("include: [{device: dmiror}]", "9: unknown device 'dmiror'; did you mean 'dmirror'?"),
        ("include: [{kernel: nope}]", "9: unknown kernel of this lab 'nope'"),
        ("expect: [{testcase: T1, device: [], reason: r}]", "9: expect.0.device"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_matrix_is_named(
    tmp_path: Path, catalogue: Catalogue, text: str, said: str
) -> None:
    found = mistakes(tmp_path, f"{GOOD}{text}\n", catalogue)
    assert any(one.startswith(f"lab.yaml:{said}") for one in found), found


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{name: T1, repeat: 0}", "testcases.0.repeat: input should be greater than"),
        ("{name: T1, repeat: yes}", "testcases.0.repeat: input should be a valid integer"),
        ("{name: exclusive/mapcont, repeat: 2}", "unknown testcase 'exclusive/mapcont'"),
        ("{repeat: 2}", "the key 'name' is missing"),
        ("{name: T1, repeats: 2}", "unknown key 'repeats'; did you mean 'repeat'?"),
        ("no", "testcases.0.name: expected text, but YAML reads this as False: put it in quotes"),
    ],
)
def test_a_mistake_in_a_testcase_entry_is_named(
    tmp_path: Path, catalogue: Catalogue, entry: str, said: str
) -> None:
    text = GOOD.replace('["exclusive/*"]', f"[{entry}, T9]")
    assert mistake(tmp_path, text, catalogue).startswith(f"lab.yaml:8: {said}")


def test_mistakes_in_the_matrix_and_elsewhere_come_at_once(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    text = GOOD.replace("[q35]", "[q36]") + (
        "exclude: [{settings: thp-nver, reason: r}]\ninclude: [{guest: q37}]\ncap: x\n"
    )
    found = mistakes(tmp_path, text, catalogue)
    assert [one.split(":")[1] for one in found] == ["6", "9", "10", "11"]


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("", MemoryDumpPolicy()),
        ("postmortem: 7\n", MemoryDumpPolicy(run=7, asked=True)),
        ("postmortem: 0\n", MemoryDumpPolicy(run=0, asked=True)),
        ("postmortem: {testcase: 3, max_mb: 10}\n", MemoryDumpPolicy(4, 3, 10, asked=True)),
    ],
)
def test_a_lab_says_how_many_memories_are_kept(
    tmp_path: Path, catalogue: Catalogue, text: str, keep: MemoryDumpPolicy
) -> None:
    assert read(tmp_path, GOOD + text, catalogue).postmortem == keep


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("postmortem: true\n", "postmortem"),
        ("postmortem: -1\n", "greater than or equal to 0"),
        ("postmortem: {runs: 1}\n", "unknown key 'runs'; did you mean 'run'"),
    ],
)
def test_a_wrong_number_of_memories_is_refused(
    tmp_path: Path, catalogue: Catalogue, text: str, what: str
) -> None:
    assert what in mistake(tmp_path, GOOD + text, catalogue)
