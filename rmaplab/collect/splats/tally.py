# SPDX-License-Identifier: GPL-2.0
"""Keep a bounded number of a log's splats: each once, counted, and none hidden by many others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from rmaplab.model import Splat

MAX_SPLATS = 64
"""Splats of one console that are kept, and one more if the last one is a panic."""
MAX_REMEMBERED = 4096
"""Headlines that are remembered, to know a repetition of the log's own text."""
LEAST_TEXT = 20
"""Characters that make a headline's text its own."""


class Tally:
    """Count splats.

    What has the fingerprint, owner and boot of a splat before it is counted there and not kept. If
    there is no room for a new one, it takes the place of the last of the most frequent kind,
    if its own kind has none yet.
    """

    def __init__(self) -> None:
        self._splats: dict[tuple[str, ...], Splat] = {}
        self._left_out: Counter[str] = Counter()

    @property
    def left_out(self) -> dict[str, int]:
        """How many splats of which kind were not kept, nor counted with another."""
        return dict(self._left_out)

    @property
    def splats(self) -> list[Splat]:
        """The splats in the order of their headlines."""
        return sorted(self._splats.values(), key=lambda splat: splat.line)

    def add(self, splat: Splat) -> None:
        """Keep a splat, or count it."""
        key = (splat.kind, splat.title, splat.fingerprint, splat.owner, str(splat.boot))
        if before := self._splats.get(key):
            first, second = sorted((before, splat), key=lambda one: one.line)
            self._splats[key] = replace(
                first,
                count=before.count + splat.count,
                fatal=first.fatal or second.fatal,
                tainted=first.tainted and second.tainted,
            )
            return
        if len(self._splats) >= MAX_SPLATS and not self._make_room(splat):
            self._left_out[splat.kind] += 1
            return
        self._splats[key] = splat

    def add_again(self, splat: Splat) -> None:
        """Take a repetition of the log's own text, if the text before was cut and this is whole."""
        if splat.corrupted:
            return
        for key, before in self._splats.items():
            if before.corrupted and before.kind == splat.kind and before.boot == splat.boot:
                del self._splats[key]
                self.add(replace(splat, line=before.line, fatal=splat.fatal or before.fatal))
                return

    def _make_room(self, splat: Splat) -> bool:
        kinds = Counter(key[0] for key in self._splats)
        if splat.kind in kinds:
            return False
        ((most, number),) = kinds.most_common(1)
        if number > 1:
            last = [key for key in self._splats if key[0] == most][-1]
            del self._splats[last]
            self._left_out[most] += 1
        return True


class Headlines:
    """Remember headlines, to know a log's own text when it is printed again."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def repeats(self, text: str, stamp: str, prelude: bool) -> bool:
        """Take a headline; return whether it is one that was printed before.

        The time stamp tells: with the same one it is the same message, and a text without one is a
        copy of a text with one (``dmesg`` at the end of a job), or the other way round.
        """
        if stamp and float(stamp) > 0 and self._known(f"{stamp} {text}", stamp):
            return True
        if prelude or len(text) < LEAST_TEXT:
            return False
        before = self._seen.get(text)
        if before is None:
            self._remember(text, stamp)
        return before is not None and bool(before) is not bool(stamp)

    def _known(self, key: str, stamp: str) -> bool:
        if key in self._seen:
            return True
        self._remember(key, stamp)
        return False

    def _remember(self, key: str, stamp: str) -> None:
        if len(self._seen) >= MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = stamp
