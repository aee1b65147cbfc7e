# SPDX-License-Identifier: GPL-2.0
"""From saved raw evidence to an Observation."""
