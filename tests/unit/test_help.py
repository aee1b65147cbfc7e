# SPDX-License-Identifier: GPL-2.0
"""The help of each verb has examples, which parse; the manual page has all of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import rmaplab
from rmaplab import cli
from rmaplab.cli import manual
from rmaplab.cli.examples import EXAMPLES, verbs

from .command_lines import parse, words_of

VERBS = dict(verbs(cli.cli))
PACKAGE = Path(rmaplab.__file__).parent
# Variables of scripts that the lab writes, and of its own processes.
OF_THE_LAB = {"RMAPLAB_DIRECTORY", "RMAPLAB_DOCTOR"}


@pytest.mark.parametrize("name", VERBS)
def test_each_verb_has_an_example_in_its_help(name: str) -> None:
    assert EXAMPLES.get(name), f"give {name!r} an example in rmaplab/cli/examples.py"
    said = CliRunner().invoke(cli.cli, [*name.split(), "--help"])
    assert said.exit_code == 0
    for words, why in EXAMPLES[name]:
        assert words.startswith(name)
        assert f"  rmaplab {words}\n" in said.output
        assert f"  # {why}\n" in said.output


@pytest.mark.parametrize("words", [words for some in EXAMPLES.values() for words, _ in some])
def test_each_example_parses(words: str) -> None:
    parse(words_of(words))


@pytest.mark.parametrize(
    "words",
    ["ab", "ab x --series", "run x --nonsense", "nonsense", "new nonsense",
     "run x --repeat many", "clean x"],
)  # fmt: skip
def test_a_mistake_in_an_example_would_be_seen(words: str) -> None:
    with pytest.raises(click.ClickException):
        parse(words_of(words))


def test_no_example_is_of_a_verb_that_is_gone() -> None:
    assert EXAMPLES.keys() <= VERBS.keys()


PAGE = manual.page(cli.cli, "1.0")


def test_the_manual_page_has_each_verb_option_and_example() -> None:
    for name, command in VERBS.items():
        assert manual._plain(f"rmaplab {name}") in PAGE
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("-"):
                    assert manual._plain(option) in PAGE
        for words, _ in EXAMPLES.get(name, ()):
            assert manual._plain(f"rmaplab {words}") in PAGE


def test_the_manual_page_has_each_variable_that_the_lab_reads() -> None:
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    read = {
        name for text in sources for name in re.findall(r"\bRMAPLAB_[A-Z]+(?:_[A-Z]+)*\b", text)
    }
    assert read - OF_THE_LAB == {name for name in manual._VARIABLES if name.startswith("RMAPLAB_")}


def test_no_text_is_a_macro() -> None:
    command = click.Command("x", help='.so /etc/passwd\n\n\'tis \\fBx\\fP -1 "q"', callback=print)
    group = click.Group("g", {"x": command}, help="Do a thing.\n\nMore.")
    found = manual.page(group, "1.0")
    assert "\n\\&.so /etc/passwd\n" in found
    assert "\n\\&'tis \\efBx\\efP \\-1 \\(dqq\\(dq\n" in found


def test_groff_has_nothing_to_say() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"], input=PAGE, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stderr == ""
