# SPDX-License-Identifier: GPL-2.0
"""The verbs for other programs: schema for editors and readers, completion for shells, man."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from rmaplab import __version__
from rmaplab.cli import manual
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.report import reference, schemas

REFERENCE = "reference"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("kind", type=click.Choice([*schemas.MODELS, REFERENCE]))
def schema(kind: str) -> None:
    """Print the JSON Schema of results.json, or of a lab, guest or testcase file.

    ``reference`` is the page on every key of these files, as Markdown.
    """
    log.json(reference.text() if kind == REFERENCE else schemas.text(kind))


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete verbs, options and their values."""
    program = Path(sys.argv[0]).name
    root = context.find_root().command
    kind = get_completion_class(shell)
    if kind is None:
        raise UserError(f"no completion for {shell}")
    variable = f"_{re.sub(r'[^A-Za-z0-9]', '_', program)}_COMPLETE".upper()
    log.say(kind(root, {}, program, variable).source())


@click.command()
@click.pass_context
def man(context: click.Context) -> None:
    """Print the manual page; `man | man -l -` shows it."""
    root = context.find_root().command
    assert isinstance(root, click.Group)
    log.json(manual.page(root, __version__))


VERBS = (schema, completion, man)
