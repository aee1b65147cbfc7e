# SPDX-License-Identifier: GPL-2.0
"""Tests of the pure parts: no kernel, no QEMU, no root, no network but the loopback."""
