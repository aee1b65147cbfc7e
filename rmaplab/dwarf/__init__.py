# SPDX-License-Identifier: GPL-2.0
"""A program of its own: the line tables of objects with debug info, by pyelftools.

It runs in the sandbox (build/linetables.py): a series' build wrote the objects, so reading one may
take any time and memory. What it says is held against a schema.
"""
