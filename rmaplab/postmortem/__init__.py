# SPDX-License-Identifier: GPL-2.0
"""drgn's report on a guest's memory (docs/postmortem.md).

``python -m rmaplab.postmortem`` is a program of its own, which the lab runs in a sandbox and with a
time limit, because a guest wrote the memory that the program reads.
"""
