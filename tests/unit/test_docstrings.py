# SPDX-License-Identifier: GPL-2.0
"""Docstrings and comments that can be read without a riddle: rules that a machine can hold."""

from __future__ import annotations

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "rmaplab"
SOURCES = sorted([ROOT / "lab.py", *PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")])

# A function of the package does something: its docstring begins with the verb, in the imperative.
# Another verb goes into the list.
VERBS = frozenset({
    "Add", "Append", "Apply", "Ask", "Await", "Boot", "Bring", "Build", "Calibrate", "Cancel",
    "Carry", "Check", "Choose", "Clean", "Close", "Collect", "Compare", "Compile", "Complain",
    "Compress", "Compute", "Conduct", "Configure", "Connect", "Convert", "Copy", "Count",
    "Create", "Cut", "Decode", "Decompress", "Delete", "Derive", "Describe", "Do", "Drop",
    "Dump", "Encode", "End", "Escape", "Estimate", "Evaluate", "Execute", "Expect", "Explain",
    "Extract", "Fail",
    "Fetch", "Fill", "Find", "Finish", "Flush", "Free", "Get", "Give", "Go", "Group", "Hand",
    "Hash", "Hold", "Install", "Iterate", "Judge", "Keep", "Kill", "Leave", "Let", "List", "Load",
    "Lock", "Look", "Make", "Map", "Mark", "Match", "Measure", "Merge", "Mount", "Move", "Name",
    "Narrow", "Normalise", "Note", "Number", "Open", "Order", "Pack", "Parse", "Pick", "Prepare",
    "Print", "Probe", "Put", "Raise", "Read", "Record", "Refuse", "Register", "Release",
    "Remember", "Remove", "Render", "Replace", "Report", "Request", "Require", "Reserve",
    "Resolve", "Restore", "Resume", "Return", "Reuse", "Run", "Sample", "Save", "Say", "Schedule",
    "Seal", "Select", "Send", "Set", "Show", "Skip", "Sort", "Split", "Start", "Stop", "Store",
    "Sum", "Take", "Talk", "Tell", "Tie", "Translate", "Try", "Turn", "Unlock", "Unpack",
    "Update", "Use", "Validate", "Verify", "Wait", "Walk", "Watch", "Write", "Yield",
})  # fmt: skip
# A relative clause is no subject: it leaves the reader to look for the noun.
RIDDLE = re.compile(
    r"(What|Whatever|Whoever|Whichever|By what|The same|Whether|As long as|That which)\b"
)


Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef | ast.Module


def is_property(node: ast.AST) -> bool:
    return isinstance(node, Function) and any(
        "property" in ast.unparse(decorator) for decorator in node.decorator_list
    )


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Yield the line of each docstring, its text, and whether a verb has to begin it."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            is_action = isinstance(node, Function) and not is_property(node)
            yield node.body[0].lineno, text, is_action
        # A string below an attribute or a constant documents it.
        body = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
        for before, after in itertools.pairwise(body):
            if (
                isinstance(before, ast.Assign | ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                yield after.lineno, after.value.value, False


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each comment that begins a line; its other lines belong to it."""
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = token.start[0]
            goes_on = line == last + 1 and not token.line[: token.start[1]].strip()
            last = line
            if not goes_on:
                yield line, token.string.lstrip("#: ")


def faults(source: str, *, verbs: bool = True) -> list[str]:
    """Return the lines of a source file that break a rule; ``verbs`` asks for a verb, too."""
    found = []
    for line, text, is_action in docstrings(ast.parse(source)):
        first = text.lstrip().partition("\n")[0].rstrip()
        if not first.endswith("."):
            found.append(f"{line}: the first line ends with a full stop: {first}")
        if RIDDLE.match(first):
            found.append(f"{line}: a relative clause is no subject: {first}")
        elif verbs and is_action and re.split(r"\W", first)[0] not in VERBS:
            found.append(f"{line}: a verb of VERBS comes first: {first}")
    found += [
        f"{line}: a relative clause is no subject: {text}"
        for line, text in comments(source)
        if RIDDLE.match(text)
    ]
    return found


# Files that are still to be rewritten. Take those out that are done; put none in.
TO_DO = frozenset(
    {
        "rmaplab/store/memoryfile.py",
    }
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_begins_with_its_verb_and_no_comment_with_a_riddle(path: Path) -> None:
    if str(path.relative_to(ROOT)) in TO_DO:
        return
    # A test is named by its sentence, and its helpers are nouns of that.
    assert faults(path.read_text(encoding="utf-8"), verbs=PACKAGE in path.parents) == []


def test_the_list_of_files_to_do_names_files() -> None:
    assert {name for name in TO_DO if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('"""What a lab is."""', "1: a relative clause"),
        ('def f():\n    """The path."""', "2: a verb of VERBS"),
        ('def f():\n    """Returns the path."""', "2: a verb of VERBS"),
        ('async def f():\n    """Whether it is."""', "2: a relative clause"),
        ('def f():\n    """Return the path\n    of it."""', "2: the first line ends"),
        ('X = 1\n"""The same."""', "2: a relative clause"),
        ("class A:\n    x: int\n    '''Whatever.'''", "3: a relative clause"),
        ("x = 1\n# What follows is odd.", "2: a relative clause"),
        ("x = 1  # As long as it is.", "1: a relative clause"),
    ],
)
def test_a_fault_is_found(source: str, fault: str) -> None:
    (found,) = faults(source)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return the path."""',
        'class A:\n    """A path."""\n    @property\n    def x(self):\n        """The path."""',
        "# The path is\n# What it says.",
        'def f():\n    x = "What"',
    ],
)
def test_plain_words_are_no_fault(source: str) -> None:
    assert faults(source) == []
