# SPDX-License-Identifier: GPL-2.0
"""The cache outside the repository and the folder of a run."""
