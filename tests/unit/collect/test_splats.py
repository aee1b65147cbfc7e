# SPDX-License-Identifier: GPL-2.0
"""The console parser: what it finds, how it names it, and that no console breaks it."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.collect.splats import (
    KINDS,
    RULES,
    SEVERITIES,
    SplatParser,
    is_fatal_line,
    parse_console,
)
from rmaplab.collect.splats.parser import MAX_SPLATS, signs
from rmaplab.collect.splats.rules import SIGNS
from rmaplab.model import Splat

ROOT = Path(__file__).resolve().parents[3]


def _load(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


samples = _load("console_samples")
SAMPLES = samples.SAMPLES
stamped = samples.stamped
CPU_LINE = samples.CPU_LINE
CHATTER = b"[    1.000000][    T1] usb 1-1: new high-speed USB device number 2\n"
BORING = """demo: loaded
INFO: lockdep is turned off.
INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.356 msecs
EXT4-fs (vda): INFO: recovery required on readonly filesystem
Speculative Return Stack Overflow: WARNING: kernel not compiled with CPU_SRSO.
WARNING: the mand mount option is being deprecated and will be removed in v5.15!
demo[77]: segfault at 4cb420 ip 00000000004cb420 sp 00007f27fd37a250 error 15
divided we stand, Oopsie daisy
rmaplab: begin kernel BUG at midnight
rmaplab: end WARNING: CPU: 1 PID: 1 at mm/demo.c:1 demo+0x1/0x2
KTAP version 1
1..2
    # demo: WARNING: CPU: 1 PID: 1 at mm/demo.c:1 demo+0x1/0x2
    ok 1 Kernel panic - not syncing: is found
    not ok 2 BUG: Bad page map"""


def only(console: bytes) -> Splat:
    """The one splat of a console."""
    splats = parse_console(console)
    assert len(splats) == 1, [splat.title for splat in splats]
    return splats[0]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_splat_of_each_kind_is_found_and_named(name: str) -> None:
    sample = SAMPLES[name]
    splat = only(CHATTER + sample.console + CHATTER)
    assert (splat.kind, splat.title) == (sample.kind, sample.title)
    assert splat.function == sample.function
    assert splat.corrupted is sample.corrupted
    assert splat.fatal is sample.fatal
    assert splat.line == 2 + _lines_before_headline(sample.text, splat.excerpt)
    assert splat.kind in KINDS


def _lines_before_headline(text: str, excerpt: str) -> int:
    headline = excerpt.split("\n", 1)[0]
    return text.strip("\n").split("\n").index(headline)


def test_every_kind_of_a_row_is_kebab_case() -> None:
    assert all(kind == kind.lower() and " " not in kind for kind in KINDS)
    assert all(rule.signs and all(rule.signs) for rule in RULES)


def test_every_kind_has_a_sample_a_severity_and_a_line_in_the_documentation() -> None:
    page = (ROOT / "docs/splats.md").read_text(encoding="utf-8")
    table = page.partition("## Kinds")[2].partition("\n## ")[0]
    for kind in KINDS:
        assert kind in SEVERITIES
        assert f"`{kind}`" in table
        assert any(sample.kind == kind for sample in SAMPLES.values()), kind


@pytest.mark.parametrize("line", BORING.split("\n"))
def test_chatter_is_no_splat(line: str) -> None:
    assert parse_console(stamped(line)) == ()
    assert parse_console(line.encode()) == ()


def test_an_empty_console_has_no_splat() -> None:
    assert parse_console(b"") == ()


# -- what the console does to lines ------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_reads_may_cut_lines_anywhere(size: int) -> None:
    console = b"".join(SAMPLES[name].console for name in ("kasan", "bug", "deadlock"))
    parser = SplatParser()
    for start in range(0, len(console), size):
        parser.feed(console[start : start + size])
    assert parser.finish() == parse_console(console)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r\r\n"),
        lambda data: data.replace(b"] ", b"] \x1b[1;31m"),
        lambda data: data.replace(b"\n", b"\x00\x00\n"),
        lambda data: b"\xff\xfe\x80\x00\x1b" * 99 + data,
        lambda data: b"".join(line.split(b"] ", 1)[1] for line in data.splitlines(True)),
        lambda data: b"".join(b"<4>" + line for line in data.splitlines(True)),
        lambda data: data.replace(b"[   T77]", b"[   C1]"),
        lambda data: data.replace(b"[   T77]", b""),
        lambda data: b"login: " + data,
        lambda data: b"x" * 5000 + data,
    ],
)
def test_what_a_serial_line_adds_does_not_matter(spoil: object) -> None:
    assert callable(spoil)
    plain = only(SAMPLES["warn"].console)
    spoiled = only(spoil(SAMPLES["warn"].console))
    assert (spoiled.title, spoiled.frames) == (plain.title, plain.frames)
    assert spoiled.fingerprint == plain.fingerprint


def test_a_panic_behind_a_line_without_an_end_is_found() -> None:
    console = b"#" * 300_000 + SAMPLES["panic"].console
    assert only(console).kind == "panic"


def test_the_lines_of_two_cpus_are_kept_apart() -> None:
    one = SAMPLES["warn"].console.splitlines(keepends=True)
    other = stamped(SAMPLES["kasan"].text, caller="T99").splitlines(keepends=True)
    mixed = b"".join(a + b for a, b in zip(one, other, strict=False)) + b"".join(other[len(one) :])
    splats = parse_console(mixed)
    assert {splat.title for splat in splats} == {
        "WARNING in demo_unmap",
        "KASAN: slab-use-after-free Read in demo_get",
    }
    kasan = next(splat for splat in splats if splat.kind == "kasan")
    assert "demo_walk" not in kasan.frames
    assert "demo_alloc" not in kasan.frames


def test_chatter_within_a_trace_does_not_end_it() -> None:
    lines = SAMPLES["warn"].console.splitlines(keepends=True)
    assert only(CHATTER.join(lines)).frames == only(b"".join(lines)).frames


# -- what a splat says -------------------------------------------------------------------------


def test_a_trace_is_clean() -> None:
    splat = only(SAMPLES["kasan"].console)
    assert splat.frames[:2] == ("memcmp", "demo_get")
    assert "demo_stale" not in splat.frames
    assert "dump_stack_lvl" not in splat.frames
    assert "demo_free" not in splat.frames
    assert splat.task == "demo"


def test_registers_are_read() -> None:
    assert only(SAMPLES["bug"].console).rip == "demo_dup"


def test_several_splats_are_kept_apart_and_the_first_is_the_cause() -> None:
    later = SAMPLES["bug"].text.replace("Not tainted", "Tainted: G        W         ")
    console = SAMPLES["warn"].console + CHATTER + stamped(later)
    first, second = parse_console(console)
    assert (first.title, first.following, first.tainted) == ("WARNING in demo_unmap", False, False)
    assert (second.kind, second.following, second.tainted) == ("kernel-bug", True, True)


def test_out_of_tree_code_does_not_count_as_having_complained() -> None:
    text = SAMPLES["warn"].text.replace("Not tainted", "Tainted: G           O        ")
    assert not only(stamped(text)).tainted


def test_a_panic_on_warn_belongs_to_its_warning() -> None:
    text = SAMPLES["warn"].text.replace(
        "Modules linked in:", "Kernel panic - not syncing: kernel: panic_on_warn set ..."
    )
    splat = only(stamped(text))
    assert (splat.kind, splat.fatal) == ("warning", True)


def test_a_panic_after_an_oops_is_one_splat_and_fatal() -> None:
    text = SAMPLES["null pointer"].text + "\nKernel panic - not syncing: Fatal exception"
    splat = only(stamped(text))
    assert (splat.kind, splat.fatal) == ("page-fault", True)


def test_a_second_boot_is_a_reboot_and_a_first_one_is_not() -> None:
    boot = b"Booting the kernel.\n[    0.000000] Linux version 6.12.0 (gcc) #1 SMP\n"
    assert parse_console(boot + CHATTER) == ()
    assert parse_console(b"SeaBIOS\r\n\r\n" + boot + CHATTER) == ()
    assert only(boot + CHATTER * 99 + boot).kind == "unexpected-reboot"


def test_a_boot_after_a_panic_is_a_reboot_in_a_kept_log_too() -> None:
    def kept(console: bytes) -> bytes:
        return b"".join(
            b"Feb  3 10:00:00 sample kernel: " + line for line in console.splitlines(True)
        )

    boot = b"[    0.000000] Linux version 6.12.0 (gcc) #1 SMP\n"
    orderly = parse_console(kept(boot + CHATTER * 99 + boot))
    panicked = parse_console(kept(boot + CHATTER * 99 + SAMPLES["panic"].console + boot))
    assert orderly == ()
    assert [splat.kind for splat in panicked] == ["panic", "unexpected-reboot"]


def test_a_message_of_a_warning_is_no_splat_of_its_own() -> None:
    lines = SAMPLES["warn"].text.split("\n")
    lines.insert(2, "sysfs: cannot create duplicate filename '/devices/demo'")
    splat = only(stamped("\n".join(lines)))
    assert (splat.title, splat.frames) == (
        "WARNING in demo_unmap",
        only(SAMPLES["warn"].console).frames,
    )


def test_a_repetition_that_is_whole_takes_the_place_of_a_report_that_was_cut() -> None:
    cut = b"".join(SAMPLES["null pointer"].console.splitlines(keepends=True)[:1])
    whole = only(SAMPLES["null pointer"].console)
    splat = only(cut + CHATTER * 200 + SAMPLES["null pointer"].console)
    assert (splat.title, splat.frames, splat.corrupted) == (whole.title, whole.frames, False)
    assert splat.line == 1


# -- what belongs to another report, and what is none ------------------------------------------

DUMP = SAMPLES["page dump"].text
CUT_HERE = SAMPLES["a report that was lost"].text
DROPPED = SAMPLES["a console that was cut"].text


def test_a_stall_with_nothing_but_machinery_has_no_handler() -> None:
    console = b"INFO: rcu self-detected stall\n[0.000000][T0]RIP: 0000:refcount_0+0x0"
    assert only(console).kind == "rcu-stall"


@pytest.mark.parametrize("level", ["pte", "pmd", "pud", "p4d", "pgd"])
@pytest.mark.parametrize(
    "value",
    [
        "00000000deadbeef(8000000012345e77)",
        "(____ptrval____)(0000000000000067)",
        "0012e77a67.",
        "12345067",
    ],
)
def test_a_bad_entry_of_each_level_is_found(level: str, value: str) -> None:
    splat = only(stamped(f"arch/demo/mm/demo.c:50: bad {level} {value}"))
    assert (splat.kind, splat.title) == ("bad-page-table", f"bad {level}")


@pytest.mark.parametrize("what", ["Bad swap file", "Bad swap offset", "Unused swap file"])
def test_a_bad_swap_entry_without_a_function_is_found(what: str) -> None:
    splat = only(stamped(f"{what} entry 3ffffffffffff"))
    assert (splat.kind, splat.title) == ("bad-swap-entry", f"{what} entry")


def test_an_underflow_that_follows_its_warning_is_one_splat() -> None:
    lines = SAMPLES["page_counter underflow"].text.split("\n")
    lines[1], lines[2] = lines[2], lines[1]
    splat = only(stamped("\n".join(lines)))
    assert splat.title == "page_counter underflow in demo_uncharge"


def test_an_underflow_whose_warning_was_lost_is_an_underflow() -> None:
    lines = SAMPLES["page_counter underflow"].text.split("\n")[:2]
    splat = only(stamped("\n".join(lines)))
    assert (splat.kind, splat.corrupted) == ("page-counter-underflow", True)


@pytest.mark.parametrize("name", ["warn", "bug", "kasan", "panic"])
@pytest.mark.parametrize("prelude", [DUMP, CUT_HERE, f"{DUMP}\n{CUT_HERE}", f"{CUT_HERE}\n{DUMP}"])
def test_what_leads_to_a_report_is_no_splat_of_its_own(name: str, prelude: str) -> None:
    alone = only(SAMPLES[name].console)
    splat = only(stamped(f"{prelude}\n{SAMPLES[name].text}"))
    assert (splat.kind, splat.title, splat.fatal) == (alone.kind, alone.title, alone.fatal)


def test_a_prelude_with_a_time_stamp_leads_to_a_report_without_one() -> None:
    headline = SAMPLES["a warning that was cut"].text.encode() + b"\n"
    console = stamped(CUT_HERE).replace(b"[   T77]", b"") + headline
    assert only(console).title == "WARNING in demo_unmap"


def test_a_page_that_a_report_dumps_is_part_of_it() -> None:
    text = f"BUG: Bad page state in process demo  pfn:12345\n{DUMP}\n{CPU_LINE}\n"
    splat = only(stamped(text + samples.trace("demo_free")))
    assert splat.kind == "bad-page-state"
    assert "refcount:-1" in splat.excerpt


@pytest.mark.parametrize("why", ["migration failure", "isolation failed", "unmovable page"])
def test_a_page_that_could_not_move_is_no_complaint(why: str) -> None:
    console = DUMP.replace("fuse: trying to steal weird page", why)
    assert parse_console(stamped(console)) == ()
    assert only(stamped(f"{console}\n{SAMPLES['warn'].text}")).kind == "warning"


def test_a_page_dump_that_was_cut_is_a_page_dump() -> None:
    assert only(stamped(DUMP.split("\n", 1)[0])).title == "page dumped"


def test_a_lost_report_long_before_another_is_kept() -> None:
    console = stamped(CUT_HERE) + CHATTER.replace(b"[    T1]", b"[   T77]") * 60
    first, second = parse_console(console + SAMPLES["warn"].console)
    assert (first.title, first.corrupted) == ("WARNING (report lost)", True)
    assert second.title == "WARNING in demo_unmap"


def test_a_lost_report_with_a_trace_is_still_a_lost_one() -> None:
    splat = only(stamped(f"{CUT_HERE}\n{samples.trace('demo_unmap')}"))
    assert splat.corrupted
    assert splat.frames[0] == "demo_unmap"


def test_a_report_after_the_oom_killer_is_not_hidden() -> None:
    kinds = [splat.kind for splat in parse_console(stamped(f"{SAMPLES['oom'].text}\n{DUMP}"))]
    assert kinds == ["oom", "page-dump"]


def test_a_cut_console_is_said_once_and_is_not_the_cause() -> None:
    console = f"{DROPPED}\n".encode() * 99 + SAMPLES["warn"].console + DROPPED.encode()
    warning, cut = parse_console(console)
    assert (warning.kind, warning.following) == ("warning", False)
    assert (cut.kind, cut.following, cut.line) == ("console-cut", True, 1)


def test_dropped_messages_do_not_end_a_report() -> None:
    lines = SAMPLES["warn"].text.split("\n")
    console = "\n".join([*lines[:4], DROPPED, *lines[4:]]).encode()
    splat, cut = parse_console(console)
    assert splat.frames == only(SAMPLES["warn"].console).frames
    assert cut.kind == "console-cut"


def test_kmemleak_counts_the_leaks_that_it_has_shown() -> None:
    count = SAMPLES["kmemleak's count"].text
    assert (
        only(stamped(f"{SAMPLES['memory leak'].text}\n{count}")).title == "memory leak in demo_open"
    )


@pytest.mark.parametrize(
    "line",
    [
        "traps: child[77] general protection fault ip:401136 sp:7ffc0 error:0 in child[400+10]",
        "traps: child[77] general protection ip:401136 sp:7ffc0 error:0",
        "traps: child[77] trap divide error ip:401136 sp:7ffc0 error:0 in child[401000+1000]",
        "traps: child[77] trap invalid opcode ip:401136 sp:7ffc0 error:0",
        "traps: BUG: 0x1[77] trap int3 ip:401136 sp:7ffc0 error:0",
        "child[77]: segfault at 0 ip 0000000000401136 sp 00007ffc0 error 4 in child[401000+1000]",
        "Oops: x[77]: segfault at 0 ip 0000000000401136 sp 00007ffc0 error 4 likely on CPU 1",
    ],
)
def test_a_trap_of_a_program_is_no_splat(line: str) -> None:
    assert parse_console(stamped(line)) == ()
    assert parse_console(line.encode()) == ()


@pytest.mark.parametrize("start", ["", "Oops: ", "traps: "])
def test_a_trap_of_the_kernel_is_a_splat(start: str) -> None:
    why = "general protection fault, probably for non-canonical address 0xdead000000000100"
    text = f"{start}{why}: 0000 [#1] PREEMPT SMP NOPTI\nRIP: 0010:demo_unmap+0x1f/0x230"
    assert only(stamped(text)).title == "general protection fault in demo_unmap"


# -- fingerprints ------------------------------------------------------------------------------


def test_a_fingerprint_survives_addresses_offsets_and_compilers() -> None:
    plain = SAMPLES["bug"].text
    other = (
        plain.replace("+0x1f/0x230", "+0x77/0x555")
        .replace("demo_dup.isra.0", "demo_dup.constprop.0.cold")
        .replace("PID: 77", "PID: 4321")
        .replace("CPU: 1", "CPU: 3")
        .replace("mm/demo.c:77", "mm/demo.c:81")
    )
    first, second = only(stamped(plain)), only(stamped(other))
    assert first.fingerprint == second.fingerprint
    assert first.title == second.title
    assert len(first.fingerprint) == 12
    assert int(first.fingerprint, 16) >= 0


def test_different_complaints_have_different_fingerprints() -> None:
    prints = {name: only(sample.console).fingerprint for name, sample in SAMPLES.items()}
    variants = {"warn since 6.18", "warn without file names", "a warning that was cut"}
    variants.add("page fault on arm64")  # the same fault as on x86
    distinct = [value for name, value in prints.items() if name not in variants]
    assert len(set(distinct)) == len(distinct)
    assert prints["warn"] == prints["warn since 6.18"]


# -- hostile consoles --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [b"Kernel panic - not syncing: x", b"---[ end Kernel panic - not syncing: x ]---"],
)
def test_a_dead_kernel_is_known_by_one_line(line: bytes) -> None:
    assert is_fatal_line(b"[    1.000000] " + line)
    assert not is_fatal_line(CHATTER)


def test_a_flood_of_splats_is_bounded_and_does_not_hide_the_panic() -> None:
    parser = SplatParser()
    for _ in range(MAX_SPLATS * 3):
        parser.feed(SAMPLES["warn"].console)
    parser.feed(SAMPLES["panic"].console)
    splats = parser.finish()
    assert len(splats) <= MAX_SPLATS + 1
    assert any(splat.kind == "panic" or splat.fatal for splat in splats)


PIECES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([line + b"\n" for s in SAMPLES.values() for line in s.console.splitlines()]),
    st.sampled_from([sign.encode() for rule in RULES for sign in rule.signs]),
    st.sampled_from(["", "RIP: 0010:", "PC is at ", "caller is ", " "]).flatmap(
        lambda start: st.sampled_from(["kfree", "refcount_0", "kthread", "demo", "do_idle"]).map(
            lambda name: f"{start}{name}+0x0/0x1\n".encode()
        )
    ),
    st.sampled_from([b"\n", b"\r\n", b"[   12.000000] ", b"[   T77] ", b"\x1b[", b"BUG: KASAN: "]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=80), st.integers(1, 500))
def test_no_bytes_raise_and_reads_do_not_matter(pieces: list[bytes], size: int) -> None:
    console = b"".join(pieces)
    parser = SplatParser()
    for start in range(0, len(console), size):
        parser.feed(console[start : start + size])
    splats = parser.finish()
    assert splats == parse_console(console)
    assert sum(not splat.following for splat in splats) == min(len(splats), 1)
    for splat in splats:
        assert dataclasses.asdict(splat)
        assert splat.title
        assert 1 <= splat.line <= console.count(b"\n") + 1


def _work(console: bytes) -> int:
    """How many calls and lines of Python the parser needs: what a stopwatch would measure."""
    count = 0

    def tracer(_frame: object, _event: str, _argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(tracer)
    try:
        parse_console(console)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "unit",
    [
        SAMPLES["warn"].console,
        CHATTER,
        b"WARNING: \n",
        b"BUG: KASAN: ",
        b"[   12.000000] ",
        b"\x1b[31m",
        b"Call Trace:\n demo+0x1/0x2\n",
        b"-> #1 (x){+.+.}-{3:3}:\n",
    ],
    ids=repr,
)
def test_work_grows_no_faster_than_the_console(unit: bytes) -> None:
    small = b"BUG: Bad rss-counter state\n" + unit * (40_000 // len(unit))
    large = b"BUG: Bad rss-counter state\n" + unit * (160_000 // len(unit))
    assert _work(large) < 6 * _work(small) + 10_000


_FEW = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=3)


@given(st.data(), _FEW)
def test_every_line_with_a_sign_is_pointed_at_and_no_other(
    data: st.DataObject, few: list[str]
) -> None:
    pieces = [*(sign.encode() for sign in few), b"\n", b"B"]
    window = b"".join(data.draw(st.lists(st.sampled_from(pieces), max_size=30)))
    found = signs(window)
    assert found == sorted(found)
    pointed_at = {window.count(b"\n", 0, at) for at in found}
    lines = window.split(b"\n")
    assert pointed_at == {
        number for number, line in enumerate(lines) if any(sign.encode() in line for sign in SIGNS)
    }
