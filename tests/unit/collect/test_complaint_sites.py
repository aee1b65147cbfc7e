# SPDX-License-Identifier: GPL-2.0
"""The list of a tree's complaint sites: each is a headline of the rules, or has a reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests"))
complaint_sites = pytest.importorskip("complaint_sites")

SOURCE = """
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
static void demo_known(struct mm *mm)
{
\tpr_alert("BUG: Bad page map in process %s  pte:%llx\\n", name, pte);
\tdump_stack();
}
static void demo_unknown(int n)
{
\tpr_err("the gadget %d is %pS\\n", n, fn);
\tdump_stack();
}
static void demo_grave(void)
{
\tprintk(KERN_EMERG "the sky " "falls\\n");
}
static void demo_chatter(void)
{
\tpr_info("loaded, %d%% of %s\\n", n, name);
}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in complaint_sites.FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "mm/gadget.c").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def _sites(tree: Path) -> dict[str, tuple[str, str, bool]]:
    found = complaint_sites.sites(tree / "mm/gadget.c", "mm/gadget.c")
    return {f"{site.function}:{site.where}": (site.kind, site.text, site.dumps) for site in found}


def test_each_stack_dump_and_each_grave_text_is_a_site(tree: Path) -> None:
    assert _sites(tree) == {
        "demo_known:mm/gadget.c:5": (
            "bad-page-map", "gadget: BUG: Bad page map in process demo  pte:17", False,
        ),
        "demo_known:mm/gadget.c:6": (
            "bad-page-map", "gadget: BUG: Bad page map in process demo  pte:17", True,
        ),
        "demo_unknown:mm/gadget.c:11": ("", "gadget: the gadget 17 is demo+0x12/0x34", True),
        "demo_grave:mm/gadget.c:15": ("", "the sky falls", False),
    }  # fmt: skip


def test_a_site_that_is_neither_fails_the_command(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["complaint_sites.py", str(tree)])
    assert complaint_sites.main() == 1
    shown = capsys.readouterr().out
    assert "demo_unknown: neither: gadget: the gadget 17" in shown
    assert "demo_known" not in shown
    assert "2 in the rules, 2 neither" in shown


def test_a_reason_lets_it_pass(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tree / "reasons.yaml"
    reasons = [{"where": "mm/gadget", "text": "gadget|sky", "why": "a demonstration"}]
    table.write_text(yaml.safe_dump(reasons), encoding="utf-8")
    monkeypatch.setattr(complaint_sites, "TABLE", table)
    monkeypatch.setattr(sys, "argv", ["complaint_sites.py", str(tree)])
    assert complaint_sites.main() == 0


def test_each_reason_is_said() -> None:
    assert all(entry["why"] and entry["where"] for entry in complaint_sites.reasons())
