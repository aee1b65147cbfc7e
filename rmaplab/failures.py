# SPDX-License-Identifier: GPL-2.0
"""Name a failure so that the next run of the same failure has the same name. Pure.

A failure is named by its testcase and how it fails: outcome, splats, the subtests and checks that
fail. Neither numbers nor places are part of the name, so that one mark speaks of it everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.model import CellResult, Outcome, Verdict
from rmaplab.model.digest import digest_of


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
    return digest_of("failure", name, str(result.outcome), *splats, "", *failed)


def of_cells(results: Sequence[CellResult]) -> tuple[str, ...]:
    """Return the fingerprints of the failures of several cells, each once, in their order."""
    return tuple(dict.fromkeys(filter(None, map(fingerprint, results))))
