# SPDX-License-Identifier: GPL-2.0
"""The command. Verbs are thin: they read options, call the pipeline and show what came out."""

from __future__ import annotations

import errno
import io
import signal
import sys
import traceback
from typing import NoReturn

import click

from rmaplab import __version__
from rmaplab.cli import (
    ci,
    examples,
    history,
    inspect,
    machine,
    mutants,
    postmortem,
    runs,
    scaffold,
    shell,
    trees,
    upkeep,
)
from rmaplab.cli.options import common_options
from rmaplab.cli.runs import program
from rmaplab.errors import ExitCode, InfraError, RmaplabError
from rmaplab.log import log

_HOST_ERRORS = frozenset({errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT})


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rmaplab")
def cli() -> None:
    """Run a regression lab for the Linux kernel's reverse mapping.

    Exit codes: 0 as expected; 1 regression or unexpected failure; 2 usage, lab file or series that
    does not parse; 3 a kernel did not build or a patch did not apply; 69 the lab's own failure;
    130 interrupted.
    """


cli.params += common_options()
for verb in (
    *runs.VERBS,
    *ci.VERBS,
    *mutants.VERBS,
    *inspect.VERBS,
    *history.VERBS,
    *postmortem.VERBS,
    *scaffold.VERBS,
    *shell.VERBS,
    *trees.VERBS,
    *upkeep.VERBS,
    *machine.VERBS,
):
    verb.params += common_options()
    cli.add_command(verb)
examples.add_to(cli, program())


def main() -> None:
    """Run the command and exit with its code; a user's mistake is no traceback."""
    try:
        _run()
    finally:
        log.finish()


def _run() -> NoReturn:
    # A CI job is cancelled with SIGTERM: the same as Ctrl-C, so that nothing measured is lost.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        # It may quote an argument, which a script may have taken from anywhere.
        shown = io.StringIO()
        error.show(shown)
        log.stderr.print(shown.getvalue(), markup=False, end="")
        sys.exit(ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except RmaplabError as error:
        if error.exit_code is ExitCode.INTERRUPTED:
            # One more SIGTERM must not change the exit code while the interpreter ends.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _tell(error)
        sys.exit(error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _HOST_ERRORS:
            _tell(InfraError(f"{error.filename or 'the disk'}: {error.strerror}"))
        else:
            # A bug of the lab's: its traceback is the report, and its exit code never a verdict's.
            log.stderr.print(traceback.format_exc(), markup=False, end="")
        sys.exit(ExitCode.INFRA)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _tell(error: RmaplabError) -> None:
    log.error(error.message)
    if error.evidence is not None:
        log.stderr.print(f"evidence: {error.evidence}", markup=False)
    if error.hint:
        log.stderr.print(f"hint: {error.hint}", markup=False)
