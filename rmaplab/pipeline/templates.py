# SPDX-License-Identifier: GPL-2.0
"""The saved guests that a run's cells are cloned from: one a kernel and guest profile."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from rmaplab.collect import counters
from rmaplab.guest import template
from rmaplab.guest.command import Launch
from rmaplab.guest.template import BootFailed
from rmaplab.log import log
from rmaplab.model import Cell, Guest, Isolation
from rmaplab.store.cache import Cache, remove


class Templates:
    """Makes templates, or finds them in the cache; ``evidence`` is where failed boots go."""

    def __init__(self, cache: Cache, evidence: Path) -> None:
        self._cache = cache
        self._evidence = evidence
        self._known: dict[tuple[str, str], Launch | BootFailed] = {}

    def prepare(self, cells: Iterable[Cell], launches: dict[str, Launch]) -> None:
        """Make the templates of all cells that will be cloned; ``launches`` is by kernel.

        Raises InfraError if the lab cannot save a guest. A kernel that does not boot is no error
        here: its cells say so.
        """
        for cell in cells:
            key = (cell.kernel, cell.guest.name)
            if cell.skip or cell.guest.isolation is not Isolation.CLONE or key in self._known:
                continue
            self._known[key] = self._template(cell.kernel, cell.guest, launches[cell.kernel])

    def launch(self, cell: Cell, boot: Launch) -> Launch | BootFailed:
        """How to start a cell's guest: a clone, a boot, or the failed boot of its template."""
        return self._known.get((cell.kernel, cell.guest.name), boot)

    def _template(self, kernel: str, guest: Guest, launch: Launch) -> Launch | BootFailed:
        name = template.key(guest, launch)
        saved = self._cache.path("templates", name)
        with self._cache.lock("templates", name):
            if saved.is_dir() and (why := template.broken(saved)):
                log.info(f"template of {kernel} on {guest.name}: {why}: making it again")
                remove(saved)

        def make(folder: Path) -> None:
            evidence = self._evidence / f"{kernel}.{guest.name}"
            evidence.mkdir(parents=True, exist_ok=True)
            with log.step(f"booting {kernel} on {guest.name}"):
                asyncio.run(template.save(guest, launch, folder, evidence, warm_up=counters.FILES))
            evidence.rmdir()

        try:
            folder = self._cache.entry("templates", name, make)
        except BootFailed as failed:
            log.warn(f"{kernel} does not boot on {guest.name}: {failed.message}")
            return failed
        return dataclasses.replace(launch, ram=folder, state=folder / template.STATE)
