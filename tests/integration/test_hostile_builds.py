# SPDX-License-Identifier: GPL-2.0
"""Builds of trees whose Makefiles are hostile: nothing of the user's is read, changed or moved.

The payloads are marker files in a made-up home folder, bounded bytes and bounded seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rmaplab.build import buildlog, sandbox, seccomp, selftests, stale, trust
from rmaplab.build import kernel as build_kernel
from rmaplab.build.bubblewrap import Form
from rmaplab.config.paths import project
from rmaplab.errors import BuildError, InfraError, PatchError
from rmaplab.model import Build, Kernel, ResolvedKernel
from rmaplab.source import patched
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache, file_sha256

from . import fake_tree
from .test_selftests import INNER, OUTER, TESTS

SECRET = "CONFIG_SECRET=hunter2\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder with a file that no build may read, change or move."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".netrc").write_text(SECRET, encoding="utf-8")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def request(tree: Path, tmp_path: Path, cache: Cache, series: str = "") -> ResolvedKernel:
    fragment = tmp_path / "fake.config"
    fragment.write_text("CONFIG_FAKE=y\n# CONFIG_MODULES is not set\n", encoding="utf-8")
    spec = f"dir:{tree}"
    return build_kernel.resolve(
        Kernel("patched" if series else "base", spec, series, ("fake",)),
        tree_source.fetch(spec, cache),
        series_source.load(series, tree),
        [fragment],
    )


def build(tree: Path, tmp_path: Path, cache: Cache, series: str = "") -> Build:
    return build_kernel.build(request(tree, tmp_path, cache, series), cache, jobs=1)


def after(target: str, *commands: str) -> str:
    """Return the fake tree's Makefile with commands at the end of a target."""
    rules = fake_tree.MAKEFILE.split("\n\n")
    number = next(n for n, rule in enumerate(rules) if f"{target}:" in rule)
    rules[number] = rules[number].rstrip("\n") + "".join(f"\n\t@{line}" for line in commands)
    return "\n\n".join(rules) + "\n"


def kept(home: Path, cache: Cache) -> None:
    """Assert that the home folder is as it was and that the cache has nothing of it."""
    assert {path.name for path in home.iterdir()} == {".netrc"}
    assert (home / ".netrc").read_text(encoding="utf-8") == SECRET
    for path in cache.root.rglob("*"):
        if path.is_file() and not path.is_symlink() and "sources" not in path.parts:
            assert b"hunter2" not in path.read_bytes(), path


PRODUCTS: Mapping[str, tuple[str, str]] = {
    "a configuration that is a link": ("tinyconfig", "ln -sf {home}/.netrc $(O)/.config"),
    "a configuration that is a link to no file": ("tinyconfig", "ln -sf {home}/new $(O)/.config"),
    "a configuration that is a FIFO": ("tinyconfig", "rm $(O)/.config; mkfifo $(O)/.config"),
    "a configuration that becomes a link": ("olddefconfig", "ln -sf {home}/.netrc $(O)/.config"),
    "a configuration that becomes /dev/zero": ("olddefconfig", "ln -sf /dev/zero $(O)/.config"),
    "a huge configuration": ("olddefconfig", "truncate -s 20G $(O)/.config"),
    "a link as image": ("bzImage", "ln -sf {home}/.netrc $(image)"),
    "a FIFO as image": ("bzImage", "rm $(image); mkfifo $(image)"),
    "a folder as image": ("bzImage", "rm $(image); mkdir $(image)"),
    "/dev/zero as image": ("bzImage", "ln -sf /dev/zero $(image)"),
    "a sparse image": ("bzImage", "truncate -s 20G $(image)"),
    "no image": ("bzImage", "rm $(image)"),
    "a linked folder of the image": (
        "bzImage", "rm -r $(O)/arch/x86/boot; ln -s {home} $(O)/arch/x86/boot",
    ),
    "a link as release": ("bzImage", "ln -sf {home}/.netrc $(O)/include/config/kernel.release"),
    "no release": ("bzImage", "rm $(O)/include/config/kernel.release"),
    "a release that is a page of text": (
        "bzImage", "printf '6.12\\033[2J<script>' > $(O)/include/config/kernel.release",
    ),
    "no products at all": ("bzImage", "rm -rf $(O)/arch $(O)/include $(O)/.config"),
}  # fmt: skip


@pytest.mark.parametrize("what", PRODUCTS)
def test_a_product_that_is_odd_is_the_kernels_fault(
    tmp_path: Path, home: Path, cache: Cache, what: str
) -> None:
    target, command = PRODUCTS[what]
    makefile = after(target, command.format(home=home))
    tree = fake_tree.make(tmp_path / "linux", {"Makefile": makefile})
    with pytest.raises(BuildError) as caught:
        build(tree, tmp_path, cache)
    assert "hunter2" not in caught.value.message
    assert "\x1b" not in caught.value.message
    kept(home, cache)
    assert list(cache.entries(("builds",))) == []


def test_a_vmlinux_that_is_a_link_is_the_kernels_fault(
    tmp_path: Path, home: Path, cache: Cache
) -> None:
    tree = fake_tree.make(tmp_path / "linux")
    fake_tree.change(tree, "Makefile", "cp $@ $(O)/vmlinux", f"ln -sf {home}/.netrc $(O)/vmlinux")
    fake_tree.change(tree, "Makefile", "'CONFIG_64BIT=y'", "'CONFIG_DEBUG_INFO=y'")
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    with pytest.raises(BuildError, match="vmlinux"):
        build(tree, tmp_path, cache, series)
    kept(home, cache)


def test_a_folder_of_the_base_that_is_a_link_leads_the_patched_build_nowhere(
    tmp_path: Path, home: Path, cache: Cache
) -> None:
    """The objects of what a series touches are deleted beneath the copy of the base's folder."""
    (home / "rmap.o").write_text(SECRET, encoding="utf-8")
    makefile = after("bzImage", f"rm -r $(O)/mm; ln -s {home} $(O)/mm")
    tree = fake_tree.make(tmp_path / "linux", {"Makefile": makefile})
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    with pytest.raises(BuildError, match=r"the build left mm.* as a symbolic link"):
        build(tree, tmp_path, cache, series)
    assert (home / "rmap.o").read_text(encoding="utf-8") == SECRET


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): file_sha256(path) + f" {path.stat().st_mode:o}"
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_series_changes_neither_the_tree_nor_the_build_of_its_base(
    tmp_path: Path, cache: Cache
) -> None:
    """The patched source shares the untouched files with the tree by hardlinks."""
    tree = fake_tree.make(tmp_path / "linux")
    base = build(tree, tmp_path, cache)
    evil = (
        "-echo evil >> mm/ksm.c", "-chmod 777 mm/ksm.c", "-touch mm/ksm.c",
        "-ln mm/ksm.c $(O)/ksm.c && echo evil >> $(O)/ksm.c",
        "-mount -o remount,rw,bind /kernel/source && echo evil >> mm/ksm.c",
        "-echo evil >> $(O)/mm/ksm.o", "-echo evil > $(O)/Module.symvers",
    )  # fmt: skip
    (tree / "Makefile").write_text(after("tinyconfig", *evil), encoding="utf-8")
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    wanted = request(tree, tmp_path, cache)
    before = hashes(base.folder), hashes(wanted.tree.path)
    shared = patched.source_of(wanted.tree, series_source.load(series, tree), cache)
    assert (shared / "mm/ksm.c").stat().st_ino == (wanted.tree.path / "mm/ksm.c").stat().st_ino
    build(tree, tmp_path, cache, series)
    assert (hashes(base.folder), hashes(wanted.tree.path)) == before


def test_a_strangers_code_is_not_built_in_a_weak_sandbox(
    tmp_path: Path,
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tree = fake_tree.make(tmp_path / "linux")
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    asked = request(tree, tmp_path, cache, series)
    of_debian = replace(asked, tree=replace(asked.tree, spec="debian:linux-source-6.12"))
    bundled = replace(of_debian.series, origin=str(project() / "patches/device-exclusive"))
    monkeypatch.setattr(seccomp, "program", lambda: b"")
    for wanted, who in ((asked, "the tree dir:"), (of_debian, f"the series {series}")):
        with pytest.raises(
            InfraError, match=f"^{who}.* is not built, because .* every system call"
        ):
            build_kernel.build(wanted, cache, jobs=1)
    own = build_kernel.build(replace(of_debian, series=bundled), cache, jobs=1)
    assert own.image.exists()
    assert "the sandbox of this host is weak" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv(trust.UNSAFE, "1")
    assert build_kernel.build(asked, Cache(tmp_path / "other"), jobs=1).image.exists()


def test_roots_user_for_foreign_code_is_weak(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trust.weaknesses() == ()
    monkeypatch.setattr(sandbox, "best_form", lambda: Form(None, True))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert trust.weaknesses() == ("foreign code has root's user, without its capabilities",)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert trust.weaknesses() == ()


TIMES = {
    "of the objects": "touch -c -d +1hour $(O)/mm/rmap.o $(O)/mm/ksm.o",
    "of the image": "mkdir -p $(O)/arch/x86/boot; cp $(O)/vmlinux $(image); "
    "touch -d +1hour $(image)",
}


@pytest.mark.parametrize("what", TIMES)
def test_times_of_a_series_own_making_bring_no_object_of_the_base_back(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A series that changes a header, and whose Makefile makes the base's objects look new."""
    tree = fake_tree.make(tmp_path / "linux")
    base = build(tree, tmp_path, cache)
    (tree / "Makefile").write_text(after("olddefconfig", f"-{TIMES[what]}"), encoding="utf-8")
    fake_tree.change(tree, "include/fake.h", "FAKE 1", "FAKE 2")
    whole = build(tree, tmp_path, Cache(tmp_path / "other"))
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    made = build(tree, tmp_path, cache, series)
    assert made.image.read_bytes() == whole.image.read_bytes()
    assert made.image.read_bytes() != base.image.read_bytes()
    # The control: if nothing is deleted, the base is tested under the series' name.
    monkeypatch.setattr(stale, "drop", lambda *words: frozenset())
    stale_one = build(tree, tmp_path, Cache(tmp_path / "third"), series)
    assert stale_one.image.read_bytes() == base.image.read_bytes()


def test_a_base_that_changes_while_a_copy_of_it_is_built_is_noticed_and_dropped(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the sandbox had not held: here the lab itself changes the kept build."""
    tree = fake_tree.make(tmp_path / "linux")
    base = build(tree, tmp_path, cache)
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    drop = stale.drop

    def also_change(*words: Any) -> frozenset[str]:
        kept = base.folder / "obj/mm/ksm.o"
        before = kept.stat()
        content = kept.read_bytes()
        kept.write_bytes(content.replace(b"ksm", b"msk"))
        os.utime(kept, ns=(before.st_atime_ns, before.st_mtime_ns))
        return drop(*words)

    monkeypatch.setattr(stale, "drop", also_change)
    with pytest.raises(InfraError, match="is not as it was before a build started"):
        build(tree, tmp_path, cache, series)
    assert list(cache.entries(("builds",))) == []
    monkeypatch.undo()
    assert build(tree, tmp_path, cache, series).image.exists()


def test_a_make_that_does_not_end_is_ended_and_its_log_kept(tmp_path: Path, cache: Cache) -> None:
    tree = fake_tree.make(tmp_path / "linux", {"Makefile": after("tinyconfig", "sleep 100")})
    with pytest.raises(BuildError, match="make tinyconfig failed: no end within 1 s") as e:
        build_kernel.build(request(tree, tmp_path, cache), cache, jobs=1, limit_s=1)
    assert e.value.evidence is not None
    assert list(cache.entries(("builds",))) == []


def test_a_log_without_end_does_not_fill_the_disk(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = "echo first; yes noise | head -c 20000000; echo mm/x.c:1: error: the last one; false"
    tree = fake_tree.make(tmp_path / "linux", {"Makefile": after("tinyconfig", noise)})
    monkeypatch.setattr(buildlog, "LIMIT_BYTES", 1 << 20)
    with pytest.raises(BuildError, match="the last one") as e:
        build(tree, tmp_path, cache)
    assert e.value.evidence is not None
    assert (1 << 19) < e.value.evidence.stat().st_size < (1 << 21)


@pytest.mark.parametrize(
    "last", ["bwrap: Can't mount proc on /newroot/proc", "cc1: No space left on device"]
)
def test_the_last_line_of_a_log_makes_no_fault_the_labs(
    tmp_path: Path, cache: Cache, last: str
) -> None:
    forged = after("tinyconfig", f'echo "{last}"; kill -KILL $$PPID')
    tree = fake_tree.make(tmp_path / "linux", {"Makefile": forged})
    with pytest.raises(BuildError, match="make tinyconfig failed"):
        build(tree, tmp_path, cache)


# -- selftests ---------------------------------------------------------------------------------


def build_selftests(files: Mapping[str, str], tmp_path: Path, cache: Cache) -> selftests.Selftests:
    tree = fake_tree.make(tmp_path / "linux", {**TESTS, **files})
    return selftests.build(request(tree, tmp_path, cache), cache, jobs=1)


@pytest.mark.parametrize("linked", ["$(O)/kselftest", "$(O)/kselftest/$(TARGETS)"])
def test_a_folder_of_selftests_that_is_a_link_is_not_emptied(
    tmp_path: Path, home: Path, cache: Cache, linked: str
) -> None:
    (home / "mm").mkdir()
    (home / "mm/id_rsa").write_text(SECRET, encoding="utf-8")
    target = home if linked == "$(O)/kselftest" else home / "mm"
    outer = OUTER.replace("@$(MAKE)", "-@$(MAKE)")
    outer += f"\t@rm -rf {linked}; ln -s {target} {linked}\n"
    with pytest.raises(BuildError, match="as a symbolic link"):
        build_selftests({"tools/testing/selftests/Makefile": outer}, tmp_path, cache)
    assert (home / "mm/id_rsa").read_text(encoding="utf-8") == SECRET


def test_what_is_no_program_is_not_taken_for_a_selftest(
    tmp_path: Path, home: Path, cache: Cache
) -> None:
    odd = f"\t@ln -sf {home}/.netrc $(OUTPUT)/link; mkfifo $(OUTPUT)/fifo; mkdir $(OUTPUT)/dir\n"
    inner = INNER.replace("\t@ln -sf /etc/passwd $(OUTPUT)/sly\n", odd)
    built = build_selftests({"tools/testing/selftests/mm/Makefile": inner}, tmp_path, cache)
    assert set(built.programs) == {"good", "seeded"}
    kept(home, cache)


def test_a_series_that_makes_the_selftests_a_link_to_the_host_does_not_apply(
    tmp_path: Path, home: Path, cache: Cache
) -> None:
    tree = fake_tree.make(tmp_path / "linux", TESTS)
    place = tree / "tools/testing/selftests/mm"
    fake_tree.git(tree, "rm", "--quiet", "-r", str(place))
    place.symlink_to(home)
    fake_tree.git(tree, "add", "--all")
    fake_tree.git(tree, "commit", "--quiet", "--no-gpg-sign", "-m", "mm: a link")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    with pytest.raises(PatchError, match="a link that leads out of the tree"):
        selftests.build(request(tree, tmp_path, cache, series), cache, jobs=1)
    kept(home, cache)
