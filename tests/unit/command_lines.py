# SPDX-License-Identifier: GPL-2.0
"""Command lines of texts, parsed as the command would, but not carried out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from rmaplab import cli

_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>&1"}


def words_of(line: str) -> list[str]:
    """The words of a shell's line, up to a pipe, a redirection or a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if word in _ENDS:
            break
        found.append(word)
    return found


def parse(words: Sequence[str]) -> None:
    """Parse words without their program; raises click's error for a mistake."""
    command: click.Command = cli.cli
    context: click.Context | None = None
    rest = list(words)
    while True:
        context = command.make_context(command.name or "rmaplab", rest, parent=context)
        if not isinstance(command, click.Group):
            return
        _, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command = found
