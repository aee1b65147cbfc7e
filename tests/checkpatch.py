# SPDX-License-Identifier: GPL-2.0
"""make lint's checkpatch."""
