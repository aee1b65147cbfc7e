# SPDX-License-Identifier: GPL-2.0
"""Text that a guest or a patch wrote: readable, and without power over a terminal or a page."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from rmaplab.text import near_miss, printable, printable_lines

ANY = st.text(st.characters(codec=None))


def test_an_escape_sequence_is_shown_as_text() -> None:
    assert printable("\x1b[2J\x9b31m") == "\\x1b[2J\\x9b31m"


def test_a_bidirectional_override_is_shown_as_text() -> None:
    assert printable("not \u202esselmraH") == "not \\u202esselmraH"


def test_a_line_end_inside_of_a_line_is_shown_as_text() -> None:
    assert printable("one\ntwo\rthree") == "one\\ntwo\\rthree"


def test_lines_keep_their_ends_and_tabs_alone() -> None:
    assert printable_lines("a\tb\n\rc\x0b\x0c\x85\u2028") == "a\tb\n\\rc\\x0b\\x0c\\x85\\u2028"


def test_letters_of_any_script_stay() -> None:
    assert printable("Hej, Väinö! שלום 漢字 é") == "Hej, Väinö! שלום 漢字 é"


@given(ANY)
def test_no_control_format_or_surrogate_character_is_left(text: str) -> None:
    for char in printable(text) + printable_lines(text).replace("\n", "").replace("\t", ""):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    printable(text).encode("utf-8")


@given(ANY)
def test_what_is_printable_once_is_not_changed_again(text: str) -> None:
    assert printable(printable(text)) == printable(text)
    assert printable_lines(printable_lines(text)) == printable_lines(text)


def test_a_word_that_is_nearly_known_is_suggested_also_by_its_alias() -> None:
    assert near_miss("exclusive/mapcont", ["exclusive/mapcount", "x"]) == (
        "; did you mean 'exclusive/mapcount'?"
    )
    assert near_miss("CD12", ["exclusive/mapcount"], ["CD1"]) == "; did you mean 'CD1'?"


def test_known_words_are_listed_without_aliases_and_not_for_ever() -> None:
    assert near_miss("zzz", ["b", "a"], ["C0", "D1"]) == "; known: a, b"
    many = [f"name{number:02}" for number in range(20)]
    told = near_miss("zzz", many)
    assert told.endswith("name11 and 8 more")
    assert near_miss("zzz", []) == ""
