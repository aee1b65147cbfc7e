# SPDX-License-Identifier: GPL-2.0
"""Builds of a fake kernel in the real sandbox: keyed, incremental, identical, never half."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rmaplab.build import budget, lines
from rmaplab.build import kernel as build_kernel
from rmaplab.build.progress import BuildProgress
from rmaplab.errors import BuildError, ExitCode, InfraError, PatchError
from rmaplab.model import Build, Kernel, ResolvedKernel
from rmaplab.source import patched
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache

from . import fake_tree

WAIT_LIMIT_S = 60


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return fake_tree.make(tmp_path / "linux")


@pytest.fixture
def fragment(tmp_path: Path) -> Path:
    path = tmp_path / "fake.config"
    path.write_text("CONFIG_FAKE=y\n# CONFIG_MODULES is not set\n", encoding="utf-8")
    return path


def request(tree: Path, fragment: Path, cache: Cache, series: str = "") -> ResolvedKernel:
    name = "patched" if series else "base"
    spec = f"dir:{tree}"
    return build_kernel.resolve(
        Kernel(name, spec, series, ("fake",)),
        tree_source.fetch(spec, cache),
        series_source.load(series, tree),
        [fragment],
    )


def build(tree: Path, fragment: Path, cache: Cache, series: str = "") -> Build:
    return build_kernel.build(request(tree, fragment, cache, series), cache, jobs=1)


def compiled(made: Build) -> list[str]:
    """Return the files that were compiled, from the build's log."""
    lines = made.log.read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.startswith("  CC ")]


def entries(cache: Cache, section: str = "builds") -> list[str]:
    return [entry.path.name for entry in cache.entries() if entry.section == section]


def eventually(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT_LIMIT_S
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


# -- what a build is ---------------------------------------------------------------------------


def test_a_build_has_its_image_configuration_log_and_release(
    tree: Path, fragment: Path, cache: Cache
) -> None:
    made = build(tree, fragment, cache)
    assert made.image.read_bytes().startswith(b"\x7fELF")
    assert made.release == "6.12.1"
    assert not made.reused
    config = made.config.read_text(encoding="utf-8")
    assert "CONFIG_FAKE=y\n" in config
    assert "CONFIG_64BIT=y\n" in config
    difference = (made.folder / "fragments.diff").read_text(encoding="utf-8")
    assert " CONFIG_FAKE=y\n" in difference
    assert "+CONFIG_64BIT=y\n" in difference
    assert compiled(made) == ["mm/rmap.o", "mm/ksm.o"]


def test_a_build_says_how_far_it_is_by_the_last_one_of_its_kind(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[int] = []
    ends: list[str] = []
    shown = BuildProgress.shown

    @contextlib.contextmanager
    def noted(self: BuildProgress) -> Iterator[None]:
        expected.append(self.expected)
        with shown(self):
            yield
        ends.append(self.text)

    monkeypatch.setattr(BuildProgress, "shown", noted)
    for value in ("2", "3"):
        fake_tree.change(
            tree, "include/fake.h", "#define FAKE", f"#define AGAIN{value} 1\n#define FAKE"
        )
        build(tree, fragment, cache)
        fake_tree.git(tree, "tag", "--force", "base")
        fake_tree.change(tree, "mm/rmap.c", "return FAKE", f"return {value}")
        build(tree, fragment, cache, str(fake_tree.series_of(tree, tmp_path / f"series{value}")))
    assert expected == [0, 0, 2, 1]
    assert ends == ["2 objects", "1 object", "2 objects", "1 object"]


def test_the_same_input_is_no_build_at_all(
    tree: Path, fragment: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(tree, fragment, cache)
    monkeypatch.setattr(build_kernel, "_make", lambda *words: pytest.fail("it was built"))
    again = build(tree, fragment, cache)
    assert again.reused
    assert again.duration_s == 0
    assert (again.key, again.image) == (first.key, first.image)


def test_another_tree_fragment_or_series_is_another_build(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    keys = {request(tree, fragment, cache).key}
    other = tmp_path / "other.config"
    other.write_text("CONFIG_FAKE=y\n", encoding="utf-8")
    keys.add(request(tree, other, cache).key)
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    keys.add(request(tree, fragment, cache).key)
    series = fake_tree.series_of(tree, tmp_path / "series")
    keys.add(request(tree, fragment, cache, str(series)).key)
    assert len(keys) == 4


def test_two_caches_give_the_same_bytes(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    """Neither the cache's place nor the time of the build is in the image."""
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    other = Cache(tmp_path / "a/longer/way/to/the/cache")
    for name in ("", series):
        first, second = build(tree, fragment, cache, name), build(tree, fragment, other, name)
        assert first.folder != second.folder
        assert first.image.read_bytes() == second.image.read_bytes()
    assert b"Thu Jan  1 00:00:00 UTC 1970 by rmaplab@rmaplab" in first.image.read_bytes()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", [truncate, garble, Path.unlink])
@pytest.mark.parametrize("name", ["bzImage", "build.json", "config", "fragments.diff", "seal.json"])
def test_a_cached_kernel_that_is_damaged_is_built_again(
    tree: Path, fragment: Path, cache: Cache, name: str, damage: Callable[[Path], None]
) -> None:
    first = build(tree, fragment, cache)
    image = first.image.read_bytes()
    if name == "build.json" and damage is garble:
        (first.folder / name).write_text("[]", encoding="utf-8")
    else:
        damage(first.folder / name)
    again = build(tree, fragment, cache)
    assert not again.reused
    assert again.image.read_bytes() == image
    assert build(tree, fragment, cache).reused


def test_a_cached_kernel_without_a_checksum_is_believed(
    tree: Path, fragment: Path, cache: Cache
) -> None:
    facts = build(tree, fragment, cache).folder / "build.json"
    old = json.loads(facts.read_text(encoding="utf-8"))
    del old["sha256"]
    facts.write_text(json.dumps(old), encoding="utf-8")
    assert build(tree, fragment, cache).reused


def test_a_patched_kernel_that_is_damaged_is_built_again_from_its_base(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    first = build(tree, fragment, cache, series)
    image = first.image.read_bytes()
    garble(first.image)
    again = build(tree, fragment, cache, series)
    assert (again.image.read_bytes(), compiled(again)) == (image, ["mm/rmap.o"])


# -- a patched build ---------------------------------------------------------------------------


def test_a_patched_build_compiles_only_what_the_series_touched(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    base = build(tree, fragment, cache)
    patched = build(tree, fragment, cache, series)
    assert compiled(patched) == ["mm/rmap.o"]
    assert patched.image.read_bytes() != base.image.read_bytes()
    # The base's objects are as they were, for the next series.
    assert (base.folder / "obj/mm/rmap.o").exists()
    assert build(tree, fragment, cache).reused


@pytest.mark.parametrize("debug", [False, True])
def test_a_vmlinux_with_debug_info_is_kept_of_base_and_patched(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path, debug: bool
) -> None:
    if debug:
        fragment.write_text("CONFIG_FAKE=y\nCONFIG_DEBUG_INFO=y\n", encoding="utf-8")
    fake_tree.change(tree, "mm/rmap.c", "FAKE;", "FAKE + 1;")
    series = fake_tree.series_of(tree, tmp_path / "series")
    base, patched = (build(tree, fragment, cache, name) for name in ("", str(series)))
    for made in (base, patched):
        vmlinux = lines.vmlinux_of(made.folder)
        assert (vmlinux is not None) is debug
        assert vmlinux is None or vmlinux.read_bytes() == made.image.read_bytes()
    assert not (patched.folder / "obj").exists()


def test_a_header_that_a_series_touched_recompiles_its_users(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.change(tree, "include/fake.h", "FAKE 1", "FAKE 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    assert compiled(build(tree, fragment, cache, series)) == ["mm/rmap.o", "mm/ksm.o"]


@pytest.fixture
def stack(tree: Path, tmp_path: Path) -> tuple[str, str]:
    """A series that touches a header, and a patch to be put on top of it."""
    fake_tree.change(tree, "include/fake.h", "FAKE 1", "FAKE 2")
    lower = fake_tree.series_of(tree, tmp_path / "lower")
    fake_tree.change(tree, "mm/ksm.c", "return FAKE", "return 3")
    upper = fake_tree.series_of(tree, tmp_path / "upper")
    return str(lower), str(upper)


def on_top(tree: Path, fragment: Path, lower: str, upper: str, cache: Cache) -> ResolvedKernel:
    spec = f"dir:{tree}"
    return build_kernel.resolve(
        Kernel("mutant", spec, upper, ("fake",), lower),
        tree_source.fetch(spec, cache),
        series_source.load(upper, tree),
        [fragment],
        series_source.load(lower, tree),
    )


def test_what_is_on_top_of_a_series_starts_from_a_kept_build_of_that(
    tree: Path, fragment: Path, cache: Cache, stack: tuple[str, str]
) -> None:
    wanted = on_top(tree, fragment, *stack, cache)
    made = build_kernel.build(wanted, cache, jobs=1)
    assert compiled(made) == ["mm/ksm.o"]
    below = build(tree, fragment, cache, stack[0])
    assert below.reused  # the kept build is one of the series, too
    assert (below.folder / "obj/mm/rmap.o").exists()
    assert made.image.read_bytes() != below.image.read_bytes()


def test_another_build_of_a_series_makes_a_kept_one_no_older(
    tree: Path, fragment: Path, cache: Cache, stack: tuple[str, str]
) -> None:
    wanted = on_top(tree, fragment, *stack, cache)
    build_kernel.build(wanted.base, cache, jobs=1, keep=True)
    source = patched.source_of(wanted.tree, wanted.onto, cache)
    later = time.time() + 60  # as if it was built with another configuration, now
    os.utime(source / "include/fake.h", (later, later))
    assert compiled(build_kernel.build(wanted, cache, jobs=1)) == ["mm/ksm.o"]
    assert (source / "include/fake.h").stat().st_mtime == pytest.approx(later)


def test_what_is_on_top_of_a_series_is_the_same_as_both_in_one(
    tree: Path, fragment: Path, cache: Cache, stack: tuple[str, str], tmp_path: Path
) -> None:
    both = tmp_path / "both"
    shutil.copytree(stack[0], both)
    for number, patch in enumerate(Path(stack[1]).iterdir()):
        shutil.copy(patch, both / f"9{number}.patch")
    wanted = on_top(tree, fragment, *stack, cache)
    assert wanted.key == request(tree, fragment, cache, str(both)).key
    other = Cache(tmp_path / "other")
    image = build_kernel.build(wanted, cache, jobs=1).image.read_bytes()
    assert image == build(tree, fragment, other, str(both)).image.read_bytes()


def test_a_patched_build_is_the_same_as_a_full_build_of_the_patched_tree(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    whole = build(tree, fragment, Cache(tmp_path / "other"))
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    assert build(tree, fragment, cache, series).image.read_bytes() == whole.image.read_bytes()


def test_folder_and_mbox_of_a_series_are_one_build(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    mbox = tmp_path / "series.mbox"
    mbox.write_text(fake_tree.git(tree, "format-patch", "--stdout", "base"), encoding="utf-8")
    folder = fake_tree.series_of(tree, tmp_path / "series")
    first = build(tree, fragment, cache, str(folder))
    assert build(tree, fragment, cache, str(mbox)).key == first.key


def test_a_series_that_does_not_apply_costs_no_base_build(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 3")
    with pytest.raises(PatchError, match=r"mm/rmap\.c: hunk #1"):
        build(tree, fragment, cache, series)
    assert entries(cache) == []


def age(path: Path) -> None:
    """As if the base had been built an hour ago."""
    then = path.stat().st_mtime - 3600
    os.utime(path, (then, then))


@pytest.mark.parametrize("option", ["-M", "--no-renames"])
def test_a_series_may_rename_a_source(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path, option: str
) -> None:
    """The base's object of the old name is neither linked nor missed."""
    fake_tree.git(tree, "mv", "mm/ksm.c", "mm/merge.c")
    fake_tree.change(tree, "Makefile", "ksm.o", "merge.o")
    fake_tree.git(tree, "format-patch", "--quiet", "-o", str(tmp_path / "s"), option, "base")
    whole = build(tree, fragment, Cache(tmp_path / "other"))
    fake_tree.git(tree, "reset", "--quiet", "--hard", "base")
    age(build(tree, fragment, cache).folder / "obj/mm/ksm.o")
    patched = build(tree, fragment, cache, str(tmp_path / "s"))
    assert compiled(patched) == ["mm/merge.o"]
    assert patched.image.read_bytes() == whole.image.read_bytes()


def test_a_series_may_delete_a_source(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.git(tree, "rm", "--quiet", "mm/ksm.c")
    fake_tree.change(tree, "Makefile", " $(O)/mm/ksm.o", "")
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    age(build(tree, fragment, cache).folder / "obj/mm/ksm.o")
    patched = build(tree, fragment, cache, series)
    assert compiled(patched) == ["mm/rmap.o"]
    assert b"ksm_built" not in patched.image.read_bytes()


def test_a_patch_whose_names_have_blanks_before_them_is_compiled(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    """Or the image under the series' name would be the base's."""
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = fake_tree.series_of(tree, tmp_path / "series")
    (patch,) = series.glob("*.patch")
    text = patch.read_text(encoding="utf-8")
    text = re.sub(r"^diff --git .*\nindex .*\n", "", text, flags=re.M)
    patch.write_text(text.replace("--- a/", "---  a/").replace("+++ b/", "+++  b/"), "utf-8")
    made = build(tree, fragment, cache, str(series))
    assert compiled(made) == ["mm/rmap.o"]


def test_a_series_that_changes_a_link_is_built_from_nothing(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    """A link's target has no time by which make could know."""
    text = (tree / "include/fake.h").read_text(encoding="utf-8")
    (tree / "include/other.h").write_text(text.replace("FAKE 1", "FAKE 2"), encoding="utf-8")
    (tree / "include/fake.h").rename(tree / "include/one.h")
    (tree / "include/fake.h").symlink_to("one.h")
    fake_tree.git(tree, "add", "--all")
    fake_tree.git(tree, "commit", "--quiet", "-m", "links")
    fake_tree.git(tree, "tag", "--force", "base")
    (tree / "include/fake.h").unlink()
    (tree / "include/fake.h").symlink_to("other.h")
    fake_tree.git(tree, "commit", "--quiet", "--all", "-m", "another header")
    fake_tree.git(tree, "format-patch", "--quiet", "-o", str(tmp_path / "s"), "base")
    whole = build(tree, fragment, Cache(tmp_path / "other"))
    fake_tree.git(tree, "reset", "--quiet", "--hard", "base")
    age(build(tree, fragment, cache).folder / "obj/mm/ksm.o")
    patched = build(tree, fragment, cache, str(tmp_path / "s"))
    assert compiled(patched) == ["mm/rmap.o", "mm/ksm.o"]
    assert patched.image.read_bytes() == whole.image.read_bytes()


# -- builds that fail --------------------------------------------------------------------------


def test_a_series_that_does_not_compile_shows_file_and_line_and_leaves_no_entry(
    tree: Path, fragment: Path, cache: Cache, tmp_path: Path
) -> None:
    fake_tree.change(tree, "mm/rmap.c", "return FAKE;", "return mapcount(folio)")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    base = build(tree, fragment, cache)
    with pytest.raises(BuildError) as caught:
        build(tree, fragment, cache, series)
    assert caught.value.exit_code is ExitCode.BUILD
    assert "\n  mm/rmap.c:8:" in caught.value.message
    assert " error: " in caught.value.message
    assert entries(cache) == [base.key]
    assert caught.value.evidence is not None
    assert "mm/rmap.c:8:" in caught.value.evidence.read_text(encoding="utf-8")


def test_a_build_that_fails_without_a_compilers_word_shows_what_make_said(
    tmp_path: Path, fragment: Path, cache: Cache
) -> None:
    tree = fake_tree.make(tmp_path / "broken", {"fail.bzImage": ""})
    with pytest.raises(BuildError, match=r"make bzImage failed:\n +make"):
        build(tree, fragment, cache)
    assert entries(cache) == []


def test_an_error_in_the_source_that_speaks_of_space_is_the_sources(
    tree: Path, fragment: Path, cache: Cache
) -> None:
    fake_tree.change(tree, "include/fake.h", "#define", "#error No space left on device\n#define")
    with pytest.raises(BuildError, match=r"error: #error No space left on device"):
        build(tree, fragment, cache)


def test_a_log_that_speaks_of_a_full_disk_is_not_believed(
    tmp_path: Path, fragment: Path, cache: Cache
) -> None:
    full = fake_tree.MAKEFILE.replace("no $@ today", "cat: write error: No space left on device")
    tree = fake_tree.make(tmp_path / "full", {"Makefile": full, "fail.tinyconfig": ""})
    with pytest.raises(BuildError, match="make tinyconfig failed") as caught:
        build(tree, fragment, cache)
    assert "the disk had some all the time" in caught.value.hint


def test_a_disk_that_was_full_is_the_labs_fault(
    tmp_path: Path, fragment: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = fake_tree.make(tmp_path / "full", {"fail.tinyconfig": ""})
    monkeypatch.setattr(budget, "FULL_DISK_BYTES", 1 << 62)
    with pytest.raises(InfraError, match="the disk is full"):
        build(tree, fragment, cache)


def test_a_build_that_fills_the_disk_by_itself_is_the_kernels_fault(
    tmp_path: Path, fragment: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    filling = fake_tree.MAKEFILE.replace(
        "@test ! -e fail.$@", "@head -c 3M /dev/zero > $(O)/x; false"
    )
    tree = fake_tree.make(tmp_path / "full", {"Makefile": filling})
    monkeypatch.setattr(budget, "FULL_DISK_BYTES", 1 << 62)
    monkeypatch.setattr(budget, "BUILD_BYTES", 2 << 20)
    with pytest.raises(BuildError, match="make tinyconfig failed"):
        build(tree, fragment, cache)


def test_a_configuration_that_fails_is_the_kernels_fault(
    tmp_path: Path, fragment: Path, cache: Cache
) -> None:
    tree = fake_tree.make(tmp_path / "broken", {"fail.tinyconfig": ""})
    with pytest.raises(BuildError, match="make tinyconfig failed"):
        build(tree, fragment, cache)


def test_a_symbol_that_did_not_survive_is_named_with_the_dependency(
    tree: Path, cache: Cache, tmp_path: Path
) -> None:
    fragment = tmp_path / "wants.config"
    fragment.write_text("CONFIG_FAKE=y\nCONFIG_NEEDY=y\nCONFIG_UNKNOWN=y\n", encoding="utf-8")
    with pytest.raises(BuildError) as caught:
        build(tree, fragment, cache)
    lines = caught.value.message.splitlines()
    assert "Kconfig dropped 2 requested symbols" in lines[0]
    assert lines[1].strip() == (
        "CONFIG_NEEDY: wanted y, got nothing (wants.config:2): "
        "mm/Kconfig:1 depends on MISSING && 64BIT (MISSING=n)"
    )
    assert lines[2].strip().endswith("(wants.config:3): this tree has no such symbol")
    assert entries(cache) == []


def test_a_makefile_without_the_dependency_compiles_what_the_series_touched(
    tmp_path: Path, fragment: Path, cache: Cache
) -> None:
    """The base's object would be the base's code under the series' name."""
    lazy = fake_tree.MAKEFILE.replace("$(O)/%.o: %.c include/fake.h", "$(O)/%.o:")
    tree = fake_tree.make(tmp_path / "lazy", {"Makefile": lazy})
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    assert compiled(build(tree, fragment, cache, series)) == ["mm/rmap.o"]


def test_an_object_that_is_older_than_the_series_is_not_passed_off_as_patched(
    tmp_path: Path, fragment: Path, cache: Cache
) -> None:
    """As a Makefile would do it that takes objects from elsewhere."""
    old = fake_tree.MAKEFILE + "\t@touch -d 2001-01-01 $@\n"
    tree = fake_tree.make(tmp_path / "old", {"Makefile": old})
    fake_tree.change(tree, "mm/rmap.c", "return FAKE", "return 2")
    series = str(fake_tree.series_of(tree, tmp_path / "series"))
    with pytest.raises(InfraError, match=r"did not rebuild mm/rmap\.o"):
        build(tree, fragment, cache, series)


# -- labs that share a cache, and labs that are killed -----------------------------------------

BUILDER = """
import sys
from pathlib import Path
from rmaplab.build import kernel as build_kernel
from rmaplab.model import Kernel
from rmaplab.source import series, tree
from rmaplab.store.cache import Cache

cache, place, fragment = Cache(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
wanted = build_kernel.resolve(
    Kernel("base", "dir:" + place, "", ("fake",)), tree.fetch("dir:" + place, cache),
    series.EMPTY, [fragment])
print("asking", flush=True)
made = build_kernel.build(wanted, cache, jobs=1)
print(made.key, made.reused, flush=True)
"""


def builder(cache: Cache, tree: Path, fragment: Path) -> subprocess.Popen[str]:
    """Another lab that builds the base."""
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(cache.root), str(tree), str(fragment)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def slow_tree(tmp_path: Path) -> Path:
    return fake_tree.make(tmp_path / "slow", {"wait.bzImage": ""})


def waiting(cache: Cache) -> list[Path]:
    """The build folders in which make waits to be told to go on."""
    return [path.parent for path in (cache.root / "builds").glob(".*.half/obj/waiting")]


@pytest.fixture
def go(cache: Cache) -> Iterator[Callable[[], None]]:
    """Tells the next build that waits to go on."""
    threads: list[threading.Thread] = []

    def when_waiting() -> None:
        eventually(lambda: bool(waiting(cache)))
        for folder in waiting(cache):
            (folder / "go").touch()

    def start() -> None:
        threads.append(threading.Thread(target=when_waiting))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def test_a_killed_build_leaves_nothing_that_counts_and_nothing_that_runs(
    slow_tree: Path, fragment: Path, cache: Cache, go: Callable[[], None]
) -> None:
    with builder(cache, slow_tree, fragment) as lab:
        eventually(lambda: bool(waiting(cache)))
        lab.send_signal(signal.SIGKILL)
        lab.communicate()
    key = request(slow_tree, fragment, cache).key
    assert not cache.path("builds", key).exists()
    eventually(lambda: not list(fake_tree.processes_with(str(cache.root))))
    (waiting(cache)[0] / "rubbish").write_text("half", encoding="utf-8")
    (waiting(cache)[0] / "waiting").unlink()
    go()
    made = build(slow_tree, fragment, cache)
    assert not made.reused
    assert entries(cache) == [key]
    assert not (made.folder / "obj/rubbish").exists()
    assert compiled(made) == ["mm/rmap.o", "mm/ksm.o"]


def test_of_two_labs_one_builds_and_the_other_waits_and_reuses(
    slow_tree: Path, fragment: Path, cache: Cache
) -> None:
    with builder(cache, slow_tree, fragment) as first:
        eventually(lambda: bool(waiting(cache)))
        with builder(cache, slow_tree, fragment) as second:
            assert second.stderr is not None
            assert "waiting for another lab that makes builds/" in second.stderr.readline()
            (waiting(cache)[0] / "go").touch()
            said = first.communicate()[0], second.communicate()[0]
    assert first.returncode == second.returncode == 0
    key = request(slow_tree, fragment, cache).key
    assert entries(cache) == [key]
    made = build(slow_tree, fragment, cache)
    assert compiled(made) == ["mm/rmap.o", "mm/ksm.o"]
    assert all(words.splitlines()[-1].startswith(key) for words in said)
