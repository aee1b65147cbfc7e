# SPDX-License-Identifier: GPL-2.0
"""Compare kernel versions."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BOUND = re.compile(r"\s*(>=|<)\s*(\d+(?:\.\d+)+)\s*")
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a kernel version, to be compared: (6, 12, 117) of ``6.12.117-amd64``.

    A release candidate counts as its release, since it has what the release will have. Empty for
    what does not begin with a number.
    """
    match = _NUMBERS.match(version)
    return tuple(map(int, match[0].split("."))) if match else ()


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range of kernel versions: from ``since`` on, before ``until``; empty for no bound."""

    since: tuple[int, ...] = ()
    until: tuple[int, ...] = ()

    def overlaps(self, other: VersionRange) -> bool:
        """Return whether any version is in both ranges."""
        return (not self.until or self.until > other.since) and (
            not other.until or other.until > self.since
        )

    def __contains__(self, version: object) -> bool:
        """Return whether a version is in the range; one that is not known is."""
        numbers = version_numbers(str(version))
        return not numbers or (numbers >= self.since and (not self.until or numbers < self.until))

    def meets(self, other: VersionRange) -> bool:
        """Return whether some version is in both ranges."""
        return (not self.until or other.since < self.until) and (
            not other.until or self.since < other.until
        )


def version_range(text: str) -> VersionRange:
    """Read a range such as ``<6.15`` or ``>=6.15, <7.3``; empty text is every version.

    Raises ValueError that says what is wrong.
    """
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split(",") if text else ():
        match = _BOUND.fullmatch(part)
        if match is None or match[1] in found:
            raise ValueError(f"not a range of kernels such as '>=6.15,<7.3': {text!r}")
        found[match[1]] = version_numbers(match[2])
    known = VersionRange(found.get(">=", ()), found.get("<", ()))
    if known.since and known.until and known.since >= known.until:
        raise ValueError(f"no kernel is in the range {text!r}")
    return known
