# SPDX-License-Identifier: GPL-2.0
"""A reply to a series: plain text, 72 columns, what a reviewer would paste under a patch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rmaplab.model import ComparedSplat, Item, ItemKind, RunState, Splat, Standing
from rmaplab.report.markdown import shortened
from rmaplab.report.reported import ReportedRun
from rmaplab.text import printable

WIDTH = 72
MAX_ITEMS = 20
"""Testcases that a mail lists of what is red, and frames of a splat."""
_GREEN = frozenset({Standing.PASSED, Standing.FIXED, Standing.SKIPPED})


def render(run: ReportedRun, tester: str = "") -> str:
    """Return the mail's text; ``tester`` is a name and address for a Tested-by line."""
    blocks = [
        _wrapped(_what(run)),
        _wrapped(run.summary.headline),
        [line for splat in _new_splats(run) for line in _splat(run, splat)],
        _listed("Red:", [i for i in run.summary.red if i.kind is not ItemKind.SPLAT]),
        _listed("Bad, but in quarantine:", _of(run, Standing.QUARANTINED)),
        _listed("Fixed:", _of(run, Standing.FIXED)),
        _listed("Known to fail, and no news:", _of(run, Standing.KNOWN)),
        [line for remark in run.remarks for line in _wrapped(remark, "note: ")],
        _tag(run, tester),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def all_passed(run: ReportedRun) -> bool:
    """Return whether a Tested-by line would be true: all ran, and nothing failed on patched.

    A row that fails on both kernels is no failure of the series, and no pass either. A kernel that
    is base's byte for byte tests nothing of the series.
    """
    summary = run.summary
    standings = {item.standing for item in summary.items}
    tested = bool(standings & {Standing.PASSED, Standing.FIXED})
    whole = summary.state is RunState.COMPLETE and not summary.notes
    return whole and tested and standings <= _GREEN


def _what(run: ReportedRun) -> str:
    """Say what was run on what."""
    record = run.record
    parts = []
    for name, facts in record.kernels.items():
        count = len(facts.patches)
        series = f" + {count} patch{'es' if count > 1 else ''}" if count else ""
        parts.append(f"{name} is {facts.origin}{series}")
    part = f" {record.part[0].upper()}{record.part[1:]}." if record.part else ""
    return (
        f"rmaplab ran its lab {record.lab.name} in QEMU ({record.accelerator or 'no guest ran'}): "
        f"{'; '.join(parts)}.{part}"
    )


def _tag(run: ReportedRun, tester: str) -> list[str]:
    if not tester or not all_passed(run):
        return []
    counted = (run.summary.rows or run.summary.cells).partition(":")[0]
    tag = f"[rmaplab {run.record.lab.name}: {counted}, QEMU {run.record.accelerator}]"
    return [*_wrapped(tag), f"Tested-by: {printable(tester)}"]


def _of(run: ReportedRun, standing: Standing) -> list[Item]:
    return [item for item in run.summary.items if item.standing is standing]


def _listed(title: str, items: Sequence[Item]) -> list[str]:
    """Return a title and the items, those of a testcase that say the same in one."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        groups.setdefault((item.name, item.kernel, item.what), []).append(item)
    lines = [title] if groups else []
    for some in list(groups.values())[:MAX_ITEMS]:
        first = some[0]
        sides = f" {first.base} -> {first.patched}," if first.base else ""
        more = f" in {len(some)} rows" if len(some) > 1 else f" [{first.where}]"
        lines += _wrapped(f"{first.name}:{sides} {first.what}{more if first.where else ''}", "  ")
        if first.why and first.standing is not Standing.FIXED:
            lines += _wrapped(first.why, "    ")
    if len(groups) > MAX_ITEMS:
        lines.append(f"  and {len(groups) - MAX_ITEMS} more")
    return lines


def _new_splats(run: ReportedRun) -> tuple[ComparedSplat, ...]:
    return run.comparison.new_splats if run.comparison is not None else ()


def _splat(run: ReportedRun, new: ComparedSplat) -> Iterator[str]:
    """Yield a new splat: its title, where, and its frames, which are no longer than a line."""
    yield from _wrapped(f"New splat: {new.title}")
    where = sorted({" ".join(filter(None, row)) for row in new.rows})
    yield from _wrapped(f"in {', '.join(where[:3])}{' and more' if len(where) > 3 else ''}", "  ")
    found = next(_same(run, new), None)
    for frame in found.frames[:MAX_ITEMS] if found is not None else ():
        yield f"    {shortened(printable(frame), WIDTH - 4)}"
    places = {source.summary for source in found.sources} if found is not None else set()
    for place in sorted(places)[:3]:
        yield from _wrapped(place, "    at ")
    yield ""


def _same(run: ReportedRun, new: ComparedSplat) -> Iterator[Splat]:
    for result in reversed(run.results):
        yield from (one for one, _ in result.splats if one.fingerprint == new.fingerprint)


def _wrapped(text: str, indent: str = "") -> list[str]:
    """Return lines of at most 72 columns; a longer word is cut."""
    return _lines([printable(" ".join(text.split()))], indent)


def _lines(texts: Iterable[str], indent: str) -> list[str]:
    return [
        line
        for text in texts
        for line in textwrap.wrap(
            text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent),
            break_on_hyphens=False,
        )
    ]  # fmt: skip
