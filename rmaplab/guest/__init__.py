# SPDX-License-Identifier: GPL-2.0
"""Guests: QEMU started, watched and asked."""
