# SPDX-License-Identifier: GPL-2.0
"""Fuzz saved transcripts and live events: ``python tests/fuzz_transcripts.py SECONDS [SEED]``."""

from __future__ import annotations

import sys

from unit.evidence_fuzz import main  # type: ignore[import-not-found]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
