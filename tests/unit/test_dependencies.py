# SPDX-License-Identifier: GPL-2.0
"""Why Kconfig dropped a symbol, from small trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.build.dependencies import explain
from rmaplab.model import X86_64

KCONFIG = """\
menu "Memory"
\tdepends on MMU

config PLAIN
\tbool "plain"

if SWAP || ZRAM
config INNER
\tbool "inner"
\tdepends on DEVICE && \\
\t\t!SMALL
\thelp
\t  config PLAIN
\t  depends on NOTHING
endif

config SELECTED
\tbool
\tdepends on PLAIN

choice
\tprompt "which"
\tdepends on EXPERT
config CHOSEN
\tbool "chosen"
endchoice

config MACRO
\tbool "macro"
\tdepends on $(cc-option,-fwhatever)

config NUMBER
\tint "number"
\tdepends on LEVEL = 3 && NAME != "x"
endmenu
config OUTSIDE
\tbool "outside"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "mm").mkdir()
    (tmp_path / "mm/Kconfig").write_text(KCONFIG, encoding="utf-8")
    return tmp_path


MET = {"MMU": "y"}


@pytest.mark.parametrize(
    ("symbol", "config", "why"),
    [
        ("PLAIN", {}, "mm/Kconfig:4 depends on MMU (MMU=n)"),
        ("PLAIN", MET, ""),
        ("INNER", {**MET, "DEVICE": "y"}, "mm/Kconfig:8 depends on SWAP || ZRAM (SWAP=n, ZRAM=n)"),
        ("INNER", {**MET, "SWAP": "y"},
         "mm/Kconfig:8 depends on DEVICE &&  !SMALL (DEVICE=n, SMALL=n)"),
        ("INNER", {**MET, "ZRAM": "m", "DEVICE": "y", "SMALL": "y"},
         "mm/Kconfig:8 depends on DEVICE &&  !SMALL (DEVICE=y, SMALL=y)"),
        ("INNER", {**MET, "SWAP": "y", "DEVICE": "y"}, ""),
        ("SELECTED", {**MET, "PLAIN": "y"},
         "mm/Kconfig:17 has no prompt: other symbols select it"),
        ("CHOSEN", MET, "mm/Kconfig:24 depends on EXPERT (EXPERT=n)"),
        ("MACRO", MET, ""),
        ("NUMBER", {**MET, "LEVEL": "2", "NAME": '"y"'},
         'mm/Kconfig:32 depends on LEVEL = 3 && NAME != "x" (LEVEL=2, NAME="y")'),
        ("NUMBER", {**MET, "LEVEL": "3", "NAME": '"y"'}, ""),
        ("OUTSIDE", {}, ""),
        ("ABSENT", {}, "this tree has no such symbol"),
        ("PLAINS", {}, "this tree has no such symbol; near it: PLAIN"),
    ],
)  # fmt: skip
def test_the_unmet_dependency_is_named(
    tree: Path, symbol: str, config: dict[str, str], why: str
) -> None:
    said = explain(symbol, tree, config, X86_64)
    assert " ".join(said.split()) == " ".join(why.split())


def test_a_symbol_with_several_definitions_gives_each_reason(tree: Path) -> None:
    (tree / "mm/Kconfig.debug").write_text(
        'config PLAIN\n\tbool "again"\n\tdepends on DEBUG\n', encoding="utf-8"
    )
    said = explain("PLAIN", tree, {}, X86_64)
    assert "mm/Kconfig:4 depends on MMU (MMU=n)" in said
    assert "mm/Kconfig.debug:1 depends on DEBUG (DEBUG=n)" in said


@pytest.mark.parametrize("text", ["depends on (", "depends on A <", "depends on", "depends on ! !"])
def test_an_expression_that_is_not_understood_is_no_reason(tmp_path: Path, text: str) -> None:
    (tmp_path / "mm").mkdir()
    (tmp_path / "mm/Kconfig").write_text(f'config X\n\tbool "x"\n\t{text}\n', encoding="utf-8")
    assert explain("X", tmp_path, {"A": "y"}, X86_64) == ""
