# SPDX-License-Identifier: GPL-2.0
"""The agent's audits, read back: docs/audit.md. What does not agree becomes a result of the lab's.

An audit that was due and did not come is an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from rmaplab.collect.transcript import AUDIT_END, Saved
from rmaplab.evidence.events import Audit, ListedPage
from rmaplab.evidence.protocol import PAGE_FLAGS
from rmaplab.model import LAB_SUBTEST, Subtest, Verdict

NAME = LAB_SUBTEST + "audit "

_MEANING = {
    "count": "have another mapcount than entries that map them",
    "exclusive": "have another mapcount than entries that map them",
    "not-found": "claim to be mapped, and no process maps them",
    "flags": "have flags that do not fit how they are mapped",
    "migration": "have a migration entry that nobody removed",
}


def subtests(saved: Saved) -> list[Subtest]:
    """The audits that failed, one result a mark and kind of mismatch, by name."""
    found: dict[str, Subtest] = {}
    for audit in saved.audits:
        for subtest in _of(audit):
            found.setdefault(subtest.name, subtest)
    if saved.audit_due and saved.exit is not None and not saved.audited_end:
        name = NAME + AUDIT_END
        found[name] = Subtest(name, Verdict.ERROR, "the audit did not come")
    return list(found.values())


def _of(audit: Audit) -> Iterator[Subtest]:
    name = NAME + audit.name
    if audit.error:
        yield Subtest(name, Verdict.ERROR, audit.error)
        return
    for kind, count in audit.kinds.items():
        lines = [_line(page) for page in audit.listed if page.kind == kind]
        said = f"FAILED: {count} pages {_MEANING.get(kind, kind)}"
        yield Subtest(f"{name}: {kind}", Verdict.FAIL, "\n".join([said, *lines]))
    sums = audit.sums
    if not sums.agree:
        zsmalloc = ""
        if sums.zsmalloc:
            zsmalloc = f", {sums.zsmalloc} maybe zsmalloc's, of nr_zspages {sums.nr_zspages}"
        yield Subtest(
            f"{name}: sums",
            Verdict.FAIL,
            f"FAILED: pages that claim to be mapped: {sums.anon} anonymous, {sums.file} "
            f"others; vmstat: nr_anon_pages {sums.nr_anon_pages}, nr_mapped {sums.nr_mapped}"
            f"{zsmalloc}",
        )


def _line(page: ListedPage) -> str:
    flags = int(page.flags, 16)
    names = "|".join(name for bit, name in PAGE_FLAGS.items() if flags >> bit & 1)
    maps = ", ".join(f"pid {at.pid} at {at.addr} ({at.entry})" for at in page.maps)
    more = page.mappers - len(page.maps)
    if more > 0:
        maps += f" and {more} more"
    return (
        f"pfn {page.pfn} (folio {page.head}): {page.counted} entries, kpagecount "
        f"{page.claimed}, {names or 'no flags'}; mapped by {maps or 'nobody'}"
    )
