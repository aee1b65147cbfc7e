# SPDX-License-Identifier: GPL-2.0
"""Each command of the pages parses with the command's own parser, and its files are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from .command_lines import parse, words_of

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.M | re.S)
_INDENTED = re.compile(r"^ {4}(?=\S)(.*)$", re.M)
_INLINE = re.compile(r"`((?:\./lab\.py|lab\.py|rmaplab) [^`]+)`")
# The project's own files, which a reader has.
_OWN = re.compile(r"(?:configs|patches|guests|testcases)/[\w./-]+")


def commands(text: str) -> Iterator[str]:
    """The lines that call the command, in blocks and in the text; continued lines are one."""
    blocks = _FENCE.findall(text)
    rest = _FENCE.sub("", text)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += _INDENTED.findall(rest.replace("\\\n", " "))
    for line in lines:
        match = re.match(r"\s*(?:\$ )?(?:\S+=\S+ )*((?:\./lab\.py|rmaplab) \S.*)", line)
        if match:
            yield match[1]
    yield from _INLINE.findall(rest)


def arguments(line: str) -> list[str]:
    """The words to parse; of a verb that is only named, whether there is such a verb."""
    words = words_of(line)[1:]
    if "..." in words or words[0].isupper():
        return ["--help"]
    return [*words, "--help"] if len(words) == 1 else words


def is_a_readers(error: click.ClickException) -> bool:
    """Return whether the error is about a file that is the reader's, not the project's."""
    match = re.search(r"'([^']+)' does not exist", error.format_message())
    return match is not None and not _OWN.fullmatch(match[1])


FOUND = [
    (str(page.relative_to(ROOT)), line)
    for page in PAGES
    for line in commands(page.read_text(encoding="utf-8"))
]


def test_there_are_commands_to_parse() -> None:
    assert len(FOUND) > 60
    assert {"README.md", "docs/host-tests.md"} <= {page for page, _ in FOUND}


@pytest.mark.parametrize(("page", "line"), FOUND)
def test_a_command_of_a_page_parses(page: str, line: str) -> None:
    try:
        parse(arguments(line))
    except click.exceptions.Exit:
        pass
    except click.ClickException as error:
        assert is_a_readers(error), f"{page}: {line}: {error.format_message()}"


@pytest.mark.parametrize(("page", "line"), FOUND)
def test_a_command_of_a_page_names_files_that_are_there(page: str, line: str) -> None:
    for word in words_of(line):
        if (match := _OWN.fullmatch(word)) and "my" not in word:
            assert (ROOT / match[0]).exists(), f"{page}: {line}: there is no {word}"


def test_a_mistake_in_a_page_is_found() -> None:
    (line,) = commands("```\n./lab.py run configs/rmap.yaml --tre x   # a comment\n```\n")
    with pytest.raises(click.ClickException):
        parse(words_of(line)[1:])
