# SPDX-License-Identifier: GPL-2.0
"""Compare A's and B's results row by row (docs/comparison.md). Pure.

``sides`` holds the facts of one kernel's repeats, ``news`` finds the facts that speak against B and
not against A, ``splats`` compares sets of fingerprints, ``rows`` decides.
"""

from __future__ import annotations

from rmaplab.compare.news import News, NewsKind, news
from rmaplab.compare.rows import compare, grouped
from rmaplab.compare.sides import Side

__all__ = ["News", "NewsKind", "Side", "compare", "grouped", "news"]
