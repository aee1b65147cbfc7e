# SPDX-License-Identifier: GPL-2.0
"""sparse, in the sandbox, on what kbuild noted: what a patch brings is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rmaplab.build import sparse
from rmaplab.build.sparse import Built

NOTE = (
    "savedcmd_mm/x.o := gcc -Wp,-MMD,mm/.x.o.d -nostdinc -I/kernel/source/include -I./include "
    "-include /kernel/source/include/kinds.h -D__KERNEL__ -std=gnu11 -O2 -Wall "
    "-DKBUILD_MODNAME='\"x\"' -c -o mm/x.o /kernel/source/mm/x.c ; ./tools/objtool mm/x.o\n\n"
    "source_mm/x.o := x\n"
)
KINDS = "#define __user __attribute__((noderef, address_space(__user)))\n"
CLEAN = "int get(int *p);\nint get(int *p)\n{\n\treturn *p;\n}\n"
ODD = CLEAN.replace("get(int *p)\n{", "get(int *p)\n{\n\tint __user *q = p;\n")


def test_the_options_are_those_of_the_compiler() -> None:
    words = sparse.command(NOTE, "mm/x.c")
    assert words[0] == "sparse"
    assert words[-1] == "/kernel/source/mm/x.c"
    assert {"-I./include", "-D__KERNEL__", '-DKBUILD_MODNAME="x"', "-nostdinc"} <= set(words)
    assert not {"-c", "-o", "-Wall", "-O2"} & set(words)
    assert words[words.index("-include") + 1] == "/kernel/source/include/kinds.h"
    assert sparse.command(NOTE, "mm/y.c") == []
    assert sparse.command("deps_mm/x.o := x", "mm/x.c") == []
    assert sparse.command("cmd_mm/x.o := gcc 'open", "mm/x.c") == []


def built(folder: Path, text: str) -> Built:
    source, objects = folder / "source", folder / "obj"
    for path, content in ((source / "mm/x.c", text), (source / "include/kinds.h", KINDS),
                          (objects / "mm/.x.o.cmd", NOTE)):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return Built(source, objects)


@pytest.mark.skipif(shutil.which("sparse") is None, reason="Debian's sparse is not installed")
def test_what_a_patch_brings_is_named_and_nothing_else(tmp_path: Path) -> None:
    before, after = built(tmp_path / "a", CLEAN), built(tmp_path / "b", ODD)
    (said,) = sparse.remarks(before, after, ["mm/x.c", "mm/x.h", "mm/not-compiled.c"])
    assert said.startswith("sparse: mm/x.c:4: incorrect type in initializer")
    assert sparse.remarks(after, after, ["mm/x.c"]) == ()
    assert sparse.remarks(after, before, ["mm/x.c"]) == ()
