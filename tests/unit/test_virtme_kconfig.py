# SPDX-License-Identifier: GPL-2.0
"""The symbols that virtme-ng needs in a guest's kernel: read from the tool, optional ones apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.build import fragments, virtme
from rmaplab.build.virtme import parse
from rmaplab.errors import InfraError
from rmaplab.model import X86_64, Kconfig

SAID = """\
##: initramfs support
CONFIG_BLK_DEV_INITRD=y
# CONFIG_CRYPTO is not set
##: Arch-specific options
CONFIG_SERIO=y
CONFIG_MODULAR=m
##: Generic
CONFIG_UEVENT_HELPER=n
# Required for snaps
# CONFIG_USB is not set
CONFIG_SERIO=n
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that knows a few of the symbols that the real tool asks for."""
    known = ("NET_9P", "9P_FS", "OVERLAY_FS", "KVM", "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT")
    text = "".join(f"config {name}\n\tbool\n" for name in known)
    (tmp_path / "init").mkdir()
    (tmp_path / "init/Kconfig").write_text(text + "menuconfig FUSE_FS\n", encoding="utf-8")
    return tmp_path


def request(folder: Path, text: str = "CONFIG_OWN=y\n") -> Kconfig:
    path = folder / "virtme.config"
    path.write_text(text, encoding="utf-8")
    return fragments.read([path], "6.12.1", X86_64)


def values(kconfig: Kconfig) -> dict[str, str]:
    return {symbol.name: symbol.value for symbol in kconfig.symbols}


def test_only_what_a_guest_needs_is_taken_and_the_last_word_counts() -> None:
    asked = parse(SAID.splitlines())
    assert asked == {"MODULAR": "y", "UEVENT_HELPER": "n", "USB": "n", "SERIO": "n"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "printed no section"),
        ("##: initramfs support\nCONFIG_A=y\n", "printed no section"),
        ("usage: virtme-configkernel [-h]\n", "a line that is no request: 'usage:"),
        (SAID + "CONFIG_B\n", "a line that is no request: 'CONFIG_B'"),
    ],
)
def test_what_is_not_understood_is_an_error_and_no_short_request(text: str, said: str) -> None:
    with pytest.raises(InfraError, match=said):
        parse(text.splitlines())


def test_the_request_is_what_the_installed_tool_says(tree: Path) -> None:
    kconfig = virtme.extend(request(tree), tree, X86_64)
    asked = values(kconfig)
    assert {"NET_9P", "9P_FS", "OVERLAY_FS", "FUSE_FS", "OWN"} <= asked.keys()
    assert asked["UEVENT_HELPER"] == "n"
    assert {one.fragment for one in kconfig.symbols} == {"virtme", "virtme-configkernel"}


def test_what_is_left_out_is_named_with_the_reason(tree: Path) -> None:
    kconfig = virtme.extend(request(tree), tree, X86_64)
    why = {one.name: one.reason for one in kconfig.left_out}
    assert why["DAX_DRIVER"] == "this tree has no such symbol"
    assert "VIRTUALIZATION" in why["KVM"]
    assert "debuginfo" in why["DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT"]
    assert not why.keys() & values(kconfig).keys()


def test_the_lab_does_without_no_more_than_it_says() -> None:
    """A symbol that the tool no longer asks for has no business in the table."""
    said = set(parse(proc.run(virtme.command(X86_64)).text.splitlines()))
    assert virtme.not_wanted(X86_64).keys() <= said


def test_the_digest_covers_what_the_tool_says(tree: Path) -> None:
    before = request(tree)
    kconfig = virtme.extend(before, tree, X86_64)
    assert kconfig.digest != before.digest
    (tree / "init/Kconfig").write_text("config DAX_DRIVER\n", encoding="utf-8")
    assert virtme.extend(before, tree, X86_64).digest != kconfig.digest


def test_a_fragments_own_file_wins(tree: Path) -> None:
    kconfig = virtme.extend(request(tree, "# CONFIG_OVERLAY_FS is not set\n"), tree, X86_64)
    assert values(kconfig)["OVERLAY_FS"] == "n"


def test_the_builds_evidence_has_what_was_left_out(tree: Path) -> None:
    text = fragments.difference(virtme.extend(request(tree), tree, X86_64), "CONFIG_OWN=y\n")
    assert " CONFIG_OWN=y\n" in text
    assert "-CONFIG_DAX_DRIVER=y # this tree has no such symbol\n" in text
