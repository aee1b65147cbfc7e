#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The rmaplab command, from a checkout: runs in the virtual environment that make set up."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PYTHON = Path(__file__).resolve().parent / ".venv" / "bin" / "python"

if PYTHON.exists() and Path(sys.prefix) != PYTHON.parent.parent:
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

try:
    from rmaplab.cli import main
except ModuleNotFoundError as missing:
    sys.exit(f"lab.py: the Python package {missing.name!r} is missing: run 'make setup' first")

if __name__ == "__main__":
    main()
