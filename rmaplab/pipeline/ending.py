# SPDX-License-Identifier: GPL-2.0
"""The end of a run: whatever ends it, what was measured is judged and reported."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

from rmaplab.errors import ExitCode, InfraError, Interrupted, KernelError, RmaplabError
from rmaplab.log import log
from rmaplab.pipeline import past
from rmaplab.pipeline.evaluate import Evaluation, Observations, evaluate, write_reports
from rmaplab.pipeline.remember import note_marks, remember
from rmaplab.store import historyfile
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder, RunRecord, now
from rmaplab.store.verdicts import WAIT_S

HURRY_S = 1.0
"""Seconds to wait for another lab that writes the history, after an interruption."""


@contextlib.contextmanager
def keeping(
    folder: RunFolder, record: RunRecord, seen: Observations, history: Cache | None
) -> Iterator[None]:
    """Report what was measured if the block ends early, then raise its error as the lab's."""
    try:
        yield
    except KernelError as error:
        _keep_failed_log(folder, record, error)
        if not record.not_built:
            record.interrupted = True
            _note_failure(record, error)
        finish(folder, record, seen, history)
        raise
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        record.interrupted = True
        with _undisturbed():
            log.info(finish(folder, record, seen, history).summary.headline)
        raise Interrupted(
            f"interrupted; what was measured is in {folder.path}",
            hint=f"go on with: lab.py resume {folder.path}",
        ) from error
    except Exception as error:
        if isinstance(error, OSError):
            told: Exception = InfraError(f"{error.filename or folder.path}: {error.strerror}")
        else:
            told = error
        record.interrupted = True
        _note_failure(record, told)
        with contextlib.suppress(RmaplabError, OSError):
            # On a full disk, the evidence so far is what there is.
            finish(folder, record, seen, history)
        if told is not error:
            raise told from error
        raise


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep a second SIGTERM off the block: CI systems send it to the job and to its group."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _note_failure(record: RunRecord, error: Exception) -> None:
    """Note the error that ends a run, so that every report says it."""
    if isinstance(error, RmaplabError):
        record.failure, record.failure_code = error.message, error.exit_code
    else:  # a bug of the lab's, whose traceback goes to the terminal
        record.failure = f"{type(error).__name__}: {error}".rstrip(": ")
        record.failure_code = ExitCode.INFRA


def _keep_failed_log(folder: RunFolder, record: RunRecord, error: KernelError) -> None:
    """Keep the log of a kernel that did not build, of which the cache has no entry."""
    for facts in record.kernels.values():
        if facts.error and error.evidence is not None and error.evidence.is_file():
            text = error.evidence.read_text(encoding="utf-8", errors="replace")
            error.evidence = folder.write(f"builds/{facts.key}/build.log", text)


def finish(
    folder: RunFolder, record: RunRecord, seen: Observations, history: Cache | None
) -> Evaluation:
    """Note the end of a run, judge it, write its reports, and add it to a cache's history."""
    record.ended = now()
    folder.write_record(record)
    wait_s = HURRY_S if record.interrupted else WAIT_S
    if history is not None:
        note_marks(folder, history, wait_s)
    evaluation = evaluate(folder, seen)
    if history is not None:
        if remember(evaluation, history, wait_s):
            log.warn(f"this run is not in the history: lab.py history add {folder.path}")
        else:
            historyfile.write(folder, past.of_run(evaluation, history, wait_s))
    write_reports(evaluation)
    return evaluation
