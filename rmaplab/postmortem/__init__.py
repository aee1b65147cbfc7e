# SPDX-License-Identifier: GPL-2.0
"""What drgn says about a guest's memory (docs/postmortem.md).

``python -m rmaplab.postmortem`` is a program of its own, which the lab runs in a sandbox and with a
time limit: a guest wrote the memory that it reads.
"""
