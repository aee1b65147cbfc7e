# SPDX-License-Identifier: GPL-2.0
"""How grave each kind of the table is."""

from __future__ import annotations

from rmaplab.model import Severity

_KINDS = {
    Severity.FATAL: """
        panic oops page-fault general-protection divide-error double-fault stack-overflow kernel-bug
        boot-failure unexpected-reboot hard-lockup firmware cfi
    """,
    Severity.ERROR: """
        kasan kfence kmsan kcsan ubsan refcount usercopy list-corruption slab-corruption
        page-table-check page-corruption bad-page-state bad-page-map bad-page-cache
        bad-page-table bad-swap-entry bad-rss-counter nonzero-nr-ptes page-counter-underflow
        debugobjects dma-api csd-lock lockdep spinlock rcu-stall soft-lockup hung-task
        scheduling-while-atomic sleeping-function workqueue netdevice-leak busy-inodes console-cut
        corrupted tool-failure bug
    """,
    Severity.WARNING: """
        warning preemptible memory-leak negative-counter page-dump unwinder unhandled-irq kobject
        sysctl
    """,
    # A test may be there to have a process killed because there is no memory.
    Severity.NOTICE: "oom",
}
SEVERITIES = {kind: severity for severity, kinds in _KINDS.items() for kind in kinds.split()}
"""Kind -> severity, for every kind of the table."""


def severity_of(kind: str) -> Severity:
    """Return a kind's severity; grave for one that is in no list."""
    return SEVERITIES.get(kind, Severity.ERROR)
