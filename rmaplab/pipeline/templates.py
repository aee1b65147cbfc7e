# SPDX-License-Identifier: GPL-2.0
"""Make the saved guests that cells are cloned from: one a kernel, guest profile and settings."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rmaplab.collect import counters
from rmaplab.guest import template
from rmaplab.guest.cellsetup import CellSetup, LedgerSetup, TemplateState
from rmaplab.guest.command import Launch, ram_files
from rmaplab.guest.settings import GuestSetup, SetupResult
from rmaplab.guest.template import BootFailed
from rmaplab.log import log
from rmaplab.model import Cell, Guest, HugepageSettings, Lab
from rmaplab.pipeline import calibration
from rmaplab.pipeline.calibration import AS_BOOTED, UNCALIBRATED, Calibration, Workloads
from rmaplab.store.cache import Cache, remove
from rmaplab.store.reservation import DiskReservation

_FULL_HINT = "make room with lab.py clean, or set RMAPLAB_CACHE to a folder elsewhere"

Key = tuple[str, str, str]  # kernel, guest's name, settings


class Templates:
    """Make templates, or find them in the cache, and say how cells run on clones of them.

    ``evidence`` is the folder for failed boots, ``workloads`` those that calibrate the ledgers;
    ``averaged`` is as in ``audit_words``.
    """

    def __init__(
        self,
        lab: Lab,
        cache: Cache,
        evidence: Path,
        *,
        workloads: Workloads,
        averaged: frozenset[str],
    ) -> None:
        self._cache = cache
        self._reservation = DiskReservation(cache.root, hint=_FULL_HINT)
        self._lab = lab
        self._workloads = workloads
        self._averaged = averaged
        self._calibrations: dict[tuple[str, str], Calibration] = {}
        self._evidence = evidence
        files = {path for testcase in lab.every_testcase for path in testcase.requires.files}
        self._required = tuple(sorted(files))
        self._known: dict[Key, CellSetup | BootFailed] = {}
        self._ledgers: dict[Key, LedgerSetup] = {}
        self._booted: dict[tuple[str, str], Launch | BootFailed] = {}
        self._live: set[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = set()

    def prepare(self, cells: Iterable[Cell], launches: Mapping[str, Launch], jobs: int) -> None:
        """Make the templates of the cells; ``launches`` is by kernel.

        Raises InfraError if the lab cannot save a guest. A kernel that does not boot, or dies of
        its settings, is no error here: its cells say so.
        """
        guests: dict[tuple[str, str], Guest] = {}
        settings: dict[Key, tuple[Guest, HugepageSettings]] = {}
        for cell in cells:
            guests[cell.kernel, cell.place] = cell.guest
            settings[_key(cell)] = (cell.guest, cell.settings)
        with ThreadPoolExecutor(jobs) as pool:
            try:
                boots = [(k, name, guest, launches[k]) for (k, name), guest in guests.items()]
                booted = pool.map(lambda boot: self._boot(*boot), boots)
                self._booted.update(zip(guests, booted, strict=True))
                if self._lab.ledger:
                    found = pool.map(lambda item: self._calibrate(*item), guests.items())
                    self._calibrations.update(zip(guests, found, strict=True))
                made = pool.map(
                    lambda item: self._with_settings(item[0], *item[1]), settings.items()
                )
                self._known.update(zip(settings, made, strict=True))
            except BaseException:
                self._stop()  # or an interrupted lab would wait for a guest that hangs at boot
                raise

    @property
    def names(self) -> list[str]:
        """Return the cache's names of the templates that are ready."""
        launches = [*self._booted.values(), *self._known.values()]
        found = (one.launch if isinstance(one, CellSetup) else one for one in launches)
        return sorted(
            one.ram.name for one in found if isinstance(one, Launch) and one.ram is not None
        )

    def _run_here(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine in this thread, where ``_stop`` can cancel it."""

        async def watched() -> None:
            task = asyncio.current_task()
            assert task is not None
            entry = (asyncio.get_running_loop(), task)
            self._live.add(entry)
            try:
                await work
            finally:
                self._live.discard(entry)

        asyncio.run(watched())

    def _stop(self) -> None:
        for loop, task in list(self._live):
            loop.call_soon_threadsafe(task.cancel)

    def setup(self, cell: Cell, _boot: Launch, /) -> CellSetup | BootFailed:
        """Return how a cell runs on a clone; the failed boot if there is no template for it."""
        setup = self._known[_key(cell)]
        if isinstance(setup, BootFailed) or not self._lab.ledger:
            return setup
        ledger = self._ledgers.get(_key(cell))
        if ledger is None:
            found = self._calibrations.get((cell.kernel, cell.place), UNCALIBRATED)
            ledger = self._ledgers[_key(cell)] = found.ledger(setup.template)
        return dataclasses.replace(setup, ledger=ledger)

    def _calibrate(self, boot: tuple[str, str], guest: Guest) -> Calibration:
        """Return the bounds of a booted template's ledgers: saved beside it, or measured now."""
        booted = self._booted[boot]
        if isinstance(booted, BootFailed):
            return UNCALIBRATED  # its cells say that it does not boot
        assert booted.ram is not None
        if (found := calibration.read(booted.ram)) is not None:
            return found
        setup = self._with_settings((*boot, AS_BOOTED.name), guest, AS_BOOTED)
        if isinstance(setup, BootFailed):
            return Calibration({}, "the guest dies before it runs a workload")
        title = " on ".join(boot)
        with self._cache.lock("templates", f"{booted.ram.name}.calibration"):
            found = calibration.read(booted.ram)
            if found is None:
                log.info(f"calibrating the ledger of {title}")

                async def measure() -> None:
                    await calibration.measure(guest, setup, self._workloads, booted_folder)

                booted_folder = booted.ram
                self._run_here(measure())
                found = calibration.read(booted.ram)
        assert found is not None
        if found.error:
            log.warn(f"the ledger of {title} is not calibrated: {found.error}")
        return found

    def _boot(self, kernel: str, name: str, guest: Guest, launch: Launch) -> Launch | BootFailed:
        def make(folder: Path, scratch: Path) -> None:
            self._run_here(template.save(guest, launch, folder, scratch, held=counters.FILES))

        key = template.key(guest, launch, counters.FILES)
        folder = self._entry(key, f"{kernel} on {name}", guest, make)
        if isinstance(folder, BootFailed):
            return folder
        return dataclasses.replace(launch, ram=folder, state=folder / template.STATE)

    def _with_settings(
        self, key: Key, guest: Guest, settings: HugepageSettings
    ) -> CellSetup | BootFailed:
        """Return how cells run on the template with the settings, made if need be."""
        booted = self._booted[key[0], key[1]]
        if isinstance(booted, BootFailed):
            return booted
        assert booted.ram is not None
        audit = audit_words(self._lab, key[0], guest, self._averaged)
        setup = GuestSetup(settings, self._required, audit, guest.icount)
        title = f"{key[0]} on {key[1]} with {settings.name}"

        def make(folder: Path, scratch: Path) -> None:
            self._run_here(template.save_with_settings(guest, booted, setup, folder, scratch))

        name = template.settings_key(booted.ram.name, setup)
        folder = self._entry(name, title, guest, make)
        return folder if isinstance(folder, BootFailed) else _on_clones(booted, folder)

    def _entry(
        self, key: str, title: str, guest: Guest, make: Callable[[Path, Path], None]
    ) -> Path | BootFailed:
        """Return the template of a key, whole; the evidence of the boot if it cannot be made."""
        saved = self._cache.path("templates", key)
        with self._cache.lock("templates", key):
            if saved.is_dir() and (why := template.broken(saved)):
                log.info(f"template of {title}: {why}: making it again")
                remove(saved)

        def fill(folder: Path) -> None:
            scratch = self._evidence / title.replace(" ", "-")
            scratch.mkdir(parents=True, exist_ok=True)
            size = sum(size_mb << 20 for _, size_mb in ram_files(guest, folder))
            with self._reservation.reserved(size, f"the template of {title}"):
                log.info(f"making the template of {title}")
                make(folder, scratch)
            scratch.rmdir()

        try:
            return self._cache.entry("templates", key, fill)
        except BootFailed as failed:
            log.warn(f"{title}: the guest does not come up: {failed.message}")
            return failed


def _key(cell: Cell) -> Key:
    return cell.kernel, cell.place, cell.settings.name


def _on_clones(booted: Launch, folder: Path) -> CellSetup:
    """Return how cells run on clones of the template with settings in ``folder``."""
    launch = dataclasses.replace(booted, ram=folder, state=folder / template.STATE)
    saved = TemplateState(
        SetupResult.load(folder / template.SETUP_RESULT),
        (folder / template.SETUP_TRANSCRIPT).read_bytes(),
    )
    return CellSetup(launch, counters.FILES, saved)


def audit_words(
    lab: Lab, kernel: str, guest: Guest, averaged: frozenset[str]
) -> tuple[str, ...] | None:
    """Return the words of the agent's request to audit, None for no audit.

    ``averaged`` are the kernels that have no mapcount for the pages of a large folio.
    """
    # An audit stops the workload for a time that is not exact.
    if not lab.audit or guest.icount:
        return None
    return ("no-page-mapcount",) if kernel in averaged else ()
