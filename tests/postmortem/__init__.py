# SPDX-License-Identifier: GPL-2.0
"""A crashed kernel with debug info, read by faddr2line and drgn."""
