# SPDX-License-Identifier: GPL-2.0
"""Turn the agent's audits into findings: docs/audit.md.

An audit that was due and did not come is an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from rmaplab.collect.transcript import AUDIT_END, Saved
from rmaplab.evidence.events import Audit, AuditSums, ListedPage
from rmaplab.evidence.protocol import PAGE_FLAGS
from rmaplab.model import Finding, FindingKind, Verdict

_MEANING = {
    "count": "have another mapcount than entries that map them",
    "exclusive": "have another mapcount than entries that map them",
    "not-found": "claim to be mapped, and no process maps them",
    "flags": "have flags that do not fit how they are mapped",
    "migration": "have a migration entry that nobody removed",
}


def findings(saved: Saved) -> list[Finding]:
    """Return what failed in the audits, one finding a mark and kind of mismatch."""
    found: dict[str, Finding] = {}
    for audit in saved.audits:
        for one in _of(audit):
            found.setdefault(one.name, one)
    if saved.audit_due and saved.exit is not None and not saved.audited_end:
        one = Finding(FindingKind.AUDIT, Verdict.ERROR, "the audit did not come", AUDIT_END)
        found[one.name] = one
    return list(found.values())


def _of(audit: Audit) -> Iterator[Finding]:
    if audit.error:
        yield Finding(FindingKind.AUDIT, Verdict.ERROR, audit.error, audit.name)
        return
    for kind, count in audit.kinds.items():
        yield Finding(
            FindingKind.AUDIT,
            Verdict.FAIL,
            f"{count} pages {_MEANING.get(kind, kind)}",
            audit.name,
            kind,
            count,
            more="\n".join(_line(page) for page in audit.listed if page.kind == kind),
        )
    if not audit.sums.agree:
        yield Finding(
            FindingKind.AUDIT,
            Verdict.FAIL,
            _sums(audit.sums),
            audit.name,
            "sums",
            max(abs(audit.sums.anon - audit.sums.nr_anon_pages),
                abs(audit.sums.file - audit.sums.nr_mapped)),
        )  # fmt: skip


def _sums(sums: AuditSums) -> str:
    zsmalloc = ""
    if sums.zsmalloc:
        zsmalloc = f", {sums.zsmalloc} maybe zsmalloc's, of nr_zspages {sums.nr_zspages}"
    return (
        f"pages that claim to be mapped: {sums.anon} anonymous, {sums.file} others; vmstat: "
        f"nr_anon_pages {sums.nr_anon_pages}, nr_mapped {sums.nr_mapped}{zsmalloc}"
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
