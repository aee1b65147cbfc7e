# SPDX-License-Identifier: GPL-2.0
"""A run as a table, JUnit, JSON, Markdown and HTML."""
