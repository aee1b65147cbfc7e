# SPDX-License-Identifier: GPL-2.0
"""The command. Verbs are thin: they read options, call the pipeline and show what came out."""

from __future__ import annotations

import errno
import signal
import sys

import click

from rmaplab import __version__
from rmaplab.cli import inspect, runs, upkeep
from rmaplab.errors import ExitCode, InfraError, RmaplabError
from rmaplab.log import log


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rmaplab")
@click.option("-v", "--verbose", count=True, help="Say more; twice for more still.")
@click.option(
    "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True
)
def cli(verbose: int, color: str) -> None:
    """A regression lab for the Linux kernel's reverse mapping.

    Exit codes: 0 as expected; 1 regression or unexpected failure; 2 usage, lab file or series that
    does not parse; 3 a kernel did not build or a patch did not apply; 69 the lab's own failure;
    130 interrupted.
    """
    log.configure(color=color, verbose=verbose)


for verb in (*runs.VERBS, *inspect.VERBS, *upkeep.VERBS):
    cli.add_command(verb)


def main() -> None:
    """Run the command and exit with its code; a user's mistake is no traceback."""
    # A CI job is cancelled with SIGTERM: the same as Ctrl-C, so that nothing measured is lost.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except RmaplabError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT}:
            raise
        _tell(InfraError(f"{error.filename or 'the disk'}: {error.strerror}"))
        sys.exit(ExitCode.INFRA)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _tell(error: RmaplabError) -> None:
    log.stderr.print("[bad]error:[/bad] ", end="")
    log.stderr.print(error.message, markup=False)
    if error.evidence is not None:
        log.stderr.print(f"evidence: {error.evidence}", markup=False)
    if error.hint:
        log.stderr.print(f"hint: {error.hint}", markup=False)
