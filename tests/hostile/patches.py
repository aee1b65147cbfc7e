# SPDX-License-Identifier: GPL-2.0
"""Hostile patches for the fake tree: paths, modes, names and forms that git may read otherwise.

Each attempt is a series: one or more diffs, applied in order. It is refused with a message, or it
is applied, and then the files that the lab knows to be changed are those that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RMAP = "mm/rmap.c"


@dataclass(frozen=True)
class HostilePatches:
    """One attempt; ``says`` is in the message of one that is refused, None for one that applies.

    ``changes`` are the paths that differ after one that applies. ``either`` is True if both are
    right, as long as nothing is hidden.
    """

    name: str
    diffs: Sequence[bytes]
    says: str | None = ""
    changes: frozenset[str] = frozenset()
    either: bool = False


def new(path: str, content: str = "evil\n", mode: str = "100644", git: str = "") -> bytes:
    """Return a diff that makes a file; ``git`` replaces the paths of its first line."""
    lines = content.splitlines()
    end = "" if content.endswith("\n") else "\\ No newline at end of file\n"
    return (
        f"diff --git {git or f'a/{path} b/{path}'}\nnew file mode {mode}\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n"
        + "".join(f"+{line}\n" for line in lines)
        + end
    ).encode()


def link(path: str, target: str) -> bytes:
    """Return a diff that makes a symbolic link."""
    return new(path, target, "120000")


def edit(old: str = RMAP, renamed: str = "", a: str = "a/", b: str = "b/") -> bytes:
    """Return a diff that changes what rmap() of the fake tree returns."""
    return (
        f"--- {a}{old}\n+++ {b}{renamed or old}\n@@ -5,5 +5,5 @@\n \n int rmap(void)\n {{\n"
        "-\treturn FAKE;\n+\treturn 2;\n }\n"
    ).encode()


GOOD = b"diff --git a/mm/rmap.c b/mm/rmap.c\n" + edit()


def _refused(name: str, *diffs: bytes, says: str = "") -> HostilePatches:
    return HostilePatches(name, diffs, says)


def _applied(name: str, *diffs: bytes, changes: Sequence[str] = (RMAP,)) -> HostilePatches:
    return HostilePatches(name, diffs, None, frozenset(changes))


def _either(name: str, *diffs: bytes) -> HostilePatches:
    return HostilePatches(name, diffs, either=True)


def _moved(verb: str, old: str, to: str) -> bytes:
    return (
        f"diff --git a/{old} b/{to}\nsimilarity index 100%\n{verb} from {old}\n{verb} to {to}\n"
    ).encode()


OUT = (
    _refused("a path with dots", new("../evil"), says="leads out of the tree"),
    _refused("a path with dots within", new("mm/../../evil"), says="leads out of the tree"),
    _refused("an absolute path", new("@home@/evil", git="/@home@/evil /@home@/evil")),
    _refused("an absolute path behind the prefix", new("/@home@/evil")),
    _refused("an edit of the user's file", edit("@home@/.bashrc", a="/", b="/")),
    _refused("a rename out of the tree", _moved("rename", "mm/ksm.c", "../../ksm.c")),
    _refused("a rename into the tree", _moved("rename", "../../home/.netrc", "mm/netrc")),
    _refused("a copy of the user's file", _moved("copy", "@home@/.netrc", "mm/netrc")),
    _refused("a copy by dots", _moved("copy", "../../../../home/.netrc", "mm/netrc")),
    _refused("a link to the home", link("mm/home", "@home@"), says="leads out of the tree"),
    _refused("a link to a password", link("mm/pass.c", "@home@/.netrc"), says="leads out"),
    _refused("a link by dots", link("mm/up", "../../../../../.."), says="leads out of the tree"),
    _refused("a file behind a link", link("mm/home", "@home@"), new("mm/home/evil"),
             says="does not apply"),
    _refused("a file behind a link that goes again", link("mm/home", "@home@"),
             new("mm/home/evil"), _moved("rename", "mm/home", "mm/gone"), says="does not apply"),
    _refused("a file behind a link in one diff", link("mm/home", "@home@") + new("mm/home/evil")),
    _refused("a folder that becomes a link", _moved("rename", RMAP, "rmap.c")
             + _moved("rename", "mm/ksm.c", "ksm.c") + _moved("rename", "mm/Kconfig", "Kc"),
             link("mm", "@home@"), says="leads out of the tree"),
    _either("a link to itself", link("mm/loop", "loop"), GOOD),
    _either("links in a circle", link("a", "b"), link("b", "a"), new("mm/x.c")),
    _refused("a link over a file", b"diff --git a/mm/ksm.c b/mm/ksm.c\nold mode 100644\n"
             b"new mode 120000\n"),
    _refused("a file of git's", new(".git/hooks/post-checkout", "#!/bin/sh\ntouch @home@/x\n")),
    _refused("a file of git's in capitals", new(".GIT/config", "[core]\n")),
    _refused("a file of git's in a folder", new("mm/.git/config", "[core]\n")),
    _either("a file of git's by a short name", new("git~1/config", "[core]\n")),
    _refused("a submodule", b"diff --git a/sub b/sub\nnew file mode 160000\n"
             b"index 0000000..1234567\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n+Subproject commit "
             b"1234567890123456789012345678901234567890\n"),
    _refused("a device", new("mm/dev", "", "020666")),
    _refused("an empty name", edit("", a="a/", b="b/")),
    _refused("no name at all", edit("/dev/null", a="", b="")),
)  # fmt: skip
"""Paths that lead out of the tree."""

HIDDEN = (
    _applied("two blanks before a name", b"diff --git a/mm/rmap.c b/mm/rmap.c\n"
             + edit(a="  a/", b="  b/")),
    _applied("no line of git's", edit()),
    _applied("a name in quotes", edit('rmap.c"', a='"a/mm/', b='"b/mm/')),
    _applied("a name in octal", edit('rmap\\056c"', a='"a/mm/', b='"b/mm/')),
    _applied("a name with a time behind it",
             edit(RMAP + "\t2001-01-01 00:00:00", a="a/", b="b/")),
    _applied("another name in git's line",
             b"diff --git a/mm/ksm.c b/mm/ksm.c\n" + edit().replace(b"mm/", b"mm/")),
    _either("a name in the text before", b"diff --git a/../../home/.netrc\n--- a list\n\n" + GOOD),
    _applied("names in a hunk", GOOD + new("mm/x.txt", "++ b/../../evil\n-- a/mm/ksm.c\n"),
             changes=(RMAP, "mm/x.txt")),
    _applied("a diff in a hunk", GOOD + new("mm/x.txt", "diff --git a/mm/ksm.c b/mm/ksm.c\n"
             "deleted file mode 100644\n--- a/mm/ksm.c\n+++ /dev/null\n"),
             changes=(RMAP, "mm/x.txt")),
    _applied("other prefixes", edit(a="old/", b="new/")),
    _applied("a rename and an edit", _moved("rename", RMAP, "mm/new.c")
             .replace(b"100%", b"90%") + edit(RMAP, "mm/new.c"), changes=(RMAP, "mm/new.c")),
    _applied("a name with a newline", new('x\\ny.h"', git='"a/x\\ny.h" "b/x\\ny.h"')
             .replace(b"+++ b/", b'+++ "b/'), changes=("x\ny.h",)),
    _applied("a name with an escape", new('\\033[2J.h"', git='"a/\\033[2J.h" "b/\\033[2J.h"')
             .replace(b"+++ b/", b'+++ "b/'), changes=("\x1b[2J.h",)),
    _applied("a name that is no UTF-8", new('\\377.h"', git='"a/\\377.h" "b/\\377.h"')
             .replace(b"+++ b/", b'+++ "b/'), changes=("\udcff.h",)),
    _applied("a name that is an option", new("-rf"), changes=("-rf",)),
    _applied("names that differ in their case", new("MM/rmap.c"), new("mm/Rmap.c"),
             changes=("MM/rmap.c", "mm/Rmap.c")),
    _applied("a mode alone", b"diff --git a/mm/ksm.c b/mm/ksm.c\nold mode 100644\n"
             b"new mode 100755\n", changes=("mm/ksm.c",)),
    _applied("attributes that convert", new(".gitattributes", "* text eol=crlf filter=evil ident\n"
             "* working-tree-encoding=UTF-16\n"), new("mm/x.txt", "a\n"), GOOD,
             changes=(".gitattributes", "mm/x.txt", RMAP)),
    _applied("modules", new(".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = ext::sh\n'),
             changes=(".gitmodules",)),
    _applied("a configuration beside the tree", new(".gitconfig", "[alias]\n\tx = !touch\n"),
             changes=(".gitconfig",)),
    _applied("a makefile that goes first", new("GNUmakefile", "all:\n"), changes=("GNUmakefile",)),
    _applied("a link within the tree", link("mm/other.c", "ksm.c"), changes=("mm/other.c",)),
    _applied("a file of one line of 10 MB", new("mm/long.txt", "x" * 10_000_000 + "\n"),
             changes=("mm/long.txt",)),
    _applied("2000 files", b"".join(new(f"many/{n}") for n in range(2000)),
             changes=[f"many/{n}" for n in range(2000)]),
    _applied("a change and back", GOOD, edit().replace(b"-\treturn FAKE", b"-\treturn 3")
             .replace(b"+\treturn 2", b"+\treturn FAKE").replace(b"return 3", b"return 2"),
             changes=()),
)  # fmt: skip
"""Diffs whose files another reader than git would not see, or would see others."""

BROKEN = (
    _refused("a hunk of many lines", edit().replace(b"-5,5 +5,5", b"-5,99999999999 +5,5")),
    _refused("a hunk beyond the end", edit().replace(b"-5,5 +5,5", b"-9999999,5 +9999999,5")
             .replace(b"int rmap", b"int rmop")),
    _refused("a hunk of less than nothing", edit().replace(b"-5,5", b"--5,-5")),
    _refused("a hunk without a file", b"@@ -1,1 +1,1 @@\n-a\n+b\n" + GOOD),
    _refused("a hunk that is cut", GOOD[:-20]),
    _refused("a context that is another file's", GOOD.replace(b"int rmap", b"int ksm")),
    _refused("a file that is there already", new("mm/ksm.c"), says="already exists"),
    _refused("a file in the place of a folder", new("mm")),
    _refused("a folder in the place of a file", new("mm/ksm.c/x")),
    _refused("a rename of nothing", _moved("rename", "mm/none.c", "mm/x.c")),
    _refused("a name of 5000 characters", new("x" * 5000)),
    _refused("a name 3000 folders deep", new("d/" * 3000 + "x")),
    _refused("a binary that says it is huge", b"diff --git a/x.bin b/x.bin\nnew file mode 100644\n"
             b"index 0000000000000000000000000000000000000000.."
             b"1111111111111111111111111111111111111111\nGIT binary patch\n"
             b"literal 99999999999\nzcmV+b0RR6000031\n\nliteral 0\nHcmV?d00001\n\n"),
    _refused("a binary without its bytes", b"diff --git a/x.bin b/x.bin\nindex 1234567..89abcde\n"
             b"Binary files a/x.bin and b/x.bin differ\n"),
    _refused("a delta on nothing", b"diff --git a/Makefile b/Makefile\nindex "
             + b"1" * 40 + b".." + b"2" * 40 + b" 100644\n"
             b"GIT binary patch\ndelta 4\nLcmV+b0RR6000031\n\ndelta 4\nLcmV+b0RR6000031\n\n"),
    _refused("a set-user-id mode that is no mode", new("mm/s", "x\n", "10475x")),
    _either("a set-user-id mode", new("mm/s", "x\n", "104755")),
    _either("NULs in a hunk", new("mm/nul.c", "a\0b\n")),
    _either("carriage returns in a hunk", GOOD.replace(b"\n", b"\r\n")),
    _either("the same file twice", new("x.h") + new("x.h")),
)  # fmt: skip
"""Diffs that make no sense."""

FAMILIES = {"out": OUT, "hidden": HIDDEN, "broken": BROKEN}
