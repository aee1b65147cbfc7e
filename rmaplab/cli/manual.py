# SPDX-License-Identifier: GPL-2.0
"""The manual page, from the same source as --help: one page that has every verb."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from rmaplab.cli.examples import EXAMPLES, verbs
from rmaplab.errors import ExitCode

PROGRAM = "rmaplab"
_EXIT = {
    ExitCode.OK: "as expected",
    ExitCode.REGRESSION: "a regression, a failure that was not expected, or repeats that differ",
    ExitCode.USAGE: "usage; a lab file or series that does not parse",
    ExitCode.BUILD: "a kernel did not build, or a patch did not apply",
    ExitCode.INFRA: "the lab's own failure: QEMU is missing, the disk is full",
    ExitCode.INTERRUPTED: "interrupted; what was measured is in the run's folder",
}
_VARIABLES = {
    "RMAPLAB_CACHE": "the folder of the cache, instead of ~/.cache/rmaplab",
    "RMAPLAB_CACHE_LIMIT": "how much of the cache may stay when a lab ends, as 5G",
    "RMAPLAB_SHARE": "folders of testcases, guests, fragments and labs, separated by colons",
    "RMAPLAB_ARCHIVE": "the public-inbox that has the Message-IDs of --series",
    "RMAPLAB_BUILD_LIMIT": "the seconds that a make may take",
    "RMAPLAB_UNSAFE_BUILD": "1 builds a stranger's code although this host's sandbox is weak",
    "NO_COLOR": "no colour, whatever the terminal",
}


def page(group: click.Group, version: str) -> str:
    """Return the manual page as roff, for man(7)'s macros."""
    return "\n".join(_lines(group, version)) + "\n"


def _lines(group: click.Group, version: str) -> Iterator[str]:
    yield f'.TH RMAPLAB 1 "" "rmaplab {_plain(version)}" "User Commands"'
    yield from (".SH NAME", rf"rmaplab \- {_plain(_first(group))}")
    yield ".SH SYNOPSIS"
    yield r"\fBrmaplab\fP \fIVERB\fP [\fIOPTION\fP]... [\fIARGUMENT\fP]..."
    yield ".SH DESCRIPTION"
    yield from _text(group.help)
    yield ".SH VERBS"
    for name, command in verbs(group):
        yield from _verb(name, command)
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT.items():
        yield from _item(str(int(code)), meaning)
    yield ".SH ENVIRONMENT"
    for variable, meaning in _VARIABLES.items():
        yield from _item(variable, meaning)


def _verb(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"{PROGRAM} {name}")
    usage = " ".join((PROGRAM, name, *command.collect_usage_pieces(context)))
    yield f'.SS "{_plain(usage)}"'
    yield from _text(command.help)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield from _item(*record)
    for words, why in EXAMPLES.get(name, ()):
        yield from (".PP", _line(f"{why[0].upper()}{why[1:]}:"), ".EX")
        yield from (rf"  {_plain(f'{PROGRAM} {words}')}", ".EE")


def _item(term: str, meaning: str) -> Iterator[str]:
    yield from (".TP", rf"\fB{_plain(term)}\fP", _line(meaning))


def _text(text: str | None) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        yield from (".PP", _line(paragraph))


def _first(command: click.Command) -> str:
    """Return the first sentence of a help, without its full stop."""
    return inspect.cleandoc(command.help or "").partition("\n\n")[0].rstrip(".").replace("\n", " ")


def _line(text: str) -> str:
    """Return a paragraph as one line that no macro begins."""
    plain = _plain(" ".join(text.split()))
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain


def _plain(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
