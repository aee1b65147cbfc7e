# SPDX-License-Identifier: GPL-2.0
"""The verbs: stages put together."""
