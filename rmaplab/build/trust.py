# SPDX-License-Identifier: GPL-2.0
"""The rule for a host on which the sandbox is weaker than it should be.

Without namespaces for mounts, processes and the network there is no sandbox, and nothing is built.
With them, but less than that of the rest, the lab builds its own series on Debian's trees, and says
what is weak; a stranger's code it refuses, unless the user says otherwise.
"""

from __future__ import annotations

import os
from pathlib import Path

from rmaplab.build import sandbox, seccomp
from rmaplab.config.paths import project
from rmaplab.errors import InfraError
from rmaplab.log import log
from rmaplab.model import ResolvedKernel

UNSAFE = "RMAPLAB_UNSAFE_BUILD"
"""The variable by which a user has a stranger's code built all the same; its value is ``1``."""
_warned: set[str] = set()


def weaknesses() -> tuple[str, ...]:
    """Return what the sandbox of this host lacks, in words; empty if nothing."""
    form = sandbox.best_form()
    found = []
    if os.geteuid() == 0 and form.uid is None:
        found.append("foreign code has root's user, without its capabilities")
    if not seccomp.program():
        found.append("foreign code has every system call")
        if not form.userns:
            found.append("foreign code can make user namespaces")
    return tuple(found)


def check(wanted: ResolvedKernel) -> None:
    """Hold a kernel that is to be built against the rule. Raises InfraError if it forbids it."""
    weak = weaknesses()
    if not weak:
        return
    said = "; ".join(weak)
    if os.environ.get(UNSAFE) != "1" and (who := _stranger(wanted)):
        raise InfraError(
            f"{who} is not built, because the sandbox of this host is weak: {said}",
            hint=f"see lab.py doctor; {UNSAFE}=1 builds it all the same",
        )
    if said not in _warned:
        _warned.add(said)
        log.warn(f"the sandbox of this host is weak: {said} (see lab.py doctor)")


def _stranger(wanted: ResolvedKernel) -> str:
    """Return what of a kernel is neither the lab's own nor Debian's; empty if nothing is."""
    if not wanted.tree.spec.startswith("debian:"):
        return f"the tree {wanted.tree.spec}"
    own = project() / "patches"
    for series in (wanted.onto, wanted.own):
        origin = Path(series.origin)
        if series.patches and not (origin.is_absolute() and origin.resolve().is_relative_to(own)):
            return f"the series {series.origin or series.name}"
    return ""
