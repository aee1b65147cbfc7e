# SPDX-License-Identifier: GPL-2.0
"""Lines of a series in a linked program: the real compiler, linker, sandbox and debug info.

The program stands for a kernel: objects with the command that kbuild notes of each, an archive of
them, a System.map. Its addresses are a kernel's, so that they are what a guest's blocks have.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.build import changedcode, harvest, linetables, sandbox
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.model import Kconfig, Kernel, Patch, ResolvedKernel, Series, Tree
from rmaplab.model.coverage import ChangedFile, ChangedFunction, KernelChange, LineKind
from rmaplab.source import diff
from rmaplab.store.cache import Cache

HEADER = """static inline int twice(int x)
{
\tasm volatile("nop" : "+r" (x));
\treturn x * 2;
}
"""
RMAP = """#include "walk.h"
int slow(int x);
int leaf(int x);

__attribute__((cold)) int slow(int x)
{
\treturn leaf(x) * 3;
}

static int one(int x)
{
\tif (x > 4)
\t\treturn slow(x);
\treturn twice(x);
}

int walk(int nr)
{
\tint found = 0;

\twhile (nr--)
\t\tfound += one(nr) + leaf(nr);
\treturn found;
}
"""
LEAF = """int walk(int nr);
int leaf(int x);
int leaf(int x)
{
\treturn x ^ 5;
}

void _start(void);
void _start(void)
{
\twalk(3);
}
"""
BEFORE: Mapping[str, str] = {
    "mm/rmap.c": RMAP, "mm/leaf.c": LEAF, "mm/out.c": "int out;\n", "include/walk.h": HEADER,
}  # fmt: skip
FLAGS = (
    "-O2 -nostdinc -I/kernel/source/include -ffreestanding -fno-pic -mcmodel=kernel "
    "-fno-asynchronous-unwind-tables"
)


def command(name: str, flags: str) -> str:
    """Return the command of an object, as kbuild notes it."""
    folder, _, last = name.rpartition("/")
    return (
        f"gcc -Wp,-MMD,{folder}/.{last}.d {flags} -DNAME='\"{name}\"' -c -o {name} "
        f"/kernel/source/{name[:-2]}.c  ; true {name}"
    )


class Program:
    """A tree, a series of one patch on it, and the program that was built of both."""

    def __init__(self, folder: Path, after: Mapping[str, str], flags: str = FLAGS) -> None:
        self.folder = folder
        self.cache = Cache(folder / "cache")
        self.tree = folder / "tree"
        self.build = folder / "obj"
        (self.build / "mm").mkdir(parents=True)
        for name, text in BEFORE.items():
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            (self.tree / name).write_text(text, encoding="utf-8")
        series = Series("x", "x", (self._patch(after),))
        self.kernel = ResolvedKernel(
            Kernel("patched", "dir:x", "x", ()), Tree("dir:x", self.tree, "6.12.1", "x", "x"),
            series, Kconfig((), (), "x"), "gcc", "1", "",
        )  # fmt: skip
        self._make(folder / "b", ["mm/rmap.o", "mm/leaf.o"], flags)

    def _patch(self, after: Mapping[str, str]) -> Patch:
        """Return the patch to the files of ``after``, which go to folder b."""
        shutil.copytree(self.tree, self.folder / "a")
        shutil.copytree(self.tree, self.folder / "b")
        for name, text in after.items():
            (self.folder / "b" / name).parent.mkdir(exist_ok=True)
            (self.folder / "b" / name).write_text(text, encoding="utf-8")
        made = proc.run(
            ["git", "diff", "--no-index", "--no-prefix", "a", "b"], cwd=self.folder, check=False
        )
        return Patch("x", "x", "x", made.stdout, "x", diff.files(made.stdout))

    def _make(self, source: Path, names: list[str], flags: str) -> None:
        lines = ["set -e"]
        for name in names:
            folder, _, last = name.rpartition("/")
            (self.build / folder / f".{last}.cmd").write_text(
                f"savedcmd_{name} := {command(name, flags)}\n\n"
                f"deps_{name} := \\\n  /kernel/source/include/walk.h \\\n"
            )
            lines.append(command(name, flags))
        lines.append(f"ar rcT vmlinux.a {' '.join(names)}")
        lines.append("ld -o vmlinux -Ttext=0xffffffff81000000 " + " ".join(names))
        lines.append("nm -n vmlinux > System.map")
        said = bytearray()
        ended = sandbox.run(
            ["bash", "-c", "\n".join(lines)], said.extend, source=source, build=self.build,
            limit_s=60,
        )  # fmt: skip
        assert ended.ok, said.decode()

    def change(self) -> KernelChange:
        return changedcode.of_kernel(self.kernel, self.build, self.cache)

    def code(self, function: str) -> tuple[int, int]:
        """Return where nm says that a function of the program is."""
        said = proc.run(["nm", "-n", "-S", self.build / "vmlinux"]).text
        words = next(line.split() for line in said.splitlines() if line.endswith(f" {function}"))
        return int(words[0], 16), int(words[0], 16) + int(words[1], 16)


def kinds(file: ChangedFile) -> dict[int, LineKind]:
    return {line.number: line.kind for line in file.lines}


def only(change: KernelChange, path: str = "mm/rmap.c") -> ChangedFile:
    (file,) = (one for one in change.files if one.path == path)
    return file


PATCHED = RMAP.replace(
    "\twhile (nr--)\n",
    """\t/* leaf() is not for
\t * large folios
\t */
\tif (nr == 77)
\t\treturn leaf(1);
#ifdef CONFIG_NONE
\tif (nr == 78)
\t\treturn slow(nr);
#endif
\twhile (nr--)
""",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(tmp_path_factory.mktemp("program"), {"mm/rmap.c": PATCHED})


def test_a_changed_line_has_code_or_not_or_was_not_built(program: Program) -> None:
    assert kinds(only(program.change())) == {
        21: LineKind.WITHOUT_CODE, 22: LineKind.WITHOUT_CODE, 23: LineKind.WITHOUT_CODE,
        24: LineKind.CODE, 25: LineKind.CODE,
        26: LineKind.WITHOUT_CODE, 27: LineKind.NOT_BUILT, 28: LineKind.NOT_BUILT,
        29: LineKind.WITHOUT_CODE,
    }  # fmt: skip


def test_the_code_of_a_line_is_in_its_function(program: Program) -> None:
    begin, end = program.code("walk")
    found = only(program.change())
    assert [(one.name, one.line) for one in found.functions] == [("walk", 17)]
    # The unlikely part may be apart.
    cold = [one for one in found.functions[0].ranges if one != (begin, end)]
    assert (begin, end) in found.functions[0].ranges
    assert cold == [made for made in [program.code("walk.cold")] if cold]
    for line in found.lines:
        assert all(
            any(first <= b < e <= last for first, last in found.functions[0].ranges)
            for b, e in line.ranges
        )


def test_the_branch_that_is_not_taken_is_not_run(program: Program) -> None:
    found = only(program.change())
    taken = {line.number: line.ranges for line in found.lines if line.ranges}
    begin, _ = program.code("walk")
    ran = RunBlocks((begin,), (min(b for b, _ in taken[25]),))
    assert any(ran.has(*one) for one in taken[24])
    assert not any(ran.has(*one) for one in taken[25])


def test_a_call_that_is_inlined_is_code_of_its_line(tmp_path: Path) -> None:
    after = {"mm/rmap.c": RMAP.replace("\treturn twice(x);", "\treturn twice(x) ;")}
    made = Program(tmp_path, after)
    (line,) = only(made.change()).lines
    assert line.kind is LineKind.CODE
    begin, end = made.code("walk")
    assert all(begin <= b < e <= end for b, e in line.ranges)


def test_code_of_a_header_is_found_where_it_is_inlined(tmp_path: Path) -> None:
    made = Program(tmp_path, {"include/walk.h": HEADER.replace("nop", "nop ; nop")})
    file = only(made.change(), "include/walk.h")
    assert kinds(file) == {3: LineKind.CODE}
    assert [one.name for one in file.functions] == ["twice"]
    begin, end = made.code("walk")
    assert all(begin <= b < e <= end for b, e in file.lines[0].ranges)


def test_cold_code_in_a_section_of_its_own_is_placed(tmp_path: Path) -> None:
    made = Program(tmp_path, {"mm/rmap.c": RMAP.replace("leaf(x) * 3", "leaf(x) * 5")})
    file = only(made.change())
    begin, end = made.code("slow")
    assert all(begin <= b < e <= end for b, e in file.lines[0].ranges)


def test_a_file_of_which_nothing_is_built_says_so(tmp_path: Path) -> None:
    made = Program(tmp_path, {"mm/out.c": "int out;\nint out2(void) { return 1; }\n"})
    file = only(made.change(), "mm/out.c")
    assert kinds(file) == {2: LineKind.NOT_BUILT}
    assert file.note == "no object of this kernel is made of it"


def test_a_function_that_nothing_calls_is_named(tmp_path: Path) -> None:
    more = "\nint nobody(int x);\nint nobody(int x)\n{\n\treturn leaf(x) + 1;\n}\n"
    file = only(Program(tmp_path, {"mm/rmap.c": RMAP + more}).change())
    assert [(f.name, f.unused) for f in file.functions] == [
        ("nobody", "nothing in this kernel calls it")
    ]


@pytest.mark.parametrize("name", ["walk", "slow", "leaf"])
def test_a_function_that_is_called_is_not_said_to_be_unused(tmp_path: Path, name: str) -> None:
    after = {
        "mm/rmap.c": RMAP.replace("return found", "return found + 1").replace("* 3", "* 9"),
        "mm/leaf.c": LEAF.replace("^ 5", "^ 6"),
    }
    change = Program(tmp_path, after).change()
    found: dict[str, ChangedFunction] = {f.name: f for c in change.files for f in c.functions}
    assert found[name].unused == ""


def test_lines_that_are_only_removed_change_their_function(tmp_path: Path) -> None:
    after = {"mm/rmap.c": RMAP.replace("\tif (x > 4)\n\t\treturn slow(x);\n", "")}
    file = only(Program(tmp_path, after).change())
    assert file.lines == ()
    assert [one.name for one in file.functions] == ["one"]


def test_an_object_that_debug_info_changes_is_not_used(tmp_path: Path) -> None:
    # A command that is not the one which made the object: as a compiler that debug info disturbs.
    made = Program(tmp_path, {"mm/rmap.c": PATCHED})
    note = made.build / "mm/.rmap.o.cmd"
    note.write_text(note.read_text(encoding="utf-8").replace("-O2", "-O1"), encoding="utf-8")
    file = only(made.change())
    assert "with debug info its code is another (.text" in file.note
    assert LineKind.CODE not in kinds(file).values()
    assert file.functions == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("savedcmd_mm/rmap.o := rm -rf /\n", "not compiled by a command of a usual form"),
        ("", "not compiled by a command of a usual form"),
        ("savedcmd_mm/rmap.o := false -c -o mm/rmap.o x.c\n", "No such file or directory"),
        (None, "the build made no mm/.rmap.o.cmd"),
    ],
)
def test_an_object_that_cannot_be_compiled_again_is_said(
    tmp_path: Path, text: str | None, said: str
) -> None:
    made = Program(tmp_path, {"mm/rmap.c": PATCHED})
    note = made.build / "mm/.rmap.o.cmd"
    note.unlink()
    if text is not None:
        note.write_text(text, encoding="utf-8")
    file = only(made.change())
    assert said in file.note
    assert LineKind.CODE not in kinds(file).values()
    assert LineKind.UNKNOWN in kinds(file).values()


def test_a_command_of_a_series_reaches_nothing_outside(tmp_path: Path) -> None:
    """A command that a series wrote leaves a link in the place of the object."""
    made = Program(tmp_path, {"mm/rmap.c": PATCHED})
    secret = tmp_path / "secret"
    secret.write_text("secret\n", encoding="utf-8")
    note = made.build / "mm/.rmap.o.cmd"
    text = f"ln -s {secret} mm/rmap.o ; touch {tmp_path}/out ; true -c -o mm/rmap.o x.c"
    note.write_text(f"savedcmd_mm/rmap.o := {text}\n", encoding="utf-8")
    file = only(made.change())
    assert "mm/rmap.o: " in file.note
    assert not (tmp_path / "out").exists()
    assert harvest.text(made.build, "mm/.rmap.o.cmd").startswith("savedcmd")


def test_an_object_that_is_elsewhere_than_its_symbols_say_is_not_placed(tmp_path: Path) -> None:
    made = Program(tmp_path, {"mm/rmap.c": PATCHED})
    table = made.build / "System.map"
    text = table.read_text(encoding="utf-8")
    table.write_text(re.sub(r" (walk|slow)", r" other_\1", text))
    tables = linetables.read(made.build, made.folder / "b", ["mm/rmap.o"], ["mm/rmap.c"])
    assert tables.refused == {"mm/rmap.o": "it is not in the kernel's image"}


def test_a_weak_function_that_the_kernel_has_elsewhere_misleads_nobody(tmp_path: Path) -> None:
    strong = "\nint limit(void);\nint limit(void)\n{\n\treturn 2;\n}\n"
    weak = "\n__attribute__((weak))" + strong.replace("2", "1")[1:]
    made = Program(tmp_path, {"mm/rmap.c": PATCHED + weak, "mm/leaf.c": LEAF + strong})
    begin, end = made.code("walk")
    (walk,) = (one for one in only(made.change()).functions if one.name == "walk")
    assert (begin, end) in walk.ranges


def test_a_section_without_a_place_is_said_and_its_lines_are_not_guessed(tmp_path: Path) -> None:
    made = Program(tmp_path, {"mm/rmap.c": PATCHED})
    table = made.build / "System.map"
    text = re.sub(r"^\w+ T walk$", f"{1 << 40:016x} T walk", table.read_text("utf-8"), flags=re.M)
    table.write_text(text + f"{1 << 41:016x} T walk\n", encoding="utf-8")
    file = only(made.change())
    assert "no place that all symbols agree on (.text)" in file.note
    assert LineKind.CODE not in kinds(file).values()
    assert kinds(file)[24] is LineKind.UNKNOWN


@pytest.mark.parametrize(
    ("line", "inside"),
    [
        ("extern int a; /* { */", False),
        ("#define X \"{\" '{'", False),
        ("static inline int f(void)", True),
        ("\treturn 1; // }", True),
        ("int b;", False),
        ("\tint c;", True),
    ],
)
def test_a_declaration_of_a_header_has_code_nowhere(line: str, inside: bool) -> None:
    text = (
        "extern int a; /* { */\n#define X \"{\" '{'\n\n\n"
        "static inline int f(void)\n{\n\treturn 1; // }\n}\n"
        "int b;\n\n\nstruct s {\n\tint c;\n};\n"
    )
    number = text.split("\n").index(line) + 1
    assert (number in changedcode._in_braces(text)) is inside


def test_a_header_that_changes_a_declaration_compiles_nothing_again(tmp_path: Path) -> None:
    made = Program(tmp_path, {"include/walk.h": HEADER + "\nint thrice(int x);\n"})
    shutil.rmtree(made.build / "mm")  # it would be missed
    file = only(made.change(), "include/walk.h")
    assert set(kinds(file).values()) == {LineKind.WITHOUT_CODE}


def test_a_function_that_is_passed_on_by_its_address_is_used(tmp_path: Path) -> None:
    after = {
        "mm/rmap.c": RMAP
        + "\nint visit(int (*each)(int));\nint begin(void);\n"
        + "static int each(int x)\n{\n\treturn leaf(x) + 9;\n}\n"
        + "int begin(void)\n{\n\treturn visit(each);\n}\n",
        "mm/leaf.c": LEAF
        + "int begin(void);\nint visit(int (*each)(int));\n"
        + "int visit(int (*each)(int))\n{\n\treturn each(1) + each(2);\n}\n"
        + "int end(void);\nint end(void)\n{\n\treturn begin();\n}\n",
    }
    change = Program(tmp_path, after).change()
    unused = {f.name: bool(f.unused) for c in change.files for f in c.functions}
    assert unused == {"each": False, "begin": False, "visit": False, "end": True}
