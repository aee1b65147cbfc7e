# SPDX-License-Identifier: GPL-2.0
"""The vocabulary of a cell's evidence: file names, protocol constants, events, ends, phases.

The guest side writes evidence with these words and the collecting side reads it with them, so each
word is here once. Imports model and errors alone.
"""
