# SPDX-License-Identifier: GPL-2.0
"""A fake kernel tree in the real sandbox, and the real QEMU with tiny fake guests."""
