# SPDX-License-Identifier: GPL-2.0
"""Splats do not depend on the text that a log puts around its messages."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.collect.splats import parse_console

GOLDEN = Path(__file__).resolve().parents[2] / "golden/console"
LONGEST = 24_000
LOGS = {
    path.stem: path.read_bytes()[:LONGEST]
    for path in sorted(GOLDEN.glob("*.log"))
    if not path.stem.startswith("wild-")
}
_STAMP = re.compile(rb"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ", re.M)
_CALLER = re.compile(rb"^(\[ *\d+\.\d+\])\[ *[TC]\d+\] ", re.M)

EXAMPLES = int(os.environ.get("RMAPLAB_FUZZ", "60"))

Cell = Callable[[int], str]
"""The text of a cell of a prefix, by the number of the line."""


def facts(console: bytes, *, lines: bool = True) -> list[tuple[object, ...]]:
    return [
        (s.kind, s.title, s.function, s.frames, s.fingerprint, s.line * lines, s.count)
        for s in parse_console(console)
    ]


def prefixed(console: bytes, cells: list[Cell], suffix: str = "") -> bytes:
    """Put the cells in front of each line, and the suffix behind it."""
    lines = console.split(b"\n")
    ends = lines.pop() if not lines[-1] else b""
    return (
        b"".join(
            "".join(cell(number) for cell in cells).encode() + line + suffix.encode() + b"\n"
            for number, line in enumerate(lines)
        )
        + ends
    )


def bare(console: bytes) -> bytes:
    """Take the stamps off."""
    return _STAMP.sub(b"", console)


def without_callers(console: bytes) -> bytes:
    return _CALLER.sub(rb"\1 ", console)


WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=9)
HEX = st.text("0123456789abcdef", min_size=6, max_size=12)


def constant(text: str) -> Cell:
    return lambda _: text


def counter(start: int, step: int, form: str) -> Cell:
    return lambda number: form.format(start + step * number)


def clock(start: int, step: int, form: str) -> Cell:
    def cell(number: int) -> str:
        now = start + step * number
        return form.format(h=now // 3600 % 24, m=now // 60 % 60, s=now % 60, f=now * 7919 % 1000000)

    return cell


def one_of(words: list[str], form: str) -> Cell:
    return lambda number: form.format(words[number * number % len(words)])


CELLS = st.one_of(
    WORDS.map(constant),
    HEX.map(constant),
    st.builds(
        counter,
        st.integers(0, 10**6),
        st.integers(1, 99),
        st.sampled_from(["{}", "{:08}", "{:>9}", "{:x}", "#{}", "<{}>", "+{}us", "{},"]),
    ),
    st.builds(
        clock,
        st.integers(0, 86_000),
        st.integers(0, 3),
        st.sampled_from(
            [
                "{h:02}:{m:02}:{s:02}",
                "{h:02}:{m:02}:{s:02}.{f:06}",
                "2031-02-03T{h:02}:{m:02}:{s:02}.{f:06}+01:00",
                "03/Feb/2031 {h:02}h{m:02}m{s:02}",
                "{s}.{f:06}",
                # In square brackets it would be a stamp of printk.
                "({h:02}{m:02}{s:02}.{f:06})",
            ]
        ),
    ),
    st.builds(
        one_of,
        st.lists(WORDS, min_size=1, max_size=5),
        st.sampled_from(["({})", "[{}]", "{}:", "{:>10}", "{}/1"]),
    ),
)
SEPARATORS = st.sampled_from([" ", ": ", " | ", "] ", "> ", " - ", "\t", ";", "| ", " :: "])


@st.composite
def prefixes(draw: st.DrawFn) -> list[Cell]:
    """Draw one to four cells, with something between and behind them."""
    cells: list[Cell] = []
    for _ in range(draw(st.integers(1, 4))):
        cells += [draw(CELLS), constant(draw(SEPARATORS))]
    return cells


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(sorted(LOGS)), prefixes())
def test_a_made_up_prefix_in_front_of_each_line_changes_no_splat(
    name: str, cells: list[Cell]
) -> None:
    console = LOGS[name]
    assert facts(prefixed(console, cells)) == facts(console), prefixed(console, cells)[:400]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(sorted(LOGS)), prefixes())
def test_a_made_up_prefix_in_place_of_the_stamps_changes_no_splat(
    name: str, cells: list[Cell]
) -> None:
    console = bare(LOGS[name])
    changed = prefixed(console, cells)
    assert facts(changed) == facts(without_callers(LOGS[name])), changed[:400]


# Formats of today, each with the number of the line. None of them is known to the parser as such.
FORMATS: dict[str, Callable[[int], str]] = {
    "dmesg -T": lambda n: f"[Wed Nov 12 10:00:{n % 60:02} 2031] ",
    "dmesg -H": lambda n: "[Nov12 10:00] " if n % 40 == 0 else f"[  +0.{n:06}] ",
    "dmesg -d": lambda n: f"[   12.{n:06} <    0.{n * 7 % 1000:06}>] ",
    "dmesg --time-format iso": lambda n: f"2031-11-12T10:00:00,{n:06}+01:00 ",
    "dmesg -x": lambda n: f"kern  :{('warn', 'alert', 'info')[n % 3]:6}: ",
    "short-precise": lambda n: f"Nov 12 10:00:00.{n:06} demo kernel: ",
    "short-full": lambda n: f"Wed 2031-11-12 10:00:{n % 60:02} CET demo kernel: ",
    "short-iso": lambda _: "2031-11-12T10:00:00+0100 demo kernel: ",
    "short-iso-precise": lambda n: f"2031-11-12T10:00:00.{n:06}+01:00 demo kernel: ",
    "short-monotonic": lambda n: f"[   12.{n:06}] demo kernel: ",
    "short-unix": lambda n: f"1952154000.{n:06} demo kernel: ",
    "syslog": lambda _: "Nov  2 10:00:00 demo kernel: ",
    "syslog, RFC 5424": lambda n: f"<4>1 2031-11-12T10:00:00.{n:03}Z demo kernel - - - ",
    "the tag alone": lambda _: "kernel: ",
    "GitHub Actions": lambda n: f"2031-11-12T10:00:00.{n:07}Z ",
    "GitLab": lambda n: f"2031-11-12T10:00:00.{n:06}Z 01O ",
    "LAVA": lambda n: f"2031-11-12T10:00:00.{n:06} <4> ",
    "docker compose": lambda _: "web-1  | ",
    "ts": lambda n: f"Nov 12 10:00:{n % 60:02} ",
    "ts -s": lambda n: f"00:00:{n % 60:02} ",
    "netconsole": lambda n: f"4,{1200 + n},{12_000_000 + n},-;",
    "/dev/kmsg": lambda n: f"{(4, 6)[n % 2]},{n},{n * 31},-,caller=T77;",
    "logcat": lambda _: "W         : ",
    "logcat -v threadtime": lambda n: f"11-12 10:00:00.{n:03}     0     0 W kernel  : ",
    "a vendor's": lambda n: (
        f"[   12.{n:06}]  [{n % 8}:{('demo', 'kworker/0:1')[n % 2]:>16}:{n:5}] "
    ),
    "another vendor's": lambda n: f"[   12.{n:06} / 11-12 10:00:00.{n:03}][{n % 8}] ",
    "PREEMPT_RT": lambda n: f"[   12.{n:06}] 00{n % 8}: ",
    "grabserial": lambda n: f"[{12.5 + n / 1e6:.6f} 0.{n:06}] ",
    "a mail's quotes": lambda _: "> > ",
    "mixed quotes": lambda n: ("> ", "> > ", "| ")[n // 40 % 3],
    "a table": lambda n: f"| {n:4} | 10:00:00 | ",
    "no blank": lambda n: f"{n:05}|",
    "python's logging": lambda n: f"2031-11-12 10:00:00,{n:03} INFO     [console.py:77] ",
    "a level that looks like a headline": lambda _: "WARNING: demo.console: ",
}


def in_format(name: str, console: bytes) -> bytes:
    form = FORMATS[name]
    return b"".join(
        form(n).encode() + line + b"\n" for n, line in enumerate(console.rstrip(b"\n").split(b"\n"))
    )


# A panic, an oops, a warning, lock reports, two stacks, hangs, a leak, no trace at all.
CHOSEN = ["panic", "null-read", "warning", "lockdep-order", "lockdep-held", "hung-task",
          "rcu-stall", "memory-leak", "bad-page-map", "bad-rss-counter", "kasan-use-after-free",
          "list-add", "quiet"]  # fmt: skip


@pytest.mark.parametrize("log", CHOSEN)
@pytest.mark.parametrize("name", FORMATS)
def test_a_format_of_today_changes_no_splat(name: str, log: str) -> None:
    assert facts(in_format(name, bare(LOGS[log]))) == facts(without_callers(LOGS[log]))


def _json_lines(key: str) -> Callable[[bytes], bytes]:
    def change(console: bytes) -> bytes:
        lines = console.decode().rstrip("\n").split("\n")
        rows = ({"time": n, key: line.rstrip(), "prio": 4} for n, line in enumerate(lines))
        return "".join(json.dumps(row) + "\n" for row in rows).encode()

    return change


def _behind(suffix: bytes) -> Callable[[bytes], bytes]:
    return lambda console: console.replace(b"\r", b"").replace(b"\n", suffix + b"\n")


def test_frames_with_addresses_copied_from_the_source_of_a_page_are_read() -> None:
    console = (GOLDEN / "wild-old-pointer-line.log").read_bytes()
    assert facts(html.escape(console.decode()).encode()) == facts(console)


def _with_fields(console: bytes, message: str, fields: str) -> bytes:
    """Put each line into a record of a journal, with some of its other fields."""
    names = ("_BOOT_ID", "PRIORITY", "_MACHINE_ID", "_HOSTNAME", "_TRANSPORT", "SYSLOG_IDENTIFIER")
    records = []
    for number, line in enumerate(console.decode().rstrip("\n").split("\n")):
        before = [fields.format(name, number) for name in names]
        records += [*before, message.format(line.rstrip("\r")), *before, ""]
    return "\n".join(records).encode()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "JSON of the journal": _json_lines("MESSAGE"),
    "JSON of a container": _json_lines("log"),
    "quoted lines": lambda log: _behind(b'",')(re.sub(rb"(?m)^", b'  "', log)),
    "a table's right side": lambda log: _behind(b" |")(re.sub(rb"(?m)^", b"| ", log)),
    "HTML": lambda log: html.escape(log.decode()).encode(),
    "blanks of a page": lambda log: log.replace(b" ", b"\xc2\xa0"),
    "blanks of a page, Latin-1": lambda log: log.replace(b" ", b"\xa0"),
    "colours": lambda log: re.sub(rb"(?m)^", b"\x1b[1;31m", log).replace(b"\n", b"\x1b[0m\n"),
    "carriage returns": lambda log: log.replace(b"\r", b"").replace(b"\n", b"\r\n"),
    "the journal's export": lambda log: _with_fields(log, "MESSAGE={}", "{}={}"),
    "the journal's verbose form": lambda log: _with_fields(log, "    MESSAGE={}", "    {}={}"),
    "the journal's pretty JSON": lambda log: _with_fields(
        log, '\t"MESSAGE" : "{}",', '\t"{}" : "{}",'
    ),
    "escaped line ends": lambda log: log.replace(b"\n#012", b"#012"),
}


@pytest.mark.parametrize("log", CHOSEN)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stamps", [True, False], ids=["with stamps", "without"])
def test_what_a_page_or_a_mail_does_to_a_line_changes_no_splat(
    form: str, log: str, stamps: bool
) -> None:
    console = without_callers(LOGS[log]) if stamps else bare(LOGS[log])
    changed = FORMS[form](console)
    # A record of a journal has many lines.
    lines = changed.count(b"\n") <= console.count(b"\n")
    assert facts(changed, lines=lines) == facts(console, lines=lines)


@pytest.mark.parametrize("name", sorted(LOGS))
def test_a_whole_log_without_stamps_reads_as_one_with_them(name: str) -> None:
    console = (GOLDEN / f"{name}.log").read_bytes()
    assert facts(bare(console)) == facts(without_callers(console))


@pytest.mark.parametrize("name", sorted(name for name in LOGS if name.startswith("quiet")))
@pytest.mark.parametrize(
    "prefix",
    [b"", b"> ", b"Nov 30 10:00:00 host kernel: ", b"[job 12/34 step=boot] ", b"ttyS0|42| "],
)
def test_a_piece_of_a_clean_console_has_no_splat(name: str, prefix: bytes) -> None:
    console = (GOLDEN / f"{name}.log").read_bytes()
    for number in range(40):
        start = len(console) * number // 40
        piece = console[start : start + 1 + len(console) * (number % 7 + 1) // 9]
        lines = b"".join(prefix + line for line in piece.splitlines(keepends=True))
        assert parse_console(lines) == (), (start, prefix)
