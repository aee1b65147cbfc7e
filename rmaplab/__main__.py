# SPDX-License-Identifier: GPL-2.0
"""``python -m rmaplab`` is the rmaplab command."""

from rmaplab.cli import main

main()
