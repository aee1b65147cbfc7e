# SPDX-License-Identifier: GPL-2.0
"""Source lines: what faddr2line says, and what a splat makes of it."""

from __future__ import annotations

from dataclasses import replace

from rmaplab.build.lines import parse
from rmaplab.collect.splats import parse_console, places_of, with_sources
from rmaplab.model import Splat

SAID = """\
try_to_migrate_one+0x2b6/0xa08:
PageAnonExclusive at include/linux/page-flags.h:1133
(inlined by) try_to_migrate_one at mm/rmap.c:2131

rmap_walk_anon+0x12f/0x18b:
rmap_walk_anon at /kernel/source/mm/rmap.c:2670 (discriminator 3)

set_ptes.constprop.0+0x20/0x29:
set_ptes.constprop.0 at ??:?
bad section size: section: 12
no match for nothing+0x1/0x2
"""
BUG = b"""\
[    5.000001][   T46] kernel BUG at include/linux/page-flags.h:1133!
[    5.000002][   T46] Oops: invalid opcode: 0000 [#1] SMP
[    5.000003][   T46] CPU: 1 UID: 0 PID: 46 Comm: move Not tainted 6.12.0 #1
[    5.000004][   T46] RIP: 0010:try_to_migrate_one+0x2b6/0xa08
[    5.000005][   T46] Call Trace:
[    5.000006][   T46]  <TASK>
[    5.000007][   T46]  ? folio_mapcount+0x2b/0x48
[    5.000008][   T46]  rmap_walk_anon+0x130/0x18b
[    5.000009][   T46]  rmap_walk_anon+0x130/0x18b
[    5.000010][   T46]  set_ptes.constprop.0+0x21/0x29
[    5.000011][   T46]  </TASK>
[    5.000012][   T46] RIP: 0033:0x40bcd4
[    5.000013][   T46] ---[ end trace 0000000000000000 ]---
"""
ASKED = (
    "try_to_migrate_one+0x2b6/0xa08",
    "rmap_walk_anon+0x12f/0x18b",
    "set_ptes.constprop.0+0x20/0x29",
)


def bug() -> Splat:
    (found,) = parse_console(BUG)
    return found


def test_a_place_has_its_line_and_what_is_inlined_there() -> None:
    assert parse(SAID, ASKED) == {
        ASKED[0]: (
            "PageAnonExclusive at include/linux/page-flags.h:1133",
            "try_to_migrate_one at mm/rmap.c:2131",
        ),
        ASKED[1]: ("rmap_walk_anon at mm/rmap.c:2670",),
        ASKED[2]: (),
    }


def test_a_place_that_is_in_two_functions_of_one_name_is_in_neither() -> None:
    twice = "f+0x1/0x2:\nf at mm/a.c:1\n\nf+0x1/0x2:\nf at mm/b.c:2\n"
    assert parse(twice, ["f+0x1/0x2"]) == {"f+0x1/0x2": ()}


def test_what_was_not_asked_for_is_passed_over() -> None:
    assert parse("g+0x1/0x2:\ng at mm/a.c:1\n", ["f+0x1/0x2"]) == {}
    assert parse("g at mm/a.c:1\n", ["f+0x1/0x2"]) == {}


def test_what_a_script_makes_up_is_no_path() -> None:
    hostile = "f+0x1/0x2:\nf at \x1b[2J:1\nf at mm/a.c:<script>\nf at mm/a b.c:1\n"
    assert parse(hostile, ["f+0x1/0x2"]) == {"f+0x1/0x2": ()}


def test_a_call_is_looked_up_before_the_address_that_it_returns_to() -> None:
    assert places_of(bug()) == ASKED


def test_a_guess_and_a_user_address_are_no_places() -> None:
    assert not any("folio_mapcount" in place or "40bcd4" in place for place in places_of(bug()))


def test_each_frame_gets_its_line_in_the_text_and_as_a_fact() -> None:
    splat = with_sources(bug(), parse(SAID, ASKED))
    text = splat.excerpt.splitlines()
    assert text[3] == (
        "RIP: 0010:try_to_migrate_one+0x2b6/0xa08 (mm/rmap.c:2131; "
        "inlined: PageAnonExclusive at include/linux/page-flags.h:1133)"
    )
    assert text[7] == text[8] == " rmap_walk_anon+0x130/0x18b (mm/rmap.c:2670)"
    assert text[9] == " set_ptes.constprop.0+0x21/0x29"
    assert [source.at for source in splat.sources] == [
        "try_to_migrate_one+0x2b6/0xa08",
        "rmap_walk_anon+0x130/0x18b",
    ]


def test_lines_change_nothing_that_is_judged_or_compared() -> None:
    plain, located = bug(), with_sources(bug(), parse(SAID, ASKED))
    assert replace(located, excerpt=plain.excerpt, sources=()) == plain


def test_without_lines_a_splat_stays_as_it_is() -> None:
    assert with_sources(bug(), {}) is not None
    assert with_sources(bug(), {}) == bug()
    assert with_sources(bug(), {ASKED[0]: ()}) == bug()
