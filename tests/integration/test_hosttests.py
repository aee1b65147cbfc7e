# SPDX-License-Identifier: GPL-2.0
"""Host tests of a fake kernel tree: built and run in the real sandbox, with real sanitizers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import fake_tree

MAKEFILE = """\
CFLAGS += -g -fsanitize=address -fsanitize=undefined
default: vma
vma: vma.c ../../../mm/vma.c
\t@touch written-here
\t$(CC) $(CFLAGS) -o $@ vma.c
"""
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../../mm/vma.c"
#define TEST(name) do { run++; if (!test_##name()) { failed++; \
	fprintf(stderr, "Test " #name " FAILED\n"); } } while (0)
static int test_merge(void) { return vma_merge(3) == 3; }
static int test_split(void) { return vma_split(3) == 3; }
int main(void)
{
	int run = 0, failed = 0;

	if (!fopen("/kernel/build/note", "w"))
		TEST(merge);
	TEST(split);
	printf("%d tests run, %d passed, %d failed.\n", run, run - failed, failed);
	return failed ? 1 : 0;
}
"""
VMA = "int vma_merge(int n) { return n; }\nint vma_split(int n) { return n; }\n"
TREE = {
    "mm/vma.c": VMA,
    "tools/testing/vma/Makefile": MAKEFILE,
    "tools/testing/vma/vma.c": PROGRAM,
}
LAB = """\
name: host
kernels:
  - {{name: base, tree: "dir:{tree}", config: [guest]}}
guests: [host]
settings: [none]
testcases: [host/vma]
"""


@dataclass
class Run:
    """A run of the command, and what it left."""

    status: int
    said: str
    folder: Path

    @property
    def cells(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "results.json").read_text("utf-8"))["cells"])

    @property
    def change(self) -> str:
        comparison = json.loads((self.folder / "results.json").read_text("utf-8"))["comparison"]
        (row,) = comparison["rows"]
        return str(row["change"])


def command(tmp_path: Path, tree: Path, verb: str, *words: str) -> Run:
    lab = tmp_path / "host.yaml"
    lab.write_text(LAB.format(tree=tree), encoding="utf-8")
    output = tmp_path / "reports"
    done = subprocess.run(
        [sys.executable, "-m", "rmaplab", verb, str(lab), "--output", str(output), *words],
        env={**os.environ, "RMAPLAB_CACHE": str(tmp_path / "cache")},
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    (folder,) = output.iterdir()
    return Run(done.returncode, done.stdout + done.stderr, folder)


def run(tmp_path: Path, files: dict[str, str]) -> Run:
    return command(tmp_path, fake_tree.make(tmp_path / "linux", files), "run")


def ab(tmp_path: Path, name: str, old: str, new: str) -> Run:
    tree = fake_tree.make(tmp_path / "linux", TREE)
    fake_tree.change(tree, name, old, new)
    series = fake_tree.series_of(tree, tmp_path / "series")
    return command(tmp_path, tree, "ab", "--series", str(series), "--confirm", "0")


def test_a_run_of_host_tests_builds_no_kernel(tmp_path: Path) -> None:
    done = run(tmp_path, TREE)
    assert done.status == 0, done.said
    (cell,) = done.cells
    assert {one["name"]: one["verdict"] for one in cell["subtests"]} == {
        "merge": "pass", "split": "pass",
    }  # fmt: skip
    assert not (done.folder / "builds").exists()
    assert not (tmp_path / "linux/tools/testing/vma/written-here").exists()
    reproduce = (done.folder / "cells" / cell["id"] / "reproduce.sh").read_text("utf-8")
    assert "make -C tools/testing/vma && tools/testing/vma/vma" in reproduce


MERGE, SPLIT = (f"vma_{word}(int n) {{ return n;" for word in ("merge", "split"))
BUGS = {
    "a wrong result": (MERGE, "vma_merge(int n) { return 0;", "merge"),
    "a null pointer": (MERGE, "vma_merge(int n) { return *(int *)0;", "load of null pointer"),
    "a use after free": (
        SPLIT,
        "vma_split(int n) { int *p = malloc(4); free(p); *p = n; return *p;",
        "heap-use-after-free in vma_split",
    ),
    "a shift that is no failure of a test": (
        SPLIT,
        "vma_split(int n) { volatile int i = 64; int x = 1 << i; return n + x - x;",
        "shift exponent",
    ),
    "a quiet end": (SPLIT, "vma_split(int n) { _exit(0);", "nothing that is a result"),
    "an abort": (SPLIT, "vma_split(int n) { abort();", "killed by signal 6"),
    "no program": (SPLIT, "vma_split(int n) { return N;", "lab: build"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_of_the_series_is_a_regression(tmp_path: Path, bug: str) -> None:
    old, new, said = BUGS[bug]
    done = ab(tmp_path, "mm/vma.c", old, new)
    assert (done.status, done.change) == (1, "regressed"), done.said
    assert said in " ".join(done.said.split()), done.said


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tools/testing/vma/vma.c", "\tTEST(split);\n", ""),
        ("tools/testing/vma/vma.c", "TEST(split)", "TEST(merge)"),
    ],
)
def test_a_test_that_the_series_drops_is_missing(
    tmp_path: Path, name: str, old: str, new: str
) -> None:
    done = ab(tmp_path, name, old, new)
    assert (done.status, done.change) == (1, "missing"), done.said


def test_a_suite_that_the_series_drops_is_missing(tmp_path: Path) -> None:
    tree = fake_tree.make(tmp_path / "linux", TREE)
    fake_tree.git(tree, "rm", "--quiet", "-r", "tools/testing/vma")
    fake_tree.git(tree, "commit", "--quiet", "--no-gpg-sign", "-m", "tools: drop vma")
    series = fake_tree.series_of(tree, tmp_path / "series")
    done = command(tmp_path, tree, "ab", "--series", str(series), "--confirm", "0")
    assert (done.status, done.change) == (1, "missing"), done.said
    assert "the tree has no tools/testing/vma" in done.said


def test_a_tree_without_the_suite_is_a_skip(tmp_path: Path) -> None:
    done = run(tmp_path, {})
    assert done.cells[0]["verdict"] == "skip"
    assert done.cells[0]["reason"] == "the tree has no tools/testing/vma"


def test_a_library_that_is_missing_is_a_skip_that_names_the_package(tmp_path: Path) -> None:
    needy = {**TREE, "tools/testing/vma/vma.c": "#include <urcu/no/such.h>\n"}
    done = run(tmp_path, needy)
    assert done.cells[0]["verdict"] == "fail", "a header that no package has is the tree's mistake"
    linked = {**TREE, "tools/testing/vma/Makefile": MAKEFILE + "CFLAGS += -L/nowhere -lno_urcu\n"}
    (tmp_path / "two").mkdir()
    assert run(tmp_path / "two", linked).cells[0]["verdict"] == "fail"


def test_a_link_in_the_place_of_a_program_is_not_taken(tmp_path: Path) -> None:
    sly = {**TREE, "tools/testing/vma/Makefile": "vma:\n\tln -s /bin/true $@\n"}
    done = run(tmp_path, sly)
    assert done.cells[0]["verdict"] == "fail"
    assert "lab: build" in done.said
