# SPDX-License-Identifier: GPL-2.0
"""Name a failure so that the next run of the same failure has the same name. Pure.

A failure is named by its testcase and how it fails: outcome, splats, the subtests and checks that
fail. Neither numbers nor places are part of the name, so that one mark speaks of it everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from rmaplab.model import CellResult, Item, Outcome, Verdict
from rmaplab.model.digest import digest_of

MIXED = "mixed"
"""The verdict of a side whose repeats differ."""


def fingerprint(result: CellResult) -> str:
    """Return the fingerprint of a cell's failure, 16 hex digits; empty if it did not fail.

    It is the splat's own where a splat alone is the reason.
    """
    if result.judgement.verdict is not Verdict.FAIL:
        return ""
    seen = result.observation
    splats = sorted({s.fingerprint for s, allowed in result.splats if not allowed})
    failed = sorted({one.name for one in seen.results if one.verdict is Verdict.FAIL})
    if len(splats) == 1 and not failed and result.outcome is Outcome.SPLAT:
        return splats[0]
    name = result.cell.testcase.name
    parts = ("failure", name, str(result.outcome), *splats, "", *failed)
    return digest_of(*(part.encode("utf-8", "surrogatepass") for part in parts))


def against(item: Item, results: Iterable[CellResult], base: str) -> list[CellResult]:
    """Return the failures among an item's results that speak against a kernel.

    ``base`` is the first kernel of an A/B, empty in a plain run. Its failures are the known ones
    that patched is held against, unless its own repeats differ. In a plain run a failure that is
    as expected speaks against nobody, though its repeats may differ from it.
    """
    failed = [one for one in results if one.judgement.verdict is Verdict.FAIL]
    if base:
        return [one for one in failed if one.cell.kernel != base or item.base == MIXED]
    return [one for one in failed if not one.judgement.as_expected]
