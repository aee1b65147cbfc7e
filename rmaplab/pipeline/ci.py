# SPDX-License-Identifier: GPL-2.0
"""A CI job: its folder has reports from the first moment, whatever becomes of the lab."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rmaplab.errors import ExitCode, InfraError, Interrupted, RmaplabError, UserError
from rmaplab.folds import Folds, annotation
from rmaplab.log import log
from rmaplab.pipeline.evaluate import Evaluation
from rmaplab.pipeline.platforms import Platform
from rmaplab.report import beside, junit, summary
from rmaplab.store.cache import remove
from rmaplab.store.files import make_folder
from rmaplab.store.runfolder import RECORD, RunFolder

MARK = ".rmaplab-job"
"""The file by which the lab knows a job's folder for its own."""
_KILLED = (
    "The job ended without a word: it was killed, or its machine was lost.\n"
    "lab.py resume goes on with what was measured, if this folder and the cache are still there."
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job under way: its platform, its lab's name, its folder."""

    platform: Platform
    name: str
    folder: RunFolder

    @property
    def path(self) -> Path:
        """The folder of the job, which becomes its run's."""
        return self.folder.path

    @property
    def has_run(self) -> bool:
        """True if the run wrote its own reports."""
        return (self.path / RECORD).is_file() and (self.path / "results.json").is_file()

    def report_without_run(self, message: str) -> None:
        """Write the reports that say why there is no run. Raises InfraError."""
        self.folder.write("junit.xml", junit.without_run(self.name, message))
        self.folder.write("summary.md", summary.without_run(self.name, message))
        if self.platform.folds is Folds.GITLAB:
            self.folder.write(beside.CODE_QUALITY, "[]\n")

    def publish(self, evaluation: Evaluation) -> None:
        """Write and print what the platform shows beside the reports."""
        run = evaluation.run
        match self.platform.folds:
            case Folds.GITHUB:
                for command in beside.github(run):
                    log.command(command)
            case Folds.GITLAB:
                folder = self.folder
                folder.write(beside.CODE_QUALITY, beside.code_quality(run), derived=True)
                if artefacts := self._artefacts():
                    links = beside.links(self.platform.url, artefacts)
                    folder.write(beside.LINKS, links, derived=True)
        self._summarize()

    def _artefacts(self) -> str:
        """Return the folder as the platform names it; empty if it can be no artefact."""
        whole, workspace = self.path.resolve(), Path(self.platform.workspace).resolve()
        return str(whole.relative_to(workspace)) if whole.is_relative_to(workspace) else ""

    def _summarize(self) -> None:
        """Append summary.md to the page of the job, if the platform has one."""
        if not self.platform.summary:
            return
        try:
            text = (self.path / "summary.md").read_text(encoding="utf-8")
            with Path(self.platform.summary).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            log.warn(f"the summary is not on the job's page: {error.filename}: {error.strerror}")

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Leave reports however the block ends; what it raises is raised again."""
        try:
            yield
        except BaseException as error:
            with _undisturbed(), contextlib.suppress(RmaplabError, OSError):
                told = _told(error)
                if not self.has_run:
                    self.report_without_run(told)
                if self.platform.folds is Folds.GITHUB:
                    log.command(annotation("error", told, title=f"rmaplab {self.name}"))
                self._summarize()
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted("interrupted before anything was measured") from error
            raise


def claim(path: Path, name: str, platform: Platform) -> Job:
    """Return the job that has a folder from now on; that of an earlier job there is removed.

    Raises UserError if the folder holds what is no job's of the lab.
    """
    if path.is_symlink() or (path.exists() and not _is_ours(path)):
        raise UserError(
            f"{path} is there, and is no folder of an earlier job: it is left alone",
            hint="name another folder with --output, or remove it",
        )
    try:
        remove(path)
        make_folder(path)
        (path / MARK).touch()
    except OSError as error:
        raise InfraError(f"cannot make the job's folder {path}: {error.strerror}") from error
    job = Job(platform, name, RunFolder(path))
    job.report_without_run(_KILLED)
    return job


def _is_ours(path: Path) -> bool:
    return path.is_dir() and ((path / MARK).is_file() or not any(path.iterdir()))


def _told(error: BaseException) -> str:
    if isinstance(error, RmaplabError):
        return error.message + (f"\n{error.hint}" if error.hint else "")
    if isinstance(error, KeyboardInterrupt):
        return "interrupted before anything was measured"
    return f"{type(error).__name__}: {error} (exit code {ExitCode.INFRA:d}: the lab's own fault)"


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep further signals off the block: a runner sends them until the job is gone."""
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, signal.SIG_IGN) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
