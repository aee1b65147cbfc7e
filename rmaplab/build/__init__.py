# SPDX-License-Identifier: GPL-2.0
"""Kernels and the initramfs: configured, built in a sandbox, content-addressed."""
