# SPDX-License-Identifier: GPL-2.0
"""rmaplab: a regression lab for the Linux kernel's reverse mapping."""

__version__ = "0.1.0"
