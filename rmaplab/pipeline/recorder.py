# SPDX-License-Identifier: GPL-2.0
"""Say with what it is recorded which kernel code a run's cells run, or why it is not."""

from __future__ import annotations

from pathlib import Path

from rmaplab.errors import InfraError
from rmaplab.guest import plugin
from rmaplab.guest.command import Accelerator
from rmaplab.log import log
from rmaplab.model import Architecture, CoveragePolicy, CoverageScope
from rmaplab.store.cache import Cache

NEEDS_TCG = "it needs TCG, and the guests run on KVM: --accel tcg records it"


def plugin_for(
    policy: CoveragePolicy,
    accelerator: Accelerator,
    root: Path,
    architecture: Architecture,
    cache: Cache,
) -> tuple[Path | None, str]:
    """Return the plugin that records what cells run, or None and the reason why there is none.

    The reason is empty if nobody wants a record. Raises InfraError if one was asked for and QEMU
    takes no plugin.
    """
    if policy.scope is CoverageScope.NONE:
        return None, ""
    if accelerator is not Accelerator.TCG:
        log.warn(f"what the cells run is not recorded: {NEEDS_TCG}")
        return None, NEEDS_TCG
    try:
        return plugin.build(root, architecture, cache), ""
    except InfraError as error:
        if policy.asked:
            raise
        log.warn(f"what the cells run is not recorded: {error.message}")
        return None, error.message
