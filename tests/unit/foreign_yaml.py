# SPDX-License-Identifier: GPL-2.0
"""Hostile lab files: named ones, and what comes of spoiling a good one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

GOOD = """\
name: mine
kernels:
  - name: base
    tree: debian:linux-source-6.12
    config: [guest, mm]
guests: [q35]
settings: [thp-never, thp-always]
testcases:
  - control/*
  - {name: exclusive/mapcount, repeat: 2}
exclude:
  - {testcase: control/rss, reason: because}
include:
  - {testcase: control/rss, guest: q35}
expect:
  - {testcase: exclusive/mapcount, reason: known, splat: "a|b"}
allow:
  - {pattern: "WARNING.*", reason: known, until: 2030-01-31}
limits: {instructions: +2%}
postmortem: {run: 2}
"""


def _bomb() -> str:
    lines = ["name: mine", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


def _many(key: str, entry: str, count: int) -> str:
    return re.sub(rf"^{key}:.*\n(  .*\n)*", f"{key}:\n{entry * count}", GOOD, flags=re.M)


NAMED: dict[str, tuple[str | bytes | Callable[[], str], str]] = {
    "a bomb of aliases": (_bomb, "an anchor (&)"),
    "an alias": (GOOD + "x: *base\n", "an alias (*)"),
    "an anchor of its own": (GOOD.replace("[q35]", "&g [q35]"), "an anchor (&)"),
    "an anchor in itself": ("name: &a [*a]", "an anchor (&)"),
    "a tag": (GOOD.replace("name: mine", "name: !!python/object:os.system mine"), "a tag (!)"),
    "a tag of YAML's own": (GOOD.replace("mine", "!!str 1"), "a tag (!)"),
    "a merge": (GOOD + "<<: {name: x}\n", "merge"),
    "levels": ("a: " + "[" * 100_000, "20 levels deep"),
    "levels of keys": ("".join(" " * n + f"k{n}:\n" for n in range(500)), "20 levels deep"),
    "values": ("guests: [" + "a, " * 80_000 + "]", "more than 20000 values"),
    "keys": ("".join(f"k{n}: 1\n" for n in range(24_000)), "more than 20000 values"),
    "bytes": (lambda: "#" + "x" * (1 << 20), "more than 256 KB"),
    "a NUL": (GOOD.replace("mine", "mi\0ne"), "not valid YAML"),
    "an escaped NUL": (GOOD.replace("debian:linux-source-6.12", r'"dir:/tmp/\0x"'), r"'\x00'"),
    "an escape": (GOOD.replace("because", r'"\e[2J"'), r"'\x1b'"),
    "a lone surrogate": (GOOD.replace("because", r'"\ud800"'), r"'\ud800'"),
    "no UTF-8": (b"name: \xff\xfe\x00", "not UTF-8"),
    "a number of base 60": ("repeat: 1" + ":1" * 120_000, "so many digits"),
    "a number of many digits": (GOOD + "repeat: " + "9" * 5000 + "\n", "so many digits"),
    "a repeat": (GOOD + "repeat: 99999999999999999999\n", "repeat"),
    "not a number": (GOOD + "repeat: .nan\n", "repeat"),
    "mistakes": (_many("testcases", "  - nothing/of/this\n", 9000), "the first 100 mistakes"),
    "cells": (GOOD.replace("[q35]", "['*']").replace("[thp-never, thp-always]", "['*']")
              .replace("control/*", "'*'") + "repeat: 10000\n", "cells: at most"),
    "included cells": (_many("include", "  - {guest: '*', settings: '*', testcase: '*'}\n", 900),
                       "combinations: at most"),
    "excluded cells": (GOOD.replace("[q35]", "['*']").replace("control/*", "'*'").replace(
        "exclude:\n", "exclude:\n" + "  - {guest: q35, reason: r}\n" * 3500),
        "comparisons of cells"),
    "documents": (GOOD + "---\n" + GOOD, "not valid YAML"),
    "a list": ("- a\n- b\n", "the file"),
    "a key that is a list": ("? [a, b]\n: c\n", "a key has to be a word"),
    "keys twice": (GOOD + GOOD, "is here twice"),
    "nothing": ("", "the file is empty"),
    "a key that is a type": (GOOD + "str: 1\n", "unknown key 'str'"),
    "a key in brackets": (GOOD + "'a[b': {'constrained-str': 1}\n", "unknown key 'a[b'"),
    "a pattern": (GOOD.replace('"a|b"', '"(("'), "not a regular expression"),
}  # fmt: skip

_PIECES = (
    "*", "&a ", "!!int ", "!", "[", "]", "{", "}", ":", "- ", "? ", "|\n", ">\n", "\t", "'", '"',
    "~", "null", "0x", "1e999", ".inf", "2030-99-99", "<<: ", "%YAML 9.9\n", "---\n", "...\n", "\0",
    "\x85", "\u2028", "\ufeff", "\U0010ffff", "9" * 300, "a" * 3000, "\n", "  ", "#", "@", "`",
    "repeat: 10000\n", "'*'", "[*a]", "- [" * 30,
)  # fmt: skip


def spoilt(rng: random.Random, text: str = GOOD) -> bytes:
    """A lab file with some places cut, doubled, moved or overwritten."""
    for _ in range(rng.randrange(1, 6)):
        start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0:
                text = text[:start] + rng.choice(_PIECES) + text[start:]
            case 1:
                text = text[:start] + rng.choice(_PIECES) + text[min(end, start + 9) :]
            case 2:
                text = text[:start] + text[min(end, start + 40) :]
            case 3:
                lines = text.splitlines(keepends=True)
                rng.shuffle(lines)
                text = "".join(lines)
            case _:
                text = text[:end] + text[start:]
        text = text[:8000]
    raw = text.encode("utf-8", "replace")
    if rng.random() < 0.1:
        place = rng.randrange(len(raw) + 1)
        raw = raw[:place] + rng.randbytes(3) + raw[place:]
    return raw
