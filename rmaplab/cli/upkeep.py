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
from rmaplab.store import inuse
from rmaplab.store.cache import SECTIONS, Cache


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
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(only: tuple[str, ...], yes: bool) -> None:
    """Free the cache, after showing what that would free; the history only if it is named."""
    unknown = set(only) - set(SECTIONS)
    if unknown:
        raise UserError(f"no section {sorted(unknown)[0]!r}; sections: {', '.join(SECTIONS)}")
    cache = Cache()
    # The history cannot be made again: it goes only if it is named.
    sections = only or tuple(name for name in SECTIONS if name != "history")
    entries = list(cache.entries(sections))
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
            for entry in entries:
                cache.drop(entry)
        log.stdout.print(f"freed {total:.1f} MB")


VERBS = (doctor, clean)
