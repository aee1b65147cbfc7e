# SPDX-License-Identifier: GPL-2.0
"""make bench-console: how fast consoles are parsed, and in how much memory.

    python tests/bench_console.py [--mb N] [--stream MB]

Streams of ordinary chatter, of chatter with KTAP, of nothing but splats and of hostile bytes go
through the parser in reads of 64 KB; a long stream shows that memory does not grow. Exit code 1 if
chatter is below its goal, or if a long stream takes more memory than a short one.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rmaplab.collect.console import parse_log
from rmaplab.collect.splats import SplatParser

CHUNK = 65_536
LARGE_CHUNK = 1 << 20
"""The bytes that ./lab.py parse reads at once."""
GOAL_MB_S = 150
"""Of ordinary chatter, on one core."""
GROWTH_MB = 8
"""The MB that an allocator may take more for a long stream than for a short one."""


def chatter() -> bytes:
    """Lines of drivers, of systemd and of a test, without a complaint."""
    return b"".join(
        b"[  %3d.%06d][  T%d] systemd[1]: Started Session %d of user root.\n"
        b"[  %3d.%06d][    T1] usb 1-1: New USB device strings: Mfr=105, Product=50\n"
        b"[  %3d.%06d] EXT4-fs (vda): mounted filesystem with ordered data mode.\n"
        % (n, n, n, n, n, n, n, n)
        for n in range(100, 999)
    )


def splats() -> bytes:
    """Every sample of the unit tests, one after the other."""
    path = Path(__file__).parent / "unit/collect/console_samples.py"
    spec = importlib.util.spec_from_file_location("console_samples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["console_samples"] = module
    spec.loader.exec_module(module)
    return b"".join(sample.console for sample in module.SAMPLES.values())


def signs() -> bytes:
    """Lines that look like a headline and are none: each is looked at closely."""
    return b"[   12.000000][   T77] BUG: INFO: WARNING: refcount: Oops \x1b[1m[ cut here\n" * 999


def streams() -> dict[str, bytes]:
    """Name -> a block that is repeated."""
    ktap = b"".join(
        b"# some diagnostics of test %d\nok %d - rmap walk of a large folio # 12 ms\n" % (n, n)
        for n in range(1, 500)
    )
    return {
        "chatter": chatter(),
        "chatter and KTAP": chatter() + b"KTAP version 1\n1..499\n" + ktap,
        "splats": splats(),
        "headlines that are none": signs(),
        "no line end": b"\xffx" * CHUNK,
        "escape sequences": b"\x1b[0;31m\x1b]0;t\x07\r\n" * 4096,
        "open report, endless trace": (
            b"BUG: KASAN: demo in demo+0x1/0x2\n" + b" demo_walk+0x1f/0x230\n" * 4096
        ),
    }


def reads(block: bytes, size: int, chunk: int = CHUNK) -> Iterator[bytes]:
    """A block over and over, in reads of 64 KB or so, until ``size`` bytes have come."""
    pieces = cycle([block[at : at + chunk] for at in range(0, len(block), chunk)])
    while size > 0:
        piece = next(pieces)
        yield piece
        size -= len(piece)


def speed(block: bytes, mb: int) -> float:
    """MB/s of CPU time."""
    parser = SplatParser()
    began = time.process_time()
    for piece in reads(block, mb << 20):
        parser.feed(piece)
    parser.finish()
    return mb / max(time.process_time() - began, 1e-9)


def resident_mb() -> float:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Measure and print the tables."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--mb", type=int, default=32, help="MB of each stream")
    options.add_argument("--stream", type=int, default=1024, help="MB of the long stream")
    chosen = options.parse_args()
    table = Table(title="console parser, one core")
    for title in ("stream", "MB/s", "goal"):
        table.add_column(title, justify="right" if title == "MB/s" else "left")
    blocks = streams()
    fast = True
    for name, block in blocks.items():
        rate = speed(block, chosen.mb if name == "chatter" else max(chosen.mb // 4, 1))
        goal = f"{GOAL_MB_S}" if name == "chatter" else ""
        fast = fast and (rate >= GOAL_MB_S or not goal)
        table.add_row(name, f"{rate:.0f}", goal)
    everything = blocks["chatter"] * 40 + blocks["splats"] + blocks["chatter and KTAP"]
    parse_log(reads(everything, 16 << 20, LARGE_CHUNK))
    before = resident_mb()
    began = time.process_time()
    parse_log(reads(everything, chosen.stream << 20, LARGE_CHUNK))
    took, growth = time.process_time() - began, resident_mb() - before
    Console().print(table)
    print(
        f"{chosen.stream} MB of all of it, splats and KTAP read: {chosen.stream / took:.0f} MB/s; "
        f"{resident_mb():.0f} MB resident, {growth:.1f} MB more than for 16 MB"
    )
    return 0 if fast and growth <= GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())
