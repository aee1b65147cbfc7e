# SPDX-License-Identifier: GPL-2.0
"""Selftests of a fake kernel tree, built by its Makefile in the real sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.build import kernel as build_kernel
from rmaplab.build import selftests
from rmaplab.build.selftests import Selftests
from rmaplab.errors import BuildError
from rmaplab.model import Kernel
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache

from . import fake_tree

# As upstream's: the tests' own Makefile writes into its folder, and includes what it wrote there.
TOP = (
    "\nheaders:\n\t@mkdir -p $(O)/usr/include\n\t@echo '#define UAPI 7' > $(O)/usr/include/uapi.h\n"
)
OUTER = """\
all:
\t@mkdir -p $(O)/kselftest/$(TARGETS)
\t@$(MAKE) -C $(TARGETS) OUTPUT=$(O)/kselftest/$(TARGETS)
"""
INNER = """\
include local_config.mk
all: sly $(addprefix $(OUTPUT)/,good broken needy rings seeded)
sly: $(OUTPUT)/good
\t@ln -sf /etc/passwd $(OUTPUT)/sly
local_config.mk:
\t@echo "# $(shell id -u)" > $@
$(OUTPUT)/%: %.c
\t@touch written-here
\t@gcc $(USERCFLAGS) -I$(O)/usr/include $< -o $@
"""
TESTS = {
    "Makefile": fake_tree.MAKEFILE + TOP,
    "tools/testing/selftests/Makefile": OUTER,
    "tools/testing/selftests/mm/Makefile": INNER,
    "tools/testing/selftests/mm/good.c": "#include <uapi.h>\nint main(void) { return UAPI - 7; }\n",
    "tools/testing/selftests/mm/broken.c": "int main(void) { return NOTHING; }\n",
    "tools/testing/selftests/mm/needy.c": "#include <numaif.h>\nint x = MISSING;\n",
    "tools/testing/selftests/mm/rings.c": "#include <liburing.h>\nint main(void) {}\n",
    "tools/testing/selftests/mm/seeded.c": (
        "#include <stdlib.h>\n#include <time.h>\n"
        "int main(void) { srand(time(NULL)); int r = rand(); srand(1); return r != rand(); }\n"
    ),
}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def build(tree: Path, cache: Cache, tmp_path: Path) -> Selftests:
    fragment = tmp_path / "fake.config"
    fragment.write_text("CONFIG_FAKE=y\n", encoding="utf-8")
    spec = f"dir:{tree}"
    wanted = build_kernel.resolve(
        Kernel("base", spec, "", ("fake",)),
        tree_source.fetch(spec, cache),
        series_source.load("", tree),
        [fragment],
    )
    return selftests.build(wanted, cache, jobs=1)


def test_each_program_is_there_or_has_its_error(cache: Cache, tmp_path: Path) -> None:
    tree = fake_tree.make(tmp_path / "linux", TESTS)
    built = build(tree, cache, tmp_path)
    assert set(built.programs) == {"good", "seeded"}, "and no link to a file of this host"
    assert built.error("good") == built.missing("good") == ""
    assert built.error("broken").startswith("broken.c:1:")
    assert built.missing("none") == "the tree has no tools/testing/selftests/mm/none.c"
    # A host without the header says so; one that has it finds the other mistake.
    assert built.missing("needy") or built.error("needy")
    assert not (tree / "tools/testing/selftests/mm/written-here").exists()


def test_no_library_of_the_host_is_in_them_that_guests_could_not_use(
    cache: Cache, tmp_path: Path
) -> None:
    built = build(fake_tree.make(tmp_path / "linux", TESTS), cache, tmp_path)
    assert "masked" in built.error("rings"), "whether or not this host has liburing"


def test_a_seed_by_the_clock_is_pinned(cache: Cache, tmp_path: Path) -> None:
    tree = fake_tree.make(tmp_path / "linux", TESTS)
    built = build(tree, cache, tmp_path)
    assert proc.run([built.programs["seeded"]]).ok
    kept = tree / "tools/testing/selftests/mm/seeded.c"
    assert "time(NULL)" in kept.read_text("utf-8"), "in a copy alone"


def test_they_are_built_once(cache: Cache, tmp_path: Path) -> None:
    tree = fake_tree.make(tmp_path / "linux", TESTS)
    made = build(tree, cache, tmp_path).programs["good"].stat().st_ino
    again = build(tree, cache, tmp_path).programs["good"]
    assert again.stat().st_ino == made
    again.write_bytes(b"damaged")
    assert build(tree, cache, tmp_path).programs["good"].read_bytes() != b"damaged"


def test_a_tree_without_selftests_lacks_every_program(cache: Cache, tmp_path: Path) -> None:
    built = build(fake_tree.make(tmp_path / "linux"), cache, tmp_path)
    assert built.missing("cow") == "the tree has no tools/testing/selftests/mm/cow.c"


def test_a_makefile_that_builds_nothing_is_a_build_error(cache: Cache, tmp_path: Path) -> None:
    broken = {**TESTS, "tools/testing/selftests/Makefile": "all:\n\t@false\n"}
    with pytest.raises(BuildError, match="nothing was built"):
        build(fake_tree.make(tmp_path / "linux", broken), cache, tmp_path)
