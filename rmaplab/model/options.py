# SPDX-License-Identifier: GPL-2.0
"""Options that change what a lab file says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabOptions:
    """The options that change what a lab file says, so that it can be read again as it was asked.

    ``tree`` replaces that of every kernel. ``series`` is put on the lab's first kernel, on top of
    the series ``onto``: in an A/B (``compared``) as the kernel ``patched`` beside ``base``, else
    as the only kernel, whose name is ``name``. ``config`` are Kconfig fragments beside the lab's.
    ``accept`` says what of ``series`` is accepted although the lab would refuse or leave it out,
    ``stacked`` are more series on top of ``series``. ``versus`` are two revisions that are compared
    in an A/B, the older one first: versions of ``series`` (``v1``), or series. ``testcases`` are
    patterns of those to run in the place of the lab's, if there are any.
    ``repeat`` 0, ``memories`` None and ``coverage`` None stand for what the lab says.
    """

    tree: str = ""
    series: str = ""
    onto: str = ""
    name: str = ""
    config: tuple[str, ...] = ()
    compared: bool = False
    repeat: int = 0
    exact: bool = False
    no_audit: bool = False
    no_ledger: bool = False
    memories: int | None = None
    accept: tuple[str, ...] = ()
    stacked: tuple[str, ...] = ()
    versus: tuple[str, ...] = ()
    coverage: bool | None = None
    testcases: tuple[str, ...] = ()
