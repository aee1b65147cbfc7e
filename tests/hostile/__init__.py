# SPDX-License-Identifier: GPL-2.0
"""Attempts on the lab by hostile series, guests, mails and run folders: each must come to nothing.

One attempt is one datum in a table (``builds.py``, ``patches.py``, ...) or one test. An attempt
that did not run is an error: each table says how its attempts show that they ran, and families of
attempts have controls, in which the protection is off and the harm is done.
"""
