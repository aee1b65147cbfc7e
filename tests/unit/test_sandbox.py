# SPDX-License-Identifier: GPL-2.0
"""The sandbox's command line: what a series' Makefiles get to see."""

from __future__ import annotations

from pathlib import Path

from rmaplab.build import bubblewrap, sandbox
from rmaplab.build.bubblewrap import Form
from rmaplab.build.makelog import first_errors
from rmaplab.model import X86_64

SOURCE = Path("/somewhere/tree")
BUILD = Path("/somewhere/obj")


def words(root: Path) -> list[str]:
    box = sandbox.box_of(SOURCE, BUILD)
    return bubblewrap.command(["true"], box, form=Form(None, True), root=root)


def pairs(argv: list[str], option: str) -> list[tuple[str, str]]:
    return [(argv[n + 1], argv[n + 2]) for n, word in enumerate(argv) if word == option]


def test_the_source_is_read_only_and_the_build_folder_alone_is_writable(tmp_path: Path) -> None:
    argv = words(tmp_path)
    assert (str(SOURCE), "/kernel/source") in pairs(argv, "--ro-bind")
    assert pairs(argv, "--bind") == [(str(BUILD), "/kernel/build")]


def test_there_is_no_network_no_privilege_and_no_environment(tmp_path: Path) -> None:
    argv = words(tmp_path)
    assert "--unshare-all" in argv
    assert "--share-net" not in argv
    assert argv[argv.index("--cap-drop") + 1] == "ALL"
    assert argv.index("--clearenv") < argv.index("--setenv")
    assert "--die-with-parent" in argv


def test_nothing_of_the_host_but_its_tools_is_there(tmp_path: Path) -> None:
    for folder in ("bin", "home", "root", "etc"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lib").symlink_to("usr/lib")
    argv = words(tmp_path)
    seen = {target for _, target in (*pairs(argv, "--ro-bind"), *pairs(argv, "--ro-bind-try"))}
    assert seen - {"/usr", "/bin", "/kernel/source", "/proc/sys"} == {
        f"/etc/{name}"
        for name in ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "debian_version")
    }
    assert pairs(argv, "--symlink") == [("usr/lib", "/lib")]


def test_every_variant_has_the_same_paths_time_and_builder(tmp_path: Path) -> None:
    environment = dict(pairs(words(tmp_path), "--setenv"))
    assert environment == dict(sandbox.ENVIRONMENT)
    for key in ("TIMESTAMP", "USER", "HOST", "VERSION"):
        assert environment[f"KBUILD_BUILD_{key}"]


def test_make_is_told_the_paths_of_the_sandbox() -> None:
    assert sandbox.make(["bzImage"], X86_64, jobs=3) == [
        "make", "-C", "/kernel/source", "O=/kernel/build", "ARCH=x86_64", "-j3", "bzImage"
    ]  # fmt: skip


def test_the_first_errors_name_file_and_line_as_the_tree_has_them() -> None:
    log = """\
  CC      mm/rmap.o
../mm/rmap.c:10:5: error: expected ';' before 'return'
/kernel/source/mm/rmap.c:12:1: error: unknown type name 'foo'
../source/mm/memory.c:7:10: fatal error: nope.h: No such file or directory
/kernel/source/mm/rmap.c:12:1: error: unknown type name 'foo'
mm/ksm.c:3:1: warning: unused variable
make[3]: *** [../scripts/Makefile.build:229: mm/rmap.o] Error 1
"""
    assert first_errors(log) == [
        "../mm/rmap.c:10:5: error: expected ';' before 'return'",
        "mm/rmap.c:12:1: error: unknown type name 'foo'",
        "mm/memory.c:7:10: error: nope.h: No such file or directory",
    ]


def test_a_linkers_error_is_an_error_too() -> None:
    log = "ld: mm/rmap.o: in function `a':\nrmap.c:(.text+0x1): undefined reference to `nope'\n"
    assert first_errors(log) == ["rmap.c:(.text+0x1): undefined reference to `nope'"]


def test_without_a_compilers_word_make_says_what_failed() -> None:
    log = "echo no\nmake[1]: *** [Makefile:3: bzImage] Error 7\nmake: *** [Makefile:2] Error 2\n"
    assert first_errors(log)[0] == "make[1]: *** [Makefile:3: bzImage] Error 7"
    assert first_errors("nothing of interest\n") == []


def test_no_more_than_the_first_few_errors_are_shown() -> None:
    log = "".join(f"mm/rmap.c:{n}:1: error: no\n" for n in range(100))
    assert len(first_errors(log)) == 5
