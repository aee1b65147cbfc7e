# SPDX-License-Identifier: GPL-2.0
"""The verbs about the host: doctor and clean."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict

import click

from rmaplab.cli.options import format_option
from rmaplab.errors import ExitCode, UserError
from rmaplab.log import log
from rmaplab.pipeline import doctor as examination
from rmaplab.store import inuse, limits
from rmaplab.store.cache import SECTIONS, Cache, Entry


@click.command()
@format_option
def doctor(form: str) -> int:
    """Say what this host can do and what to install; boots a guest on KVM to know that it works."""
    findings = examination.examine(Cache())
    fine = all(finding.ok or not finding.needed for finding in findings)
    if form == "json":
        log.json(json.dumps({"ok": fine, "checks": [asdict(f) for f in findings]}, indent=1) + "\n")
    else:
        for finding in findings:
            style, word = ("good", "ok") if finding.ok else ("bad", "no")
            if not finding.ok and not finding.needed:
                style = "odd"
            log.stdout.print(f"[{style}]{word:>3}[/] ", end="")
            log.stdout.print(f"{finding.name}: {finding.detail}", markup=False)
            if finding.hint and not finding.ok:
                log.stdout.print(f"      {finding.hint}", markup=False)
    return ExitCode.OK if fine else ExitCode.INFRA


@click.command()
@click.option("--only", multiple=True, metavar="SECTION", help=f"Only this: {', '.join(SECTIONS)}.")
@click.option(
    "--keep-within", "limit", default="", metavar="SIZE",
    help="Free only what was not used for longest, until the rest has at most this size, as 5G.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(only: tuple[str, ...], limit: str, yes: bool) -> None:
    """Free the cache, after showing what that would free; the history only if it is named.

    Nothing is freed while a lab uses the cache.
    """
    unknown = set(only) - set(SECTIONS)
    if unknown:
        raise UserError(f"no section {sorted(unknown)[0]!r}; sections: {', '.join(SECTIONS)}")
    cache = Cache()
    wanted = limits.size(limit, "--keep-within") if limit else None
    entries = _to_free(cache, only, wanted)
    sizes: Counter[str] = Counter()
    for entry in entries:
        sizes[entry.section] += entry.size
    for section, size in sizes.items():
        count = sum(entry.section == section for entry in entries)
        log.stdout.print(
            f"{section:10} {size / 1e6:9.1f} MB in {count}: {SECTIONS[section]}", markup=False
        )
    if not entries:
        log.stdout.print(f"nothing to free in {cache.root}", markup=False)
        return
    total = sum(sizes.values()) / 1e6
    if yes or click.confirm(f"free {total:.1f} MB in {cache.root}?", err=True):
        with inuse.alone(cache):
            # Entries that were used since they were shown stay.
            now = {entry.path for entry in _to_free(cache, only, wanted)}
            for entry in entries:
                if entry.path in now:
                    cache.drop(entry)
        log.stdout.print(f"freed {total:.1f} MB")


def _to_free(cache: Cache, only: tuple[str, ...], limit: int | None) -> list[Entry]:
    """Return the entries to free: those of some sections, or those beyond a size."""
    if limit is None:
        return cache.by_use(only or inuse.REPLACEABLE)
    return inuse.beyond(cache, limit, only or inuse.REPLACEABLE)


VERBS = (doctor, clean)
