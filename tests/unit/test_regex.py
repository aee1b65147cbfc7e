# SPDX-License-Identifier: GPL-2.0
"""Regular expressions of lab files: what is taken ends soon."""

from __future__ import annotations

import pytest

from rmaplab.model.regex import fault


@pytest.mark.parametrize(
    "pattern",
    ["WARNING.*", "BUG: (a|b) in .*", r"f\(\)+", "[()]+x", "[])]+", r"[\])]*", "(?i)kasan", "(x)?",
     r"\\(a)", "[^]*)]+"],
)  # fmt: skip
def test_what_ends_soon_is_taken(pattern: str) -> None:
    assert fault(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a+)+$", "is repeated"),
        ("(a|a)*b", "is repeated"),
        ("(?:a*)*", "is repeated"),
        ("((a)|b){2,}", "is repeated"),
        (r"\\(a)+", "is repeated"),
        ("[(](a)+", "is repeated"),
        ("((", "not a regular expression"),
        ("a{99999999999999999999}", "not a regular expression"),
        ("(" * 900, "not a regular expression"),
        ("a" * 1001, "at most 1000"),
    ],
)
def test_what_can_take_for_ever_is_refused(pattern: str, said: str) -> None:
    assert said in fault(pattern)
