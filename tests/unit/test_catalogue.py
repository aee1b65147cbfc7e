# SPDX-License-Identifier: GPL-2.0
"""Guest profiles, testcases, settings and fragments: those of the project, and broken ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmaplab.config.catalogue import DEVICES, Catalogue
from rmaplab.errors import DiagnosticsError
from rmaplab.model import Guest, Userspace

GUEST = """\
summary: two nodes
machine: q35
cpu: qemu64
nodes:
  - {memory_mb: 256, cpus: [0]}
  - {memory_mb: 512, cpus: [1, 2]}
devices: [dmirror]
"""
TESTCASE = """\
id: T1
summary: a testcase
kind: test
walkers: [try_to_unmap_one]
settings: [thp-never]
limit_s: 10
"""


def guests(root: Path, text: str) -> dict[str, Guest]:
    (root / "guests").mkdir()
    (root / "guests/mine.yaml").write_text(text, encoding="utf-8")
    return Catalogue(root).guests


def testcase_file(root: Path, name: str, text: str, *, source: bool = True) -> None:
    path = root / "testcases" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if source:
        path.with_suffix(".c").write_text("int main(void) {}\n", encoding="utf-8")


testcase_file.__test__ = False  # type: ignore[attr-defined]


def test_a_profile_becomes_a_guest(tmp_path: Path) -> None:
    guest = guests(tmp_path, GUEST)["mine"]
    assert (guest.cpus, guest.memory_mb, len(guest.nodes)) == (3, 768, 2)
    assert guest.devices == DEVICES[:1]
    assert guest.limits.boot_s > 0


def test_a_profile_has_slow_memory_dimms_and_reserved_memory(tmp_path: Path) -> None:
    text = (
        GUEST.replace("cpus: [0]", "cpus: [0], latency_ns: 10, bandwidth_mb_s: 9000")
        .replace("cpus: [1, 2]", "cpus: [1, 2], latency_ns: 90, bandwidth_mb_s: 900")
    )  # fmt: skip
    guest = guests(
        tmp_path, f"{text}dimms: [{{memory_mb: 128, node: 1}}]\nreserved_mb: 64\n"
    )["mine"]  # fmt: skip
    assert (guest.slow_nodes, guest.movable_mb, guest.memory_mb) == (1, 128, 768 + 128 - 64)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[1, 2]", "[0, 2]", "mine.yaml:4: the nodes' cpus have to be 0 to N-1"),
        ("[0]", "[]", "mine.yaml:4: the nodes' cpus have to be 0 to N-1"),
        ("[dmirror]", "[dmiror]", "mine.yaml:7: unknown device 'dmiror'; did you mean 'dmirror'?"),
        ("q35", "q36", "mine.yaml:2: machine: x86_64 guests have no machine 'q36': q35, pc"),
        ("q35", "virt", "mine.yaml:2: machine: x86_64 guests have no machine 'virt'"),
        ("cpu:", "arch: vax\ncpu:", "mine.yaml:3: arch: unknown architecture: x86_64"),
        ("256", "1", "mine.yaml:5: nodes.0.memory_mb:"),
        ("memory_mb: 256", "memory: 256", "unknown key 'memory'; did you mean 'memory_mb'?"),
        ("summary: two nodes\n", "", "the key 'summary' is missing"),
        ("devices:", "limits: {boot_s: 0}\ndevices:", "mine.yaml:7: limits.boot_s:"),
        ("devices:", "userspace: hots\ndevices:", "mine.yaml:7: userspace:"),
        ("devices:", "userspace: host\ndevices:", "mine.yaml:7: a guest that has the host's files"),
        ("devices:", "dimms: [{memory_mb: 128, node: 2}]\ndevices:", "there is no node 2"),
        ("devices:", "dimms: [{memory_mb: 100}]\ndevices:", "dimms.0.memory_mb: memory is plugged"),
        ("devices:", "dimms: [{memory_mb: 0}]\ndevices:", "dimms.0.memory_mb:"),
        ("devices:", "reserved_mb: 768\ndevices:", "it is all of the nodes' memory"),
        ("[0]", "[0], latency_ns: 9", "latency_ns and bandwidth_mb_s: every node needs both"),
    ],
)
def test_a_broken_profile_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DiagnosticsError, match=re.escape(said)):
        guests(tmp_path, GUEST.replace(old, new, 1))


def test_a_testcase_is_named_by_its_place(tmp_path: Path) -> None:
    testcase_file(tmp_path, "exclusive/mapcount", TESTCASE)
    (testcase,) = Catalogue(tmp_path).testcases.values()
    assert testcase.name == "exclusive/mapcount"
    assert testcase.source == tmp_path / "testcases/exclusive/mapcount.c"


def test_broken_testcases_are_all_named_at_once(tmp_path: Path) -> None:
    testcase_file(tmp_path, "a/alone", TESTCASE, source=False)
    testcase_file(tmp_path, "a/other", TESTCASE.replace("thp-never", "thp-nevr"))
    testcase_file(tmp_path, "b/kind", TESTCASE.replace("T1", "T3").replace("kind: test", "kind: x"))
    testcase_file(
        tmp_path, "b/needs", TESTCASE.replace("T1", "T4") + "requires: {devices: [mirror]}\n"
    )
    testcase_file(
        tmp_path, "b/leaves",
        TESTCASE.replace("T1", "T5") + "leaves:\n  vmstat.nr_mlock: 1\n  vmstat.nr_mlck: 2\n"
        '  "hugetlb.*": any\n  hugetlb.2048kB.fre_hugepages: 1\n',
    )  # fmt: skip
    with pytest.raises(DiagnosticsError) as caught:
        _ = Catalogue(tmp_path).testcases
    said = [f"{mistake.path.stem}:{mistake.line} {mistake.message}"
            for mistake in caught.value.mistakes]  # fmt: skip
    about = "unknown account of the ledger"
    assert f"leaves:9 {about} 'vmstat.nr_mlck'; did you mean 'vmstat.nr_mlock'?" in said
    assert any(one.startswith(f"leaves:11 {about} 'hugetlb.2048kB.fre_hugepages'") for one in said)
    assert sum("leaves:" in one for one in said) == 2
    assert any("its C file alone.c is missing" in one for one in said)
    assert any(one.startswith("other:5 unknown settings 'thp-nevr'") for one in said)
    assert any(one.startswith("other:1 T1 is the id of a/alone too") for one in said)
    assert any(one.startswith("kind:3 kind:") for one in said)
    assert any(one.startswith("needs:7 unknown device 'mirror'") for one in said)


def script_file(root: Path, name: str, text: str, suffix: str = ".py") -> None:
    testcase_file(root, name, text, source=False)
    path = root / "testcases" / f"{name}{suffix}"
    path.write_text("#!/usr/bin/python3\n", encoding="utf-8")


ON_HOST = TESTCASE + "requires: {userspace: host}\n"


@pytest.mark.parametrize("suffix", [".py", ".sh"])
def test_a_script_is_a_testcase_of_the_hosts_userspace(tmp_path: Path, suffix: str) -> None:
    script_file(tmp_path, "a/script", ON_HOST, suffix)
    (testcase,) = Catalogue(tmp_path).testcases.values()
    assert testcase.is_script
    assert testcase.requires.userspace is Userspace.HOST
    assert testcase.source.name == f"script{suffix}"


def test_a_script_that_cannot_be_run_is_a_mistake(tmp_path: Path) -> None:
    script_file(tmp_path, "a/fast", TESTCASE)
    script_file(tmp_path, "a/both", ON_HOST.replace("T1", "T2"))
    (tmp_path / "testcases/a/both.c").write_text("", encoding="utf-8")
    script_file(tmp_path, "a/plain", ON_HOST.replace("T1", "T3"))
    (tmp_path / "testcases/a/plain.py").write_text("print()\n", encoding="utf-8")
    with pytest.raises(DiagnosticsError) as caught:
        _ = Catalogue(tmp_path).testcases
    said = "\n".join(mistake.message for mistake in caught.value.mistakes)
    assert "the script fast.py needs requires: {userspace: host}" in said
    assert "both both.c and both.py could be its program" in said
    assert "plain.py does not begin with #!" in said


def test_what_the_project_offers_is_whole() -> None:
    catalogue = Catalogue()
    assert catalogue.guests
    assert catalogue.fragments.keys() >= {"guest", "mm", "device"}
    wanted = {"thp-never", "thp-always", "thp-madvise", "mthp-64k", "hugetlb-2m",
              "khugepaged-eager"}  # fmt: skip
    assert catalogue.settings.keys() >= wanted
    for testcase in catalogue.testcases.values():
        assert testcase.summary
        assert testcase.source.is_file()


def test_settings_never_move_a_page_behind_a_workloads_back() -> None:
    # "none" is for what has no workload in a guest, or one that is the kernel's own.
    wanted = {name: one for name, one in Catalogue().settings.items() if name != "none"}
    for name, settings in wanted.items():
        paths = {write.path.rsplit("/", 1)[-1] for write in settings.writes}
        assert "scan_sleep_millisecs" in paths, name
